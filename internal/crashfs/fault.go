package crashfs

import (
	"errors"
	"fmt"
)

// ErrSkip is a fault that makes an operation report success and do nothing. It
// shows what a forgotten sync would do.
var ErrSkip = errors.New("skipped")

// ErrKilled is a fault for every operation from the moment when the process is
// killed: nothing is done, and unlike after other faults the disk is not to blame.
var ErrKilled = errors.New("killed")

// Short is a fault of a write that takes Part (0 to 1) of the bytes before Err.
type Short struct {
	Part float64
	Err  error
}

// Error implements error.
func (e *Short) Error() string { return fmt.Sprintf("short write: %v", e.Err) }

// Unwrap returns Err.
func (e *Short) Unwrap() error { return e.Err }

// Done is a fault of an operation that is carried out and reports Err all the
// same, as a network file system may after a lost answer.
type Done struct{ Err error }

// Error implements error.
func (e *Done) Error() string { return fmt.Sprintf("done, yet: %v", e.Err) }

// Unwrap returns Err.
func (e *Done) Unwrap() error { return e.Err }

// FailAt returns a Fault for a Sim: operation n fails with err, and with forever
// every later one too.
func FailAt(n int, forever bool, err error) func(Op) error {
	return func(op Op) error {
		if op.N == n || forever && op.N > n {
			return err
		}
		return nil
	}
}
