package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/borea-go/borea/internal/crashfs"
)

// Errors to compare with errors.Is.
var (
	// ErrNone says that the folder holds no checkpoint and never lost one.
	ErrNone = errors.New("no checkpoint")
	// ErrLocked says that another process writes to the folder.
	ErrLocked = errors.New("another run holds the lock; wait for it, stop it, or use another folder")
	// ErrFull says that the disk or a quota has no room.
	ErrFull = errors.New("disk full; earlier checkpoints are untouched")
	// ErrReadOnly says that the folder may not be written.
	ErrReadOnly = errors.New("not writable; use another folder")
	// ErrSuperseded says that a later start has taken over the folder.
	ErrSuperseded = errors.New("a later start has taken over the folder")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// Error is what the store's methods return: what was done, where, and why it
// failed. Full disks and read-only folders match ErrFull and ErrReadOnly; the
// system's error is inside.
type Error struct {
	Op  string // open, read, save step N
	Dir string // the store's folder
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("checkpoint: %s in %s: %v", e.Op, e.Dir, e.Err)
	for _, hint := range []error{ErrFull, ErrReadOnly} {
		if e.Is(hint) {
			s += " (" + hint.Error() + ")"
		}
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether the cause is of the class that target names.
func (e *Error) Is(target error) bool {
	return target == ErrFull && crashfs.IsFull(e.Err) || target == ErrReadOnly && crashfs.IsReadOnly(e.Err)
}

func (s *Store) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{op, s.dir, err}
}

// CorruptError reports a checkpoint that fails verification.
type CorruptError struct {
	Path string // the checkpoint's folder, in quarantine where that was possible
	File string // the file in it
	Err  error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("checkpoint %s: %s: %v; remove that folder to go on without it", e.Path, e.File, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// SchemaError reports a checkpoint in a layout that this program does not know.
type SchemaError struct {
	Path          string
	Schema, Known int
}

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("checkpoint %s has layout %d, this program knows %d; use the newer program or another folder", e.Path, e.Schema, e.Known)
}

// ForeignError reports a checkpoint that another session wrote, so one that was
// copied in.
type ForeignError struct {
	Path          string
	Session, Want string
}

// Error implements error.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("checkpoint %s belongs to session %s, the folder to %s; remove one of them", e.Path, e.Session, e.Want)
}

// StepError reports a save behind the newest checkpoint, which would be taken
// for the older one.
type StepError struct{ Step, Newest int64 }

// Error implements error.
func (e *StepError) Error() string {
	return fmt.Sprintf("step %d, but the newest checkpoint is of step %d", e.Step, e.Newest)
}

// NameError reports a file name that a state may not have.
type NameError struct{ Name string }

// Error implements error.
func (e *NameError) Error() string {
	return fmt.Sprintf("file name %q: want letters, digits, '.', '_', '-', at most %d, no two alike but for case", e.Name, maxName)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }
