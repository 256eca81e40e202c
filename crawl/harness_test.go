package crawl

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
)

// prose is long enough to be kept as a page.
var prose = strings.Repeat("これは検査のための文章であり、本文として残されるだけの長さがある。", 8)

func htmlPage(body string) string {
	return `<!DOCTYPE html><html lang="ja"><head><meta charset="utf-8"><title>t</title></head><body><main>` + body + `</main></body></html>`
}

// stage is a server under a name of its own, with a clock that jumps instead
// of waiting.
type stage struct {
	t     *testing.T
	opts  Options
	env   Env
	seeds []Seed
	clock *fakeClock

	mu  sync.Mutex
	log []string // "path@seconds" of each request
}

type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return ctx.Err()
}

const testHost = "host.test"

func newStage(t *testing.T, handler http.HandlerFunc) *stage {
	t.Helper()
	s := &stage{t: t, opts: DefaultOptions(), clock: &fakeClock{t: time.Unix(1_800_000_000, 0)}}
	start := s.clock.now()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.log = append(s.log, r.URL.RequestURI()+"@"+s.clock.now().Sub(start).String())
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(srv.Close)
	s.opts.AllowLoopback = true
	s.opts.MaxSitemaps = 0
	s.env = Env{Now: s.clock.now, Sleep: s.clock.sleep, Hosts: map[string]string{testHost + ":80": srv.Listener.Addr().String(), "other.test:80": srv.Listener.Addr().String()}}
	s.seeds = []Seed{{URL: "http://" + testHost + "/"}}
	return s
}

func (s *stage) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

func (s *stage) paths() (out []string) {
	for _, r := range s.requests() {
		path, _, _ := strings.Cut(r, "@")
		out = append(out, path)
	}
	return out
}

// crawl runs to the end and checks the identity of the counts.
func (s *stage) crawl() ([]dataset.Sample, Report) {
	s.t.Helper()
	c, err := New(s.opts, s.seeds, s.env)
	require.NoError(s.t, err)
	var out []dataset.Sample
	for sample, err := range c.Samples(context.Background()) {
		require.NoError(s.t, err)
		out = append(out, sample)
	}
	r := c.Report()
	sum := r.Total.Kept
	for _, n := range r.Total.Drops {
		sum += n
	}
	require.Equal(s.t, r.Total.Visited, sum, "visited = kept + drops")
	return out, r
}

// drop runs a crawl of the one page "/" and returns why it gave nothing.
func (s *stage) drop() Reason {
	s.t.Helper()
	samples, r := s.crawl()
	require.Empty(s.t, samples)
	require.Len(s.t, r.Total.Drops, 1, "%v parked %q", r.Total, r.Lanes[0].Parked)
	for reason := range r.Total.Drops {
		return reason
	}
	return ""
}

// noRobots serves 404 for robots.txt and the rest with h.
func noRobots(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	}
}
