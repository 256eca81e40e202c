package hub

import (
	"errors"
	"fmt"
	"time"

	"github.com/borea-go/borea/internal/crashfs"
)

// Sentinels for errors.Is.
var (
	ErrNotFound     = errors.New("not found on the hub")
	ErrDenied       = errors.New("access denied; is a token needed?")
	ErrOffline      = errors.New("not in the cache, and offline")
	ErrHash         = errors.New("content does not match its hash")
	ErrUnverifiable = errors.New("the hub states no hash to verify by")
	ErrTooLarge     = errors.New("file is larger than the limit")
	ErrCommit       = errors.New("the hub answered for another commit")
	ErrLocked       = crashfs.ErrLocked // another process is downloading the same file
	ErrSize         = errors.New("the hub contradicts the size it stated")
)

// Error is a failure for one file.
type Error struct {
	Repo   Repo
	Path   string
	Status int           // HTTP status where there was one
	After  time.Duration // what Retry-After asked for
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("hub: %s@%s/%s", e.Repo.ID, e.Repo.Revision, e.Path)
	if e.Status != 0 {
		s += fmt.Sprintf(": status %d", e.Status)
	}
	if e.After > 0 {
		s += fmt.Sprintf(", asks to wait %s", e.After)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
