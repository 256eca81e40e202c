package crawl

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// linked serves n pages in a chain under the given robots.txt.
func linked(robots string, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			fmt.Fprint(w, robots)
			return
		}
		i := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &i)
		next := ""
		if i+1 < n {
			next = fmt.Sprintf(`<a href="/%d">next</a>`, i+1)
		}
		fmt.Fprint(w, htmlPage(fmt.Sprintf("第%d頁。%s%s", i, prose, next)))
	}
}

func TestDelayIsTheLongerOne(t *testing.T) {
	for _, c := range []struct {
		name               string
		robots             string
		option, seed, want float64
	}{
		{"robots longer", "User-agent: *\nCrawl-delay: 3\n", 1, 0, 3},
		{"option longer", "User-agent: *\nCrawl-delay: 1\n", 4, 0, 4},
		{"robots silent", "User-agent: *\n", 2, 0, 2},
		{"seed longer", "", 1, 5, 5},
		{"seed shorter", "", 2, 1, 2},
		{"own group", "User-agent: borea-crawl\nCrawl-delay: 7\nUser-agent: *\nCrawl-delay: 1\n", 1, 0, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, linked(c.robots, 3))
			s.opts.DelaySeconds = c.option
			s.seeds[0].DelaySeconds = c.seed
			samples, _ := s.crawl()
			require.Len(t, samples, 3)
			first := max(c.option, c.seed)
			want := []string{
				"/robots.txt@0s", "/@" + seconds(first).String(),
				"/1@" + seconds(first+c.want).String(), "/2@" + seconds(first+2*c.want).String(),
			}
			require.Equal(t, want, s.requests())
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		after  func(*stage) string
		want   string
	}{
		{"429 in seconds", 429, func(*stage) string { return "30" }, "/@31s"},
		{"503 by date", 503, func(s *stage) string { return s.clock.now().Add(40 * time.Second).UTC().Format(http.TimeFormat) }, "/@41s"},
		{"503 without", 503, func(*stage) string { return "" }, "/@3s"},
		{"500 with nonsense", 500, func(*stage) string { return "-5" }, "/@3s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s *stage
			refused := false
			s = newStage(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
				if !refused {
					refused = true
					w.Header().Set("Retry-After", c.after(s))
					w.WriteHeader(c.status)
					return
				}
				fmt.Fprint(w, htmlPage(prose))
			}))
			samples, _ := s.crawl()
			require.Len(t, samples, 1)
			require.Equal(t, []string{"/robots.txt@0s", "/@1s", c.want}, s.requests())
		})
	}
}

func TestGivesUpAfterItsAttempts(t *testing.T) {
	s := newStage(t, noRobots(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	require.Equal(t, Status5xx, s.drop())
	require.Equal(t, []string{"/robots.txt@0s", "/@1s", "/@3s", "/@7s"}, s.requests())
}

// TestLongWaitsAreParked also holds for a later run over the same frontier, as
// long as the time has not come.
func TestLongWaitsAreParked(t *testing.T) {
	refuse := true
	s := newStage(t, noRobots(func(w http.ResponseWriter, _ *http.Request) {
		if refuse {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			return
		}
		fmt.Fprint(w, htmlPage(prose))
	}))
	s.env.Frontier = NewMemoryFrontier()
	for range 2 {
		samples, r := s.crawl()
		require.Empty(t, samples)
		require.Equal(t, ParkedDelay, r.Lanes[0].Parked)
		require.Equal(t, 1, r.Total.Queued)
	}
	require.Equal(t, []string{"/robots.txt@0s", "/@1s"}, s.requests(), "the second run asks nothing")
	refuse = false
	require.NoError(t, s.clock.sleep(context.Background(), time.Hour))
	samples, _ := s.crawl()
	require.Len(t, samples, 1)
}

func TestLanesOfOneHostShareItsPace(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, htmlPage(r.URL.Path+prose))
	})
	s.seeds = nil
	for i := range 6 {
		s.seeds = append(s.seeds, Seed{URL: fmt.Sprintf("http://%s/%d/", testHost, i), PathPrefix: fmt.Sprintf("/%d/", i)})
	}
	s.opts.DelaySeconds = 0.05
	s.env.Now, s.env.Sleep = nil, nil // real time
	var times []time.Time
	s.env.Progress = func(LaneReport) {}
	begin := time.Now()
	samples, _ := s.crawl()
	times = append(times, time.Now())
	require.Len(t, samples, 6)
	require.GreaterOrEqual(t, times[0].Sub(begin), 300*time.Millisecond, "seven requests at 50 ms")
	require.Equal(t, 1, strings.Count(strings.Join(s.paths(), " "), "/robots.txt"))
	for i, sample := range samples {
		require.Equal(t, s.seeds[i].URL, sample.URL, "samples come in the order of the seeds")
	}
}
