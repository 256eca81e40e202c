package crawl

import (
	"errors"
	"fmt"
	"time"
)

// Reason says why a visited page gave no sample; reports count by it.
type Reason string

// Reasons for which a visited URL gives no sample.
const (
	Denied         Reason = "robots"           // robots.txt denies it
	NoIndex        Reason = "noindex"          // a robots meta tag or X-Robots-Tag header
	BadURL         Reason = "bad_url"          // scheme, port, user information, length, trap
	BlockedAddress Reason = "blocked_address"  // the name resolves to an address that is not public
	Redirects      Reason = "redirects"        // a loop, more than MaxRedirects, or no target
	OffSite        Reason = "off_site"         // redirected out of the seed's scope
	Network        Reason = "network"          // name, connection or protocol failure, after retries
	Timeout        Reason = "timeout"          // a time limit, after retries
	TooSlow        Reason = "too_slow"         // below MinBytesPerSecond
	TooLarge       Reason = "too_large"        // over MaxBodyBytes or MaxDecodedBytes
	Bomb           Reason = "compression_bomb" // over MaxRatio
	BadEncoding    Reason = "content_encoding" // unknown or broken Content-Encoding
	ContentType    Reason = "content_type"     // neither HTML nor plain text
	Status4xx      Reason = "http_4xx"         // not there, or not for us
	Status5xx      Reason = "http_5xx"         // server errors and 429, after retries
	StatusOther    Reason = "http_other"       // any other status but 200
	BadCharset     Reason = "charset"          // no encoding fits the bytes
	Unparsable     Reason = "unparsable"       // the HTML cannot be parsed (nesting)
	TooShort       Reason = "too_short"        // main text under MinTextRunes
	Duplicate      Reason = "duplicate"        // the same text as an earlier page of the lane
	Canonical      Reason = "canonical"        // names another page as the original
	Sitemap        Reason = "sitemap"          // a sitemap: gives links, not text
)

// Sentinels for errors.Is.
var (
	// ErrLocked means that another process has the frontier file open.
	ErrLocked = errors.New("crawl: frontier is in use by another process")
	// ErrNotHead means a Commit of another item than the lane's first.
	ErrNotHead = errors.New("crawl: committed item is not the head of its lane")
	// ErrFrontier means a frontier file that cannot be read as one.
	ErrFrontier = errors.New("crawl: not a frontier")
)

// PageError is why one URL gave nothing.
type PageError struct {
	URL    string
	Reason Reason
	Status int           // HTTP status where there was one
	After  time.Duration // what Retry-After asked for
	Err    error
}

// Error implements error.
func (e *PageError) Error() string {
	s := fmt.Sprintf("crawl: %s: %s", e.URL, e.Reason)
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *PageError) Unwrap() error { return e.Err }

// temporary reports whether another try later may succeed.
func (e *PageError) temporary() bool {
	switch e.Reason {
	case Network, Timeout, TooSlow, Status5xx:
		return true
	}
	return false
}

// OptionError is a value in Options or a Seed that cannot be used.
type OptionError struct {
	Field  string
	Value  any
	Reason string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("crawl: %s = %v: %s", e.Field, e.Value, e.Reason)
}
