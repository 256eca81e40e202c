package crawl

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"
)

// Why a lane stopped before its work was done.
const (
	// ParkedDelay means that the host asks for a longer pause than MaxWaitSeconds.
	ParkedDelay = "delay"
	// ParkedRobots means that robots.txt could not be read.
	ParkedRobots = "robots_unreachable"
)

// laneRun is one seed at work. Its goroutine visits; another reads its samples.
type laneRun struct {
	seed     Seed
	start    *url.URL
	scope    scope
	delay    time.Duration
	maxDepth int
	maxPages int
	lane     Lane
	visit    *visitor
	more     chan struct{} // holds a token after each commit and at the end

	mu     sync.Mutex
	done   bool
	err    error
	parked string
}

func newLaneRun(v *visitor, seed Seed) (*laneRun, error) {
	u, err := NormalizeURL(nil, seed.URL)
	if err != nil {
		return nil, err
	}
	l := &laneRun{
		seed: seed, start: u, scope: scopeOf(seed, u), visit: v, more: make(chan struct{}, 1),
		delay: seconds(max(v.opts.DelaySeconds, seed.DelaySeconds)), maxDepth: v.opts.MaxDepth, maxPages: v.opts.MaxPages,
	}
	if seed.MaxDepth > 0 {
		l.maxDepth = seed.MaxDepth
	}
	if seed.MaxPages > 0 {
		l.maxPages = seed.MaxPages
	}
	name, err := laneName(seed, u, l.maxDepth, v)
	if err != nil {
		return nil, err
	}
	l.lane, err = v.env.Frontier.Lane(name, v.opts.MaxQueue)
	return l, err
}

// laneName hashes all that decides what a lane finds; delays and the page
// budget are left out, so that they may be changed between runs.
func laneName(s Seed, u *url.URL, depth int, v *visitor) (string, error) {
	data, err := json.Marshal(map[string]any{
		"url": u.String(), "domain": s.Domain, "prefix": s.PathPrefix, "licence": s.Licence, "depth": depth,
		"agent": v.token, "text": v.opts.MinTextRunes, "links": v.opts.MaxLinksPerPage, "sitemaps": v.opts.MaxSitemaps,
	})
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:16]), err
}

// run visits until the queue is empty, the budget spent, the host parked, or
// ctx ended.
func (l *laneRun) run(ctx context.Context) {
	err := l.loop(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	var parked *parkedError
	var unreachable *unreachableError
	switch {
	case errors.As(err, &parked):
		l.parked, err = ParkedDelay, l.visit.env.Frontier.Hold(parked.host, parked.until)
	case errors.As(err, &unreachable):
		l.visit.env.Logger.WarnContext(ctx, "crawl: lane parked", "seed", l.seed.URL, "error", err)
		l.parked, err = ParkedRobots, nil
	}
	l.done, l.err = true, err
	l.signal()
}

func (l *laneRun) signal() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *laneRun) state() (done bool, parked string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done, l.parked, l.err
}

func (l *laneRun) loop(ctx context.Context) error {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		counts, err := l.lane.Counts()
		if err != nil || counts.pages() >= l.maxPages {
			return err
		}
		item, ok, err := l.lane.Head()
		if err != nil || !ok {
			return err
		}
		visit, err := l.visitItem(ctx, item, counts)
		if err != nil {
			return err
		}
		if err := l.commit(visit); err != nil {
			return err
		}
	}
}

func (l *laneRun) commit(v Visit) error {
	v.Host = l.start.Hostname()
	v.HoldUntil = l.visit.pace.until(v.Host)
	if err := l.lane.Commit(v); err != nil {
		return err
	}
	l.signal()
	r, err := l.report()
	if err == nil {
		l.visit.env.Progress(r)
	}
	return err
}

// prepare queues the seed and the sitemaps that robots.txt names.
func (l *laneRun) prepare(ctx context.Context) error {
	if err := l.lane.Add(Item{URL: l.start.String()}); err != nil {
		return err
	}
	if _, ok, err := l.lane.Head(); err != nil || !ok || l.visit.opts.MaxSitemaps == 0 {
		return err // nothing left to do: ask for nothing
	}
	rules, err := l.visit.robots.rules(ctx, l.start, l.delay)
	var page *PageError
	if errors.As(err, &page) && page.Reason == BlockedAddress {
		return nil // the visit of the seed says so
	}
	if err != nil {
		return err
	}
	return l.lane.Add(l.sitemapItems(rules.Sitemaps())...)
}

