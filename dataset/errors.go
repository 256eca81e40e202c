package dataset

import (
	"errors"
	"fmt"
)

// Sentinels for errors.Is.
var (
	// ErrTooLarge means a stream longer than ReadOptions.MaxBytes once decoded.
	ErrTooLarge = errors.New("decoded stream is larger than the limit")
	// ErrExhausted means more distinct synthetic samples than the templates hold.
	ErrExhausted = errors.New("the templates hold no more distinct samples")
)

// Reason says why a line or a sample was turned away; reports count by it.
type Reason string

// Reasons of unreadable lines.
const (
	LineTooLong   Reason = "line_too_long"  // over ReadOptions.MaxLineBytes
	InvalidUTF8   Reason = "invalid_utf8"   // bytes, or an unpaired surrogate escape
	MalformedJSON Reason = "malformed_json" // not one JSON object
	DuplicateKey  Reason = "duplicate_key"  // the same key twice in one object
	WrongType     Reason = "wrong_type"     // a field of another type or value
	EmptyRecord   Reason = "empty_record"   // neither text nor messages
)

// LineError is one line that was rejected. Reading goes on after it.
type LineError struct {
	Path   string `json:"path,omitempty"`
	Line   int64  `json:"line"`   // from 1
	Offset int64  `json:"offset"` // of the line's first byte in the decoded stream
	Column int64  `json:"column"` // byte within the line, 0 when unknown
	Reason Reason `json:"reason"`
	Err    error  `json:"-"`
}

// Error implements error.
func (e *LineError) Error() string {
	return fmt.Sprintf("dataset: %sline %d (byte %d): %s: %v", place(e.Path), e.Line, e.Offset+e.Column, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// StreamError ends a stream: the source cannot be read, decompressed or is too large.
type StreamError struct {
	Path   string
	Offset int64 // decoded bytes read before the failure
	Err    error
}

// Error implements error.
func (e *StreamError) Error() string {
	return fmt.Sprintf("dataset: %safter byte %d: %v", place(e.Path), e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *StreamError) Unwrap() error { return e.Err }

// OptionError names an option that is out of range.
type OptionError struct {
	Option string
	Value  any
	Want   string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("dataset: option %s is %v, want %s", e.Option, e.Value, e.Want)
}

func place(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}
