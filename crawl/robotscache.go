package crawl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// robotsAge is how long a robots.txt is believed (RFC 9309, section 2.4).
const robotsAge = 24 * time.Hour

// unreachableError says that a robots.txt could not be had, so that nothing of
// its site may be visited now (RFC 9309, section 2.3.1.4). It does not unwrap:
// the cause is a *PageError of robots.txt, which must not count as the page's.
type unreachableError struct {
	origin string
	err    error
}

// Error implements error.
func (e *unreachableError) Error() string {
	return fmt.Sprintf("crawl: %s/robots.txt is unreachable, which denies the whole site: %v", e.origin, e.err)
}

// robotsCache holds the rules of each origin (scheme, host and port).
type robotsCache struct {
	visit   *visitor
	mu      sync.Mutex
	entries map[string]*robotsEntry
}

type robotsEntry struct {
	mu     sync.Mutex // held while fetching, so that lanes of one site ask once
	rules  *Robots
	err    error
	expiry time.Time
}

// rules returns the rules for u's origin. Failures are remembered for a minute.
func (c *robotsCache) rules(ctx context.Context, u *url.URL, delay time.Duration) (*Robots, error) {
	origin := u.Scheme + "://" + u.Host
	c.mu.Lock()
	e := c.entries[origin]
	if e == nil {
		e = &robotsEntry{}
		c.entries[origin] = e
	}
	c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := c.visit.env.Now(); now.Before(e.expiry) {
		return e.rules, e.err
	}
	rules, err := c.fetch(ctx, origin, delay)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e.rules, e.err, e.expiry = rules, err, c.visit.env.Now().Add(robotsAge)
	if err != nil {
		e.expiry = c.visit.env.Now().Add(time.Minute)
	}
	return rules, err
}

func (c *robotsCache) fetch(ctx context.Context, origin string, delay time.Duration) (*Robots, error) {
	u, err := url.Parse(origin + "/robots.txt")
	if err != nil {
		return nil, err
	}
	var rules *Robots
	err = c.visit.retry(ctx, u.Hostname(), func() error {
		rules, err = c.fetchOnce(ctx, u, delay)
		return err
	})
	var page *PageError
	if errors.As(err, &page) && page.Reason != BlockedAddress {
		return nil, &unreachableError{origin: origin, err: err}
	}
	return rules, err
}

// fetchOnce follows redirects to other hosts too: the file counts for the origin
// that was asked (section 2.3.1.2). A redirect without end is read as
// unreachable, the stricter of the two readings the RFC leaves.
func (c *robotsCache) fetchOnce(ctx context.Context, u *url.URL, delay time.Duration) (*Robots, error) {
	lim := c.visit.fetch.limits()
	lim.wire, lim.decoded = RobotsLimit+1, RobotsLimit+1
	res, err := c.visit.fetch.get(ctx, request{
		url: u, lim: lim, cut: true,
		before: func(ctx context.Context, u *url.URL) error { return c.visit.pace.wait(ctx, u.Hostname(), delay) },
		after:  func(u *url.URL) { c.visit.pace.finished(u.Hostname(), delay) },
		accept: func(http.Header) error { return nil },
	})
	var cut *bodyError
	if errors.As(err, &cut) && (errors.Is(err, errWireLimit) || errors.Is(err, errDecodedLimit)) {
		return ParseRobots(cut.partial.body), nil
	}
	if err != nil {
		return nil, err
	}
	e := c.visit.fetch.statusError(res)
	switch {
	case e == nil:
		return ParseRobots(res.body), nil
	case e.Reason == Status4xx:
		return ParseRobots(nil), nil
	case e.Reason == StatusOther && res.status >= 200 && res.status <= 299:
		return ParseRobots(nil), nil
	}
	return nil, e
}
