package public

import (
	"errors"
	"iter"
	"strings"

	"github.com/borea-go/borea/dataset"
)

// ErrUnsupported is matched by every *UnsupportedError.
var ErrUnsupported = errors.New("public: source is not supported")

// UnsupportedError names a source that cannot be read and what can be instead.
type UnsupportedError struct {
	Source string
	Reason string
	Works  []string
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return "public: " + e.Source + " cannot be read: " + e.Reason + "; what works: " + strings.Join(e.Works, ", ")
}

// Is makes errors.Is(err, ErrUnsupported) true.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Supported lists the sources this package reads.
func Supported() []string { return []string{"cc100", "c4"} }

// Wikipedia yields an *UnsupportedError and nothing else: the dumps on the hub
// are Parquet files, which this package has no reader for.
func Wikipedia() iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		yield(dataset.Sample{}, &UnsupportedError{Source: "wikipedia", Reason: "its dumps are Parquet files", Works: Supported()})
	}
}