// sitemapItems takes those on the lane's own host.
func (l *laneRun) sitemapItems(locs []string) (out []Item) {
	for _, loc := range locs {
		u, err := NormalizeURL(l.start, loc)
		if err == nil && l.wholeHost().contains(u) && len(out) < l.visit.opts.MaxSitemaps {
			out = append(out, Item{URL: u.String(), Sitemap: true})
		}
	}
	return out
}

func (l *laneRun) wholeHost() scope { return scope{host: l.scope.host, port: l.scope.port} }

// pageItems takes those in scope.
func (l *laneRun) pageItems(base *url.URL, refs []string, depth int) (out []Item) {
	if depth > l.maxDepth {
		return nil
	}
	for _, ref := range refs {
		u, err := NormalizeURL(base, ref)
		if err == nil && l.scope.contains(u) && len(out) < l.visit.opts.MaxLinksPerPage {
			out = append(out, Item{URL: u.String(), Depth: depth})
		}
	}
	return out
}

// visitItem returns an error only where the lane must stop.
func (l *laneRun) visitItem(ctx context.Context, it Item, counts Counts) (Visit, error) {
	u, err := NormalizeURL(nil, it.URL)
	if err != nil {
		return Visit{Item: it, Reason: BadURL}, nil
	}
	if it.Sitemap {
		return l.visitSitemap(ctx, it, u, counts)
	}
	res, err := l.visit.get(ctx, u, l.scope, l.delay, acceptText)
	var page *PageError
	switch {
	case errors.As(err, &page):
		l.visit.env.Logger.InfoContext(ctx, "crawl: no page", "error", page)
		return Visit{Item: it, Reason: page.Reason}, nil
	case err != nil:
		return Visit{}, err
	}
	return l.judge(it, res)
}

// judge decides what a fetched page gives.
func (l *laneRun) judge(it Item, res *response) (Visit, error) {
	v := Visit{Item: it, Seen: res.via}
	page, bad := l.visit.read(res)
	if bad != nil {
		l.visit.env.Logger.Info("crawl: no page", "error", bad)
		v.Reason = bad.Reason
		return v, nil
	}
	if !page.NoFollow {
		v.Links = l.pageItems(res.url, page.Links, it.Depth+1)
	}
	if page.NoIndex {
		v.Reason = NoIndex
		return v, nil
	}
	if isCopy(res.url, page.Canonical) {
		v.Reason = Canonical
		v.Links = append(l.pageItems(res.url, []string{page.Canonical}, it.Depth), v.Links...)
		return v, nil
	}
	if utf8.RuneCountInString(page.Text) < l.visit.opts.MinTextRunes {
		v.Reason = TooShort
		return v, nil
	}
	s := sampleOf(page, res.url, l.seed)
	known, err := l.lane.HasContent(s.ID)
	if err != nil {
		return v, err
	}
	if known {
		v.Reason = Duplicate
		return v, nil
	}
	v.Sample = s
	return v, nil
}

// isCopy reports whether the page names another one as the original. The scheme
// does not count, and neither does a front page named by any other page: that is
// a template's mistake, and obeying it would lose the site.
func isCopy(u *url.URL, canonical string) bool {
	c, err := url.Parse(canonical)
	if canonical == "" || err != nil || c.Host == u.Host && c.EscapedPath() == "/" {
		return false
	}
	return c.Host != u.Host || c.RequestURI() != u.RequestURI()
}

// visitSitemap counts as Sitemap whatever comes of it: a sitemap helps or it
// does not, but no page is lost with it.
func (l *laneRun) visitSitemap(ctx context.Context, it Item, u *url.URL, counts Counts) (Visit, error) {
	v := Visit{Item: it, Reason: Sitemap}
	if counts.Drops[Sitemap] >= l.visit.opts.MaxSitemaps {
		return v, nil
	}
	res, err := l.visit.get(ctx, u, l.wholeHost(), l.delay, acceptAll)
	if err != nil {
		var page *PageError
		if errors.As(err, &page) {
			l.visit.env.Logger.InfoContext(ctx, "crawl: no sitemap", "error", page)
			return v, nil
		}
		return v, err
	}
	body, err := gunzipIfNeeded(res.body, l.visit.fetch.limits())
	if err == nil {
		var pages, maps []string
		pages, maps, err = ParseSitemap(body)
		v.Links = append(l.sitemapItems(maps), l.pageItems(res.url, pages, 1)...)
	}
	if err != nil {
		l.visit.env.Logger.InfoContext(ctx, "crawl: damaged sitemap", "url", it.URL, "error", err)
	}
	return v, nil
}

func (l *laneRun) report() (LaneReport, error) {
	c, err := l.lane.Counts()
	_, parked, _ := l.state()
	return LaneReport{Seed: l.seed, Counts: c, Parked: parked}, err
}
