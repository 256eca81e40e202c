package gguf

import (
	"errors"
	"fmt"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/dataset/tokenizer"
	"github.com/borea-go/borea/internal/hfconfig"
)

// Sentinel errors; every error of this package but those of the caller's readers
// and writers matches one of them with errors.Is.
var (
	// ErrFormat: the file or the tensor contradicts the format.
	ErrFormat = errors.New("malformed GGUF")
	// ErrLimit: a count or length is over the limits of the options.
	ErrLimit = errors.New("over limit")
	// ErrUnsupported: sound, but not implemented here.
	ErrUnsupported = errors.New("unsupported")
	// ErrNotFound: no such key or tensor.
	ErrNotFound = errors.New("not found")
	// ErrKind: a metadata value has another type than asked for.
	ErrKind = errors.New("wrong value type")
	// ErrNumber: a weight is NaN or infinite, or too large for the type.
	ErrNumber = errors.New("number not representable")
	// ErrOption: an option is out of its range.
	ErrOption = errors.New("bad option")
	// ErrMemory: a row does not fit WriterOptions.MemoryBytes.
	ErrMemory = errors.New("memory budget too small")
)

// FormatError reports what is wrong in a file and where.
type FormatError struct {
	Offset int64  // bytes from the start of the file
	Where  string // "header", "key \"general.name\"", "tensor \"output.weight\""
	Reason string
	Err    error // ErrFormat, ErrLimit, ErrUnsupported or the reader's error
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("gguf: byte %d, %s: %s: %v", e.Offset, e.Where, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// KeyError reports a metadata key that is missing or of another type.
type KeyError struct {
	Key    string
	Reason string
	Err    error // ErrNotFound, ErrKind or ErrFormat
}

// Error implements error.
func (e *KeyError) Error() string { return fmt.Sprintf("gguf: key %q: %s: %v", e.Key, e.Reason, e.Err) }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// TensorError reports what is wrong with one tensor.
type TensorError struct {
	Tensor string
	Err    error
}

// Error implements error.
func (e *TensorError) Error() string { return fmt.Sprintf("gguf: tensor %q: %v", e.Tensor, e.Err) }

// Unwrap returns the cause.
func (e *TensorError) Unwrap() error { return e.Err }

// NumberError reports a weight that can not be stored.
type NumberError struct {
	Index  int64 // element, from 0 in the order of the file
	Value  float32
	Reason string
}

// Error implements error.
func (e *NumberError) Error() string {
	return fmt.Sprintf("element %d is %v: %s: %v", e.Index, e.Value, e.Reason, ErrNumber)
}

// Unwrap makes errors.Is(err, ErrNumber) true.
func (e *NumberError) Unwrap() error { return ErrNumber }

// inputError gives an error about a file of a model directory one of this
// package's sentinels, so that callers need not know who reads which file.
func inputError(err error) error {
	var unsupported *hfconfig.UnsupportedError
	var value *hfconfig.ValueError
	var dtype *safetensors.TypeError
	var sentinel error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unsupported), errors.As(err, &dtype),
		errors.Is(err, safetensors.ErrPickleRefused), errors.Is(err, tokenizer.ErrUnsupported):
		sentinel = ErrUnsupported
	case errors.As(err, &value), errors.Is(err, safetensors.ErrFormat), errors.Is(err, tokenizer.ErrFormat):
		sentinel = ErrFormat
	case errors.Is(err, tokenizer.ErrLimit):
		sentinel = ErrLimit
	default:
		return fmt.Errorf("gguf: %w", err)
	}
	return &inputFault{err, sentinel}
}

// An inputFault is another package's error, which also matches a sentinel.
type inputFault struct{ err, sentinel error }

// Error implements error.
func (e *inputFault) Error() string { return "gguf: " + e.err.Error() }

// Unwrap returns both.
func (e *inputFault) Unwrap() []error { return []error{e.err, e.sentinel} }
