package safetensors

import (
	"errors"
	"fmt"
)

// DType is the element type as the header spells it: "F64", "F32", "F16",
// "BF16", "I64", "U8", "BOOL" and the like. The types of less than a byte (F4,
// F6_E2M3, F6_E3M2) are refused by name.
type DType string

var sizes = map[DType]int{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
	"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "C64": 8,
	"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
}

// Size returns the bytes of one element, 0 for an unknown type.
func (d DType) Size() int { return sizes[d] }

// Info describes one tensor.
type Info struct {
	Name   string
	DType  DType
	Shape  []int
	Offset int64 // from the start of the file
	Size   int64 // bytes
}

// Elements returns the product of the shape.
func (i Info) Elements() int64 {
	n := int64(1)
	for _, d := range i.Shape {
		n *= int64(d)
	}
	return n
}

// Limits bounds what a header may claim.
type Limits struct {
	HeaderBytes int64 // longest header
	Tensors     int   // most tensors
	Dims        int   // most dimensions
}

// DefaultLimits are those of the reference implementation (100 MB of header),
// 100,000 tensors and 8 dimensions.
func DefaultLimits() Limits { return Limits{HeaderBytes: 100_000_000, Tensors: 100_000, Dims: 8} }

// ErrFormat is wrapped by every error about a malformed file.
var ErrFormat = errors.New("safetensors: malformed file")

// FormatError reports what is wrong and where.
type FormatError struct {
	Tensor string // "" for the header itself
	Offset int64  // bytes from the start of the file
	Reason string
}

// Error implements error.
func (e *FormatError) Error() string {
	if e.Tensor == "" {
		return fmt.Sprintf("safetensors: %s (at byte %d)", e.Reason, e.Offset)
	}
	return fmt.Sprintf("safetensors: tensor %q: %s (at byte %d)", e.Tensor, e.Reason, e.Offset)
}

// Unwrap makes errors.Is(err, ErrFormat) true.
func (e *FormatError) Unwrap() error { return ErrFormat }

// NotFoundError reports a tensor that is not in the file.
type NotFoundError struct{ Tensor string }

// Error implements error.
func (e *NotFoundError) Error() string { return fmt.Sprintf("safetensors: no tensor %q", e.Tensor) }

// TypeError reports a tensor that cannot be widened to float32.
type TypeError struct {
	Tensor string
	DType  DType
}

// Error implements error.
func (e *TypeError) Error() string {
	return fmt.Sprintf("safetensors: tensor %q is %s, want F32, F16 or BF16", e.Tensor, e.DType)
}

// checkedSize returns the byte size of a shape, or false on overflow.
func checkedSize(shape []int, elem int) (int64, bool) {
	n := int64(elem)
	for _, d := range shape {
		if d < 0 || d != 0 && n > (1<<62)/int64(d) {
			return 0, false
		}
		n *= int64(d)
	}
	return n, true
}
