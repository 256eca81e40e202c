package crawl

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/borea-go/borea/internal/wait"
)

var (
	errTimeout   = errors.New("time limit reached")
	errLoop      = errors.New("redirects go round in a circle")
	errHops      = errors.New("too many redirects")
	errNoTarget  = errors.New("redirect without a usable target")
	errDowngrade = errors.New("redirect from https to http")
)

// maxHeaderBytes bounds a response's header.
const maxHeaderBytes = 64 << 10

// response is what a fetch brought home; body is nil unless status is 200.
type response struct {
	url    *url.URL // after redirects
	via    []string // the URLs asked, in order; the last is url
	status int
	header http.Header
	body   []byte
}

// fetcher makes guarded requests. It knows nothing of robots or pace: those are
// in the before function of each get.
type fetcher struct {
	opts   Options
	client *http.Client
	now    func() time.Time
	slots  chan struct{} // one for each request that may run at once
}

func newFetcher(o Options, env Env) *fetcher {
	g := guard{ports: o.Ports, loopback: o.AllowLoopback}
	tr := &http.Transport{
		Proxy:                  nil, // a proxy would connect where the guard cannot see
		DialContext:            g.dialer(seconds(o.ConnectTimeoutSeconds), env.Hosts),
		TLSHandshakeTimeout:    seconds(o.ConnectTimeoutSeconds),
		ResponseHeaderTimeout:  seconds(o.HeaderTimeoutSeconds),
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        2,
		IdleConnTimeout:        30 * time.Second,
	}
	return &fetcher{opts: o, now: env.Now, slots: make(chan struct{}, o.Workers), client: &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

func (f *fetcher) limits() bodyLimits {
	return bodyLimits{
		wire: f.opts.MaxBodyBytes, decoded: f.opts.MaxDecodedBytes, ratio: f.opts.MaxRatio,
		rate: f.opts.MinBytesPerSecond, window: seconds(f.opts.RateWindowSeconds),
	}
}

// request is one get: where to, what may come back, and what must be asked first.
type request struct {
	url    *url.URL
	lim    bodyLimits
	before func(context.Context, *url.URL) error // of each hop: scope, robots, pace
	after  func(*url.URL)                        // of each hop
	accept func(http.Header) error               // of a 200, before its body is read
	cut    bool                                  // a part of the body will do
}

// get follows redirects itself, so that each hop passes before. Errors are
// *PageError, or what before returned, or that of a cancelled ctx.
func (f *fetcher) get(ctx context.Context, r request) (*response, error) {
	seen := map[string]bool{}
	var via []string
	for u, hops := r.url, 0; ; hops++ {
		if seen[u.String()] {
			return nil, &PageError{URL: u.String(), Reason: Redirects, Err: errLoop}
		}
		seen[u.String()] = true
		via = append(via, u.String())
		if err := r.before(ctx, u); err != nil {
			return nil, err
		}
		res, err := f.once(ctx, u, r)
		r.after(u)
		if err != nil {
			return nil, f.explain(ctx, u, err)
		}
		if !redirects(res.status) {
			res.via = via
			return res, nil
		}
		if hops == f.opts.MaxRedirects {
			return nil, &PageError{URL: u.String(), Reason: Redirects, Err: errHops}
		}
		if u, err = nextHop(u, res.header.Get("Location")); err != nil {
			return nil, &PageError{URL: via[len(via)-1], Reason: Redirects, Status: res.status, Err: err}
		}
	}
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func nextHop(from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, errNoTarget
	}
	to, err := NormalizeURL(from, location)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoTarget, err)
	}
	if from.Scheme == "https" && to.Scheme == "http" {
		return nil, errDowngrade
	}
	return to, nil
}

func (f *fetcher) once(ctx context.Context, u *url.URL, r request) (*response, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, seconds(f.opts.TimeoutSeconds), errTimeout)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", f.opts.UserAgent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.8,text/plain;q=0.7")
	req.Header.Set("Accept-Language", "ja,en;q=0.5")
	req.Header.Set("Accept-Encoding", acceptEncoding)
	res, err := f.client.Do(req)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	defer res.Body.Close()
	out := &response{url: u, status: res.StatusCode, header: res.Header}
	if res.StatusCode != http.StatusOK {
		return out, nil
	}
	if err := r.accept(res.Header); err != nil {
		return nil, err
	}
	if res.ContentLength > r.lim.wire && !r.cut {
		return nil, errWireLimit
	}
	out.body, err = readBody(res.Body, res.Header.Get("Content-Encoding"), r.lim, cancel)
	if err != nil {
		return nil, &bodyError{partial: out, err: causeOf(ctx, err)}
	}
	return out, nil
}

// bodyError carries what was read before a body failed.
type bodyError struct {
	partial *response
	err     error
}

// Error implements error.
func (e *bodyError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *bodyError) Unwrap() error { return e.err }

// causeOf prefers the reason for which the request was cancelled.
func causeOf(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && !errors.Is(err, errWireLimit) {
		return c
	}
	return err
}

// explain turns a failure into a *PageError; the end of ctx stays what it is.
func (f *fetcher) explain(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var p *PageError
	if errors.As(err, &p) {
		p.URL = u.String()
		return p
	}
	return &PageError{URL: u.String(), Reason: reasonOf(err), Err: err}
}

func reasonOf(err error) Reason {
	var timeout net.Error
	var corrupt flate.CorruptInputError
	var body *bodyError
	switch {
	case isBlocked(err):
		return BlockedAddress
	case errors.Is(err, errSlow):
		return TooSlow
	case errors.Is(err, errTimeout) || errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, errRatio) || errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded):
		return Bomb
	case errors.Is(err, errWireLimit) || errors.Is(err, errDecodedLimit):
		return TooLarge
	case errors.Is(err, errEncoding) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zstd.ErrMagicMismatch) || errors.As(err, &corrupt):
		return BadEncoding
	case errors.As(err, &body) && body.partial.header.Get("Content-Encoding") != "" && !errors.Is(err, io.ErrUnexpectedEOF):
		return BadEncoding
	}
	return Network
}

// statusError says what a status other than 200 means, or nil.
func (f *fetcher) statusError(res *response) *PageError {
	e := &PageError{URL: res.url.String(), Status: res.status}
	switch {
	case res.status == http.StatusOK:
		return nil
	case res.status == http.StatusTooManyRequests || res.status >= 500 && res.status <= 599:
		e.Reason, e.After = Status5xx, wait.RetryAfter(res.header, f.now())
	case res.status >= 400 && res.status <= 499:
		e.Reason = Status4xx
	default:
		e.Reason = StatusOther
	}
	return e
}
