package crawl

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/borea-go/borea/internal/wait"
)

// Options are the limits and manners of a crawl. They are taken literally.
type Options struct {
	// UserAgent is sent with each request; its leading letters, "_" and "-" are
	// the product token robots.txt is searched for. It should say how to reach you.
	UserAgent string `json:"user_agent" yaml:"user_agent"`
	// DelaySeconds is the pause between requests to a host; a longer
	// Crawl-delay or Seed.DelaySeconds wins. 0 or more, default 1.
	DelaySeconds float64 `json:"delay_seconds" yaml:"delay_seconds"`
	// MaxWaitSeconds is the longest wait (Crawl-delay, Retry-After) that is sat
	// out; a host that asks for more is parked and goes on in a later run.
	// More than 0, default 120.
	MaxWaitSeconds float64 `json:"max_wait_seconds" yaml:"max_wait_seconds"`
	// TimeoutSeconds bounds one request from dialling to the last byte. Default 30.
	TimeoutSeconds float64 `json:"timeout_seconds" yaml:"timeout_seconds"`
	// ConnectTimeoutSeconds bounds connection and TLS handshake each. Default 10.
	ConnectTimeoutSeconds float64 `json:"connect_timeout_seconds" yaml:"connect_timeout_seconds"`
	// HeaderTimeoutSeconds bounds the wait for the response's header. Default 15.
	HeaderTimeoutSeconds float64 `json:"header_timeout_seconds" yaml:"header_timeout_seconds"`
	// MinBytesPerSecond is the rate below which a body is given up, measured
	// over RateWindowSeconds. 0 is off. Defaults 256 and 5.
	MinBytesPerSecond float64 `json:"min_bytes_per_second" yaml:"min_bytes_per_second"`
	RateWindowSeconds float64 `json:"rate_window_seconds" yaml:"rate_window_seconds"` // see MinBytesPerSecond
	// MaxBodyBytes bounds a body on the wire, MaxDecodedBytes after decompression.
	// Default 10 MiB each.
	MaxBodyBytes    int64 `json:"max_body_bytes" yaml:"max_body_bytes"`
	MaxDecodedBytes int64 `json:"max_decoded_bytes" yaml:"max_decoded_bytes"` // see MaxBodyBytes
	// MaxRatio bounds decoded over wire size beyond the first MiB. At least 1, default 100.
	MaxRatio float64 `json:"max_ratio" yaml:"max_ratio"`
	// MaxRedirects is how many redirects one page may take. 0 to 10, default 5.
	MaxRedirects int `json:"max_redirects" yaml:"max_redirects"`
	// MaxAttempts is how often a page is asked for before a temporary failure
	// counts. At least 1, default 3.
	MaxAttempts int `json:"max_attempts" yaml:"max_attempts"`
	// RetrySeconds is the pause before the second attempt; it doubles with each
	// further one. Retry-After wins where it is longer. Default 2.
	RetrySeconds float64 `json:"retry_seconds" yaml:"retry_seconds"`
	// MaxDepth is how many links a page may be away from the seed. Default 3.
	MaxDepth int `json:"max_depth" yaml:"max_depth"`
	// MaxPages is how many URLs of a seed are visited. At least 1, default 100.
	MaxPages int `json:"max_pages" yaml:"max_pages"`
	// MaxLinksPerPage and MaxQueue bound what a page and a lane may queue.
	// Defaults 1,000 and 100,000.
	MaxLinksPerPage int `json:"max_links_per_page" yaml:"max_links_per_page"`
	MaxQueue        int `json:"max_queue" yaml:"max_queue"` // see MaxLinksPerPage
	// MaxSitemaps is how many sitemaps a lane reads. 0 is none, default 8.
	MaxSitemaps int `json:"max_sitemaps" yaml:"max_sitemaps"`
	// MinTextRunes is the least main text a page must have, in code points. Default 200.
	MinTextRunes int `json:"min_text_runes" yaml:"min_text_runes"`
	// Workers is how many requests run at once, over all hosts. At least 1, default 8.
	Workers int `json:"workers" yaml:"workers"`
	// Ports are the ports that may be connected to. Default 80 and 443.
	Ports []int `json:"ports" yaml:"ports"`
	// AllowLoopback permits loopback addresses, on any port. For sites of one's
	// own and tests; a page from outside could otherwise reach local services.
	AllowLoopback bool `json:"allow_loopback" yaml:"allow_loopback"`
}

// DefaultOptions returns the defaults named at each field.
func DefaultOptions() Options {
	return Options{
		UserAgent:    "borea-crawl/1.0 (research; +https://github.com/borea-go/borea)",
		DelaySeconds: 1, MaxWaitSeconds: 120,
		TimeoutSeconds: 30, ConnectTimeoutSeconds: 10, HeaderTimeoutSeconds: 15,
		MinBytesPerSecond: 256, RateWindowSeconds: 5,
		MaxBodyBytes: 10 << 20, MaxDecodedBytes: 10 << 20, MaxRatio: 100,
		MaxRedirects: 5, MaxAttempts: 3, RetrySeconds: 2,
		MaxDepth: 3, MaxPages: 100, MaxLinksPerPage: 1000, MaxQueue: 100_000, MaxSitemaps: 8,
		MinTextRunes: 200, Workers: 8, Ports: []int{80, 443},
	}
}

