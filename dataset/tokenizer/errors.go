package tokenizer

import (
	"errors"
	"fmt"
)

// Sentinel errors; every error of this package matches one of them with
// errors.Is, except those passed on from the file system.
var (
	// ErrFormat: the file contradicts its format.
	ErrFormat = errors.New("malformed tokenizer")
	// ErrUnsupported: the file is sound but asks for something this package does not do.
	ErrUnsupported = errors.New("unsupported tokenizer")
	// ErrLimit: a count or a length is over the limits MaxID, MaxPiece or MaxFile.
	ErrLimit = errors.New("tokenizer over limit")
	// ErrChat: a conversation can not be encoded with this tokenizer.
	ErrChat = errors.New("chat can not be encoded")
)

// Limits on what a tokenizer file may ask for.
const (
	MaxID    = 1<<20 - 1 // largest token id
	MaxPiece = 4096      // longest piece, bytes
	MaxFile  = 256 << 20 // largest file that Open reads, bytes
)

// Error says where in which file something is wrong.
type Error struct {
	File  string // file name as opened; empty when parsed from memory
	Where string // "model.merges[17]", "byte 123", "message 2"
	Err   error  // wraps one of the sentinels
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.File == "":
		return fmt.Sprintf("tokenizer: %s: %v", e.Where, e.Err)
	case e.Where == "":
		return fmt.Sprintf("tokenizer: %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("tokenizer: %s: %s: %v", e.File, e.Where, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func failf(kind error, where, format string, args ...any) error {
	return &Error{Where: where, Err: fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))}
}

// inFile names the file in an error of this package and wraps any other.
func inFile(name string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e.File == "" {
		e.File = name
		return err
	}
	return &Error{File: name, Err: err}
}
