// Package crawl is a polite web crawler that turns a few sites into samples.
//
// It asks robots.txt first (RFC 9309, own parser), keeps the longer of the
// configured and the announced delay between two requests to a host, obeys
// Retry-After, connects to public addresses only, bounds every byte and second
// a server can cost, recognises Japanese encodings, extracts the main text and
// remembers where it was, so that a killed crawl continues.
//
//	c, err := crawl.New(crawl.DefaultOptions(), seeds, crawl.Env{Frontier: frontier})
//	for sample, err := range c.Samples(ctx) { ... }
//	report := c.Report()
//
// Order. Each seed is a lane, visited breadth first and one page at a time;
// lanes run side by side. Samples come lane by lane in the order of the seeds,
// so that equal sites give equal output whatever the timing. A page is
// committed to the Frontier (queue, counts and its sample at once) before its
// sample is handed out; iterating again over the same Frontier yields the
// stored samples first and then goes on.
//
// Addresses. Every connection, those for robots.txt, sitemaps and redirects
// too, is checked in the dialer after name resolution. Loopback is refused
// unless Options.AllowLoopback says otherwise; the environment's proxy
// variables are ignored.
//
// What it does not do: run scripts, send cookies, log in, fill in forms,
// revisit pages, write WARC files, decode brotli, read PDF or office files,
// slow down per IP address when several names share one, or persist robots.txt
// (it is fetched anew by each process and every 24 hours).
package crawl