// Validate returns an *OptionError for the first value out of its range.
func (o Options) Validate() error {
	if robotsToken(o.UserAgent) == "" || strings.ContainsAny(o.UserAgent, "\r\n") {
		return &OptionError{"UserAgent", o.UserAgent, "must start with a product token of letters, _ and -"}
	}
	const century = 3.2e9
	for _, c := range []struct {
		name      string
		v         float64
		low, high float64
	}{
		{"DelaySeconds", o.DelaySeconds, 0, century}, {"MaxWaitSeconds", o.MaxWaitSeconds, 1e-3, century},
		{"TimeoutSeconds", o.TimeoutSeconds, 1e-3, century}, {"ConnectTimeoutSeconds", o.ConnectTimeoutSeconds, 1e-3, century},
		{"HeaderTimeoutSeconds", o.HeaderTimeoutSeconds, 1e-3, century}, {"MinBytesPerSecond", o.MinBytesPerSecond, 0, 1e12},
		{"RateWindowSeconds", o.RateWindowSeconds, 1e-3, century}, {"MaxBodyBytes", float64(o.MaxBodyBytes), 1, 1 << 40},
		{"MaxDecodedBytes", float64(o.MaxDecodedBytes), 1, 1 << 40}, {"MaxRatio", o.MaxRatio, 1, 1e9},
		{"MaxRedirects", float64(o.MaxRedirects), 0, 10}, {"MaxAttempts", float64(o.MaxAttempts), 1, 100},
		{"RetrySeconds", o.RetrySeconds, 0, century}, {"MaxDepth", float64(o.MaxDepth), 0, 1e6},
		{"MaxPages", float64(o.MaxPages), 1, 1e9}, {"MaxLinksPerPage", float64(o.MaxLinksPerPage), 0, 1e6},
		{"MaxQueue", float64(o.MaxQueue), 1, 1e8}, {"MaxSitemaps", float64(o.MaxSitemaps), 0, 1e4},
		{"MinTextRunes", float64(o.MinTextRunes), 0, 1e9}, {"Workers", float64(o.Workers), 1, 1e4},
	} {
		if !(c.v >= c.low && c.v <= c.high) {
			return &OptionError{c.name, c.v, "out of range"}
		}
	}
	for _, p := range o.Ports {
		if p < 1 || p > 65535 {
			return &OptionError{"Ports", p, "not a port"}
		}
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Seed is where a lane starts and what it may visit: the seed's host, and there
// the paths under PathPrefix.
type Seed struct {
	URL    string `json:"url" yaml:"url"`
	Domain string `json:"domain,omitempty" yaml:"domain"` // Sample.Domain of its pages
	// PathPrefix keeps the lane to a part of the host ("/safety/"). Empty is all.
	PathPrefix string `json:"path_prefix,omitempty" yaml:"path_prefix"`
	// Licence of the site, used where a page states none.
	Licence string `json:"licence,omitempty" yaml:"licence"`
	// DelaySeconds, MaxDepth and MaxPages override the options where not 0; the
	// delay only upwards.
	DelaySeconds float64 `json:"delay_seconds,omitempty" yaml:"delay_seconds"`
	MaxDepth     int     `json:"max_depth,omitempty" yaml:"max_depth"` // see DelaySeconds
	MaxPages     int     `json:"max_pages,omitempty" yaml:"max_pages"` // see DelaySeconds
}

// Validate returns an *OptionError where the seed is not an absolute http or
// https URL inside its own prefix.
func (s Seed) Validate() error {
	u, err := NormalizeURL(nil, s.URL)
	if err != nil {
		return &OptionError{"Seed.URL", s.URL, err.Error()}
	}
	if !scopeOf(s, u).contains(u) {
		return &OptionError{"Seed.PathPrefix", s.PathPrefix, "the seed itself lies outside"}
	}
	if s.DelaySeconds < 0 || s.MaxDepth < 0 || s.MaxPages < 0 {
		return &OptionError{"Seed", s.URL, "negative limit"}
	}
	return nil
}

// scope is the part of a site that a lane may visit.
type scope struct{ host, port, prefix string }

func scopeOf(s Seed, u *url.URL) scope {
	return scope{host: u.Hostname(), port: u.Port(), prefix: s.PathPrefix}
}

// contains ignores the scheme, as sites move from http to https under one name.
func (s scope) contains(u *url.URL) bool {
	return u.Hostname() == s.host && u.Port() == s.port && strings.HasPrefix(u.Path, s.prefix)
}

// Env is what a crawl needs besides data. The zero value is silent, keeps the
// frontier in memory and uses the system's clock.
type Env struct {
	Logger   *slog.Logger
	Progress func(LaneReport) // after each visited page, from any lane's goroutine
	Frontier Frontier         // stays open; the caller closes it
	// Hosts maps "name:port" to the "address:port" to connect to instead, like a
	// hosts file. The guard judges the address, as with any name.
	Hosts map[string]string
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
}

func (e Env) withDefaults() Env {
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	if e.Progress == nil {
		e.Progress = func(LaneReport) {}
	}
	if e.Frontier == nil {
		e.Frontier = NewMemoryFrontier()
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Sleep == nil {
		e.Sleep = wait.Sleep
	}
	return e
}
