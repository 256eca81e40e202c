package crawl

import (
	"context"
	"sync"
	"time"
)

// pace spaces requests to each host. The zero hold means "at once".
type pace struct {
	mu    sync.Mutex
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	limit time.Duration // the longest wait that is sat out
	next  map[string]time.Time
}

// parkedError says that a host asks for a longer wait than is sat out.
type parkedError struct {
	host  string
	until time.Time
}

// Error implements error.
func (e *parkedError) Error() string {
	return "crawl: " + e.host + " asks to wait until " + e.until.UTC().Format(time.RFC3339)
}

// wait blocks until the host may be asked, and reserves the time up to delay
// after that for this one request.
func (p *pace) wait(ctx context.Context, host string, delay time.Duration) error {
	p.mu.Lock()
	now, at := p.now(), p.next[host]
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > p.limit {
		p.mu.Unlock()
		return &parkedError{host: host, until: at}
	}
	p.next[host] = at.Add(delay)
	p.mu.Unlock()
	if d := at.Sub(now); d > 0 {
		return p.sleep(ctx, d)
	}
	return ctx.Err()
}

// finished moves the host's next turn to delay after the end of a request, so
// that a slow server is not asked again the moment it has answered.
func (p *pace) finished(host string, delay time.Duration) {
	p.hold(host, p.now().Add(delay))
}

// hold lets nobody ask the host before the given time.
func (p *pace) hold(host string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next[host].Before(until) {
		p.next[host] = until
	}
}

// until returns when the host may be asked next.
func (p *pace) until(host string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next[host]
}
