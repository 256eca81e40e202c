package crawl

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/borea-go/borea/dataset"
)

// visitor is what the lanes share.
type visitor struct {
	opts   Options
	env    Env
	token  string // robots product token
	fetch  *fetcher
	pace   *pace
	robots *robotsCache
}

func newVisitor(o Options, env Env, holds map[string]time.Time) *visitor {
	v := &visitor{opts: o, env: env, token: robotsToken(o.UserAgent), fetch: newFetcher(o, env)}
	v.pace = &pace{now: env.Now, sleep: env.Sleep, limit: seconds(o.MaxWaitSeconds), next: holds}
	v.robots = &robotsCache{visit: v, entries: map[string]*robotsEntry{}}
	return v
}

// retry calls fn until it succeeds, fails for good, or has had its attempts;
// between them the host is held.
func (v *visitor) retry(ctx context.Context, host string, fn func() error) error {
	pause := seconds(v.opts.RetrySeconds)
	for attempt := 1; ; attempt++ {
		err := fn()
		var p *PageError
		if err == nil || !errors.As(err, &p) || !p.temporary() {
			return err
		}
		v.env.Logger.DebugContext(ctx, "crawl: failed attempt", "url", p.URL, "attempt", attempt, "error", err)
		if attempt == v.opts.MaxAttempts {
			v.pace.hold(host, v.env.Now().Add(p.After))
			return err
		}
		v.pace.hold(host, v.env.Now().Add(max(p.After, pause)))
		pause *= 2
	}
}

// get fetches a URL of a lane: in scope, allowed by robots.txt, and in its turn.
func (v *visitor) get(ctx context.Context, u *url.URL, s scope, delay time.Duration, accept func(http.Header) error) (*response, error) {
	turn := delay
	before := func(ctx context.Context, u *url.URL) error {
		if !s.contains(u) {
			return &PageError{URL: u.String(), Reason: OffSite}
		}
		rules, err := v.robots.rules(ctx, u, delay)
		if err != nil {
			return err
		}
		if !rules.Allowed(v.token, u.String()) {
			return &PageError{URL: u.String(), Reason: Denied}
		}
		asked, _ := rules.CrawlDelay(v.token)
		turn = max(delay, asked)
		return v.pace.wait(ctx, u.Hostname(), turn)
	}
	var res *response
	err := v.retry(ctx, u.Hostname(), func() (err error) {
		res, err = v.fetch.get(ctx, request{
			url: u, lim: v.fetch.limits(), before: before, accept: accept,
			after: func(u *url.URL) { v.pace.finished(u.Hostname(), turn) },
		})
		if err != nil {
			return err
		}
		if e := v.fetch.statusError(res); e != nil {
			return e
		}
		return nil
	})
	return res, err
}

// acceptText refuses what is declared to be neither HTML nor plain text.
func acceptText(h http.Header) error {
	if h.Get("Content-Type") == "" || isHTML(h) || mediaType(h) == "text/plain" {
		return nil
	}
	return &PageError{Reason: ContentType, Err: errors.New(h.Get("Content-Type"))}
}

func acceptAll(http.Header) error { return nil }

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(h.Get("Content-Type"), ";")
	}
	return strings.ToLower(strings.TrimSpace(t))
}

func isHTML(h http.Header) bool {
	t := mediaType(h)
	return t == "text/html" || t == "application/xhtml+xml"
}

// read turns a response into a page. X-Robots-Tag counts like a meta element.
func (v *visitor) read(res *response) (*Page, *PageError) {
	fail := func(r Reason, err error) (*Page, *PageError) {
		return nil, &PageError{URL: res.url.String(), Reason: r, Status: res.status, Err: err}
	}
	sniffed := http.DetectContentType(res.body)
	if res.header.Get("Content-Type") == "" && !strings.HasPrefix(sniffed, "text/") {
		return fail(ContentType, errors.New(sniffed))
	}
	text, cs, err := DecodeText(res.body, res.header.Get("Content-Type"))
	if err != nil {
		return fail(BadCharset, err)
	}
	v.env.Logger.Debug("crawl: page", "url", res.url.String(), "bytes", len(res.body), "charset", cs.Name, "by", cs.By)
	page := &Page{}
	if isHTML(res.header) || strings.HasPrefix(sniffed, "text/html") && res.header.Get("Content-Type") == "" {
		if page, err = Extract(text, res.url, v.token); err != nil {
			return fail(Unparsable, err)
		}
	} else {
		page.Text = plainLines(text)
	}
	i, f := robotsHeader(res.header.Values("X-Robots-Tag"), v.token)
	page.NoIndex, page.NoFollow = page.NoIndex || i, page.NoFollow || f
	return page, nil
}

func plainLines(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if line = squeeze(line); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// sampleOf makes the sample of a page under its final address.
func sampleOf(p *Page, u *url.URL, seed Seed) *dataset.Sample {
	s := &dataset.Sample{
		Text: p.Text, Source: "crawl", URL: u.String(), Licence: p.Licence,
		Domain: seed.Domain, Language: p.Language,
	}
	if s.Licence == "" {
		s.Licence = seed.Licence
	}
	if s.Language == "" && hasKana(p.Text) {
		s.Language = "ja"
	}
	s.ID = s.ContentID()
	return s
}

// hasKana reports whether at least one character in ten is kana, which only
// Japanese has.
func hasKana(s string) bool {
	n := 0
	for _, r := range s {
		if unicode.In(r, unicode.Hiragana, unicode.Katakana) {
			n++
		}
	}
	return n > 0 && 10*n >= utf8.RuneCountInString(s)
}
