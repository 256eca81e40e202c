package crawl

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		name string
		to   func(r *http.Request) string
		want Reason
	}{
		{"to itself", func(r *http.Request) string { return r.URL.Path }, Redirects},
		{"in a circle", func(r *http.Request) string {
			return map[string]string{"/": "/a", "/a": "/b", "/b": "/a"}[r.URL.Path]
		}, Redirects},
		{"without end", func(r *http.Request) string { return r.URL.Path + "x" }, Redirects},
		{"without target", func(*http.Request) string { return "" }, Redirects},
		{"to a file", func(*http.Request) string { return "file:///etc/passwd" }, Redirects},
		{"with a password", func(*http.Request) string { return "http://u:p@host.test/x" }, Redirects},
		{"to another host", func(*http.Request) string { return "http://other.test/x" }, OffSite},
		{"to another port", func(*http.Request) string { return "http://host.test:8080/x" }, OffSite},
		{"to a denied path", func(*http.Request) string { return "/denied/x" }, Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/robots.txt" {
					fmt.Fprint(w, "User-agent: *\nDisallow: /denied/\n")
					return
				}
				w.Header().Set("Location", c.to(r))
				w.WriteHeader(http.StatusFound)
			})
			require.Equal(t, c.want, s.drop())
			require.LessOrEqual(t, len(s.requests()), 7, "robots.txt, the page and five redirects")
			require.NotContains(t, s.paths(), "/denied/x")
		})
	}
}

func TestFiveRedirectsAreFollowed(t *testing.T) {
	s := newStage(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) < 6 {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusMovedPermanently)
			return
		}
		fmt.Fprint(w, htmlPage(prose))
	}))
	samples, _ := s.crawl()
	require.Len(t, samples, 1)
	require.Equal(t, "http://host.test/xxxxx", samples[0].URL)
}

func compressed(t *testing.T, encoding string, plain io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		w = z
	}
	_, err := io.Copy(w, plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestContentEncodings(t *testing.T) {
	for _, enc := range []string{"gzip", "deflate", "zstd"} {
		t.Run(enc, func(t *testing.T) {
			good := compressed(t, enc, strings.NewReader(htmlPage(prose)))
			bomb := compressed(t, enc, io.LimitReader(zeros{}, 64<<20))
			body := good
			s := newStage(t, noRobots(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Content-Encoding", enc)
				_, _ = w.Write(body)
			}))
			samples, _ := s.crawl()
			require.Len(t, samples, 1)
			body = bomb
			require.Contains(t, []Reason{Bomb, TooLarge}, s.drop(), "64 MiB of zeros in %d bytes", len(bomb))
			body = []byte("not compressed at all, whatever the header may say about it")
			require.Equal(t, BadEncoding, s.drop())
			flipped := bytes.Clone(good)
			flipped[len(flipped)/2] ^= 0xff
			body = flipped
			require.Contains(t, []Reason{BadEncoding, Network}, s.drop())
		})
	}
}

func TestBodiesThatCostTooMuch(t *testing.T) {
	for _, c := range []struct {
		name    string
		want    Reason
		tune    func(*Options)
		handler http.HandlerFunc
	}{
		{"endless", TooLarge, func(o *Options) { o.MaxBodyBytes = 1 << 20 }, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for line := []byte(strings.Repeat("x", 1<<14)); r.Context().Err() == nil; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}},
		{"announced as huge", TooLarge, func(*Options) {}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Length", "99999999999")
			w.WriteHeader(http.StatusOK)
		}},
		{"drip of bytes", TooSlow, func(o *Options) { o.RateWindowSeconds = 0.05; o.MaxAttempts = 1 }, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}},
		{"steady but never done", Timeout, func(o *Options) { o.TimeoutSeconds = 0.2; o.MinBytesPerSecond = 0; o.MaxAttempts = 1 }, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for r.Context().Err() == nil {
				fmt.Fprint(w, strings.Repeat("x", 100))
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}},
		{"no header", Timeout, func(o *Options) { o.HeaderTimeoutSeconds = 0.1; o.MaxAttempts = 1 }, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(2 * time.Second):
			}
		}},
		{"huge header", Network, func(o *Options) { o.MaxAttempts = 1 }, func(w http.ResponseWriter, _ *http.Request) {
			for i := range 200 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("h", 1000))
			}
			fmt.Fprint(w, htmlPage(prose))
		}},
		{"cut off", Network, func(o *Options) { o.MaxAttempts = 1 }, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			fmt.Fprint(w, htmlPage(prose)[:500])
		}},
		{"two encodings", BadEncoding, func(*Options) {}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip, gzip")
			fmt.Fprint(w, htmlPage(prose))
		}},
		{"picture", ContentType, func(*Options) {}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			fmt.Fprint(w, htmlPage(prose))
		}},
		{"deep nesting", Unparsable, func(*Options) {}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, strings.Repeat("<div>", 100_000))
		}},
		{"no known charset", BadCharset, func(*Options) {}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(bytes.Repeat([]byte{0xff, 0xfe, 0x80, 0xff}, 200)[1:])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, noRobots(c.handler))
			c.tune(&s.opts)
			require.Equal(t, c.want, s.drop())
		})
	}
}

