package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/borea-go/borea/internal/wait"
)

// Options say where the hub and the cache are. They are taken literally.
type Options struct {
	// Endpoint is the hub's base URL. Default https://huggingface.co.
	Endpoint string `json:"endpoint" yaml:"endpoint"`
	// CacheDir holds what was downloaded. Empty is an error; see FromEnvironment.
	CacheDir string `json:"cache_dir" yaml:"cache_dir"`
	// Offline reads the cache only. Default false.
	Offline bool `json:"offline,omitempty" yaml:"offline"`
	// MaxBytes is the largest file accepted. At least 1, default 1 TiB.
	MaxBytes int64 `json:"max_bytes" yaml:"max_bytes"`
	// MaxAttempts is how often a download is tried or continued without a byte of
	// progress before it fails. At least 1, default 5.
	MaxAttempts int `json:"max_attempts" yaml:"max_attempts"`
	// RetrySeconds is the pause after the first failure; it doubles with each
	// further one in a row, up to a minute. A longer Retry-After is waited for, up
	// to ten minutes; beyond that the download fails. 0 or more, default 1.
	RetrySeconds float64 `json:"retry_seconds" yaml:"retry_seconds"`
	// TimeoutSeconds bounds the wait for a response's header and for each next
	// piece of a body. More than 0, default 30.
	TimeoutSeconds float64 `json:"timeout_seconds" yaml:"timeout_seconds"`
}

// DefaultOptions returns the defaults named at each field, without a CacheDir.
func DefaultOptions() Options {
	return Options{Endpoint: "https://huggingface.co", MaxBytes: 1 << 40, MaxAttempts: 5, RetrySeconds: 1, TimeoutSeconds: 30}
}

// FromEnvironment returns DefaultOptions changed by the variables other hub
// clients know (HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE), and the
// token of HF_TOKEN. getenv is os.Getenv, home is the user's home directory.
func FromEnvironment(getenv func(string) string, home string) (o Options, token string) {
	o = DefaultOptions()
	if v := getenv("HF_ENDPOINT"); v != "" {
		o.Endpoint = v
	}
	o.CacheDir = filepath.Join(home, ".cache", "huggingface", "hub")
	if v := getenv("HF_HOME"); v != "" {
		o.CacheDir = filepath.Join(v, "hub")
	}
	if v := getenv("HF_HUB_CACHE"); v != "" {
		o.CacheDir = v
	}
	switch strings.ToUpper(getenv("HF_HUB_OFFLINE")) {
	case "1", "TRUE", "YES", "ON":
		o.Offline = true
	}
	return o, strings.TrimSpace(getenv("HF_TOKEN"))
}

// OptionError is an option or a name that cannot be used.
type OptionError struct {
	Option string
	Value  any
	Want   string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("hub: %s is %v, want %s", e.Option, e.Value, e.Want)
}

// Validate returns an *OptionError for the first value out of its range.
func (o Options) Validate() error {
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "":
		return &OptionError{"Endpoint", o.Endpoint, "an http or https base URL"}
	case o.CacheDir == "":
		return &OptionError{"CacheDir", `""`, "a directory"}
	case o.MaxBytes < 1:
		return &OptionError{"MaxBytes", o.MaxBytes, "at least 1"}
	case o.MaxAttempts < 1:
		return &OptionError{"MaxAttempts", o.MaxAttempts, "at least 1"}
	case !(o.RetrySeconds >= 0 && o.RetrySeconds < 1e9):
		return &OptionError{"RetrySeconds", o.RetrySeconds, "0 or more"}
	case !(o.TimeoutSeconds > 0 && o.TimeoutSeconds < 1e9):
		return &OptionError{"TimeoutSeconds", o.TimeoutSeconds, "more than 0"}
	}
	return nil
}

// Env is what a client needs besides data. The zero value is silent, anonymous,
// and uses the system's transport and clock.
type Env struct {
	Logger    *slog.Logger
	Progress  func(done, total int64) // bytes of the file being downloaded
	Token     string                  // sent to Endpoint's host only
	Transport http.RoundTripper
	Sleep     func(context.Context, time.Duration) error
}

func (e Env) withDefaults(o Options) Env {
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	if e.Progress == nil {
		e.Progress = func(int64, int64) {}
	}
	if e.Transport == nil {
		e.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableCompression: true, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: seconds(o.TimeoutSeconds), ResponseHeaderTimeout: seconds(o.TimeoutSeconds),
			MaxResponseHeaderBytes: 256 << 10, IdleConnTimeout: time.Minute,
		}
	}
	if e.Sleep == nil {
		e.Sleep = wait.Sleep
	}
	return e
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
