package stage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/internal/crashfs"
)

// Error is what Run returns. It matches checkpoint.ErrLocked, checkpoint.ErrFull
// and checkpoint.ErrReadOnly where they are the cause.
type Error struct {
	Stage string
	Op    string // inputs, lock, work, publish …
	Err   error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("stage %s: %s: %v", e.Stage, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether the cause is of the class that target names.
func (e *Error) Is(target error) bool {
	switch target {
	case checkpoint.ErrLocked:
		return errors.Is(e.Err, crashfs.ErrLocked)
	case checkpoint.ErrFull:
		return crashfs.IsFull(e.Err)
	case checkpoint.ErrReadOnly:
		return crashfs.IsReadOnly(e.Err)
	}
	return false
}

// ErrName says that a stage's name is not a plain file name.
var ErrName = errors.New("the name must be letters, digits, '_' or '-'")

// ErrKind says that an input or an output is neither a file nor a folder.
var ErrKind = errors.New("neither a file nor a folder")

func kindError(path string) error { return &fs.PathError{Op: "hash", Path: path, Err: ErrKind} }