func TestRobotsStatus(t *testing.T) {
	big := "User-agent: *\nDisallow: /denied\n" + strings.Repeat("# "+strings.Repeat("x", 98)+"\n", 20_000)
	for _, c := range []struct {
		name   string
		robots http.HandlerFunc
		kept   int
		parked string
	}{
		{"404", http.NotFound, 1, ""},
		{"403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, 1, ""},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 0, ParkedRobots},
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, 0, ParkedRobots},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, ParkedRobots},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/robots.txt?"+r.URL.RawQuery+"x", http.StatusFound)
		}, 0, ParkedRobots},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			if r.Host == testHost {
				http.Redirect(w, r, "http://other.test/robots.txt", http.StatusFound)
				return
			}
			fmt.Fprint(w, "User-agent: *\nDisallow: /\n")
		}, 0, ""},
		{"2 MB", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, big) }, 1, ""},
		{"2 MB with its length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			fmt.Fprint(w, big)
		}, 1, ""},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, ParkedRobots},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/robots.txt" {
					c.robots(w, r)
					return
				}
				fmt.Fprint(w, htmlPage(prose+`<p>`+prose+`<a href="/denied/x">x</a></p>`))
			})
			s.opts.HeaderTimeoutSeconds = 0.1
			samples, r := s.crawl()
			require.Len(t, samples, c.kept)
			require.Equal(t, c.parked, r.Lanes[0].Parked)
			if c.kept == 0 || strings.HasPrefix(c.name, "2 MB") {
				require.NotContains(t, s.paths(), "/denied/x")
			}
			if c.parked != "" {
				require.Equal(t, 1, r.Total.Queued, "the seed waits for a better day")
				require.NotContains(t, s.paths(), "/")
			}
		})
	}
}

func TestBlockedAddresses(t *testing.T) {
	asked := false
	s := newStage(t, func(http.ResponseWriter, *http.Request) { asked = true })
	s.opts.AllowLoopback = false
	require.Equal(t, BlockedAddress, s.drop())
	for _, u := range []string{"http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[64:ff9b::7f00:1]/", "http://0.0.0.0/"} {
		s.seeds = []Seed{{URL: u}}
		require.Equal(t, BlockedAddress, s.drop(), u)
	}
	require.False(t, asked, "a refused address was asked")
}

func TestLinkTraps(t *testing.T) {
	n := 0
	s := newStage(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprintf(w, "%s", htmlPage(fmt.Sprintf(`%s %s <a href="a/b/">deeper</a> <a href="?p=%d">next</a>`, prose, r.URL, n)))
	}))
	s.opts.MaxDepth, s.opts.MaxPages = 1000, 50
	_, r := s.crawl()
	require.Equal(t, 50, r.Total.Visited)
	s.opts.MaxDepth, s.opts.MaxQueue = 3, 2
	_, r = s.crawl()
	require.Positive(t, r.Total.Overflow)
	for _, p := range s.paths() {
		require.LessOrEqual(t, strings.Count(p, "/a/"), maxRepeats, p)
	}
}
