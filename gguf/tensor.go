package gguf

import (
	"fmt"
	"math/bits"
	"slices"
)

// maxDims and maxName are ggml's GGML_MAX_DIMS and GGML_MAX_NAME less the NUL.
const (
	maxDims = 4
	maxName = 63
)

// TensorInfo describes one tensor.
type TensorInfo struct {
	Name string
	Type Type
	// Shape has up to 4 dimensions, slowest first, as in PyTorch; the last is the
	// row, whose length is a multiple of the type's block.
	Shape []int
	// Offset and Size are the place of the bytes, from the start of the file. Writer
	// sets them.
	Offset, Size int64
}

// Elements returns the product of the shape.
func (i TensorInfo) Elements() int64 {
	n := int64(1)
	for _, d := range i.Shape {
		n *= int64(d)
	}
	return n
}

// Row returns the length of a row, 1 for a scalar.
func (i TensorInfo) Row() int {
	if len(i.Shape) == 0 {
		return 1
	}
	return i.Shape[len(i.Shape)-1]
}

// layout checks name, shape and type, and returns the size in bytes.
func (i TensorInfo) layout() (int64, error) {
	if err := checkName(i.Name); err != nil {
		return 0, err
	}
	n, err := elements(i.Shape)
	if err != nil {
		return 0, err
	}
	if b := i.Type.BlockSize(); b > 0 && i.Row()%b != 0 {
		return 0, fmt.Errorf("%w: rows of %d are no multiple of %v's block of %d", ErrFormat, i.Row(), i.Type, b)
	}
	return i.Type.Bytes(n)
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty tensor name", ErrFormat)
	case len(name) > maxName:
		return fmt.Errorf("%w: tensor name of %d bytes, over %d", ErrFormat, len(name), maxName)
	}
	return nil
}

func elements(shape []int) (int64, error) {
	if len(shape) > maxDims {
		return 0, fmt.Errorf("%w: %d dimensions, over %d", ErrFormat, len(shape), maxDims)
	}
	n := uint64(1)
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || int64(lo) < 0 {
			return 0, fmt.Errorf("%w: shape %v overflows", ErrFormat, shape)
		}
		n = lo
	}
	// A zero dimension must not hide a product that overflows for those who
	// multiply in another order.
	if n == 0 {
		nonzero := slices.DeleteFunc(slices.Clone(shape), func(d int) bool { return d == 0 })
		if _, err := elements(nonzero); err != nil {
			return 0, err
		}
	}
	return int64(n), nil
}

// padded rounds n up to a multiple of align; false on overflow.
func padded(n int64, align uint32) (int64, bool) {
	rem := n % int64(align)
	if rem == 0 {
		return n, true
	}
	sum := n + int64(align) - rem
	return sum, sum > n
}
