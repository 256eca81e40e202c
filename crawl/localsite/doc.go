// Package localsite is a small web site of our own Japanese pages on public
// defence policy, aerospace, transport and general topics, served on the
// loopback interface, so that a crawl can be shown and tested without a network.
//
// It holds what a crawler meets outside: menus and scripts around the text,
// pages in Shift_JIS and EUC-JP with and without a declaration, a robots.txt
// with a crawl delay and a denied part, a sitemap with pages nothing links to,
// a page that asks not to be kept, redirects, a print version with the same
// text, and a page reached under a second address that names its canonical one.
//
// The pages are dedicated to the public domain (CC0-1.0).
//
// What it does not do: serve anything but its own pages, or listen on an
// address that other machines can reach.
package localsite
