package gorgonia

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// ShapeError reports values and a shape that do not belong together.
type ShapeError struct {
	Shape []int
	Have  int // values
	Why   string
}

// Error implements error.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("gorgonia: shape %v with %d values: %s", e.Shape, e.Have, e.Why)
}

// TensorError reports a tensor that cannot be read.
type TensorError struct{ Why string }

// Error implements error.
func (e *TensorError) Error() string { return "gorgonia: " + e.Why }

// Dense copies row-major values into a float32 tensor of the given shape, which
// has one to eight dimensions, all above 0.
func Dense(values []float32, shape ...int) (*tensor.Dense, error) {
	n := 1
	for _, d := range shape {
		if d < 1 || n > math.MaxInt/d {
			return nil, &ShapeError{shape, len(values), "every dimension must be above 0 and the product fit"}
		}
		n *= d
	}
	if len(shape) < 1 || len(shape) > 8 || n != len(values) {
		return nil, &ShapeError{shape, len(values), fmt.Sprintf("%d dimensions hold %d", len(shape), n)}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float32(nil), values...))), nil
}

// Values copies a tensor's elements in row-major order, whatever its own order:
// transposed and sliced views are read as they look. float64 is rounded to
// float32; a number that overflows is an error.
func Values(t tensor.Tensor) (values []float32, shape []int, err error) {
	if err := readable(t); err != nil {
		return nil, nil, err
	}
	shape = append([]int(nil), t.Shape()...)
	switch data := t.Data().(type) {
	case []float32:
		values, err = gather(data, shape, t.Strides())
	case []float64:
		values, err = gather(data, shape, t.Strides())
	case float32:
		values = []float32{data}
	case float64:
		values, err = gather([]float64{data}, nil, nil)
	default:
		return nil, nil, &TensorError{fmt.Sprintf("elements are %v, want float32 or float64", t.Dtype())}
	}
	return values, shape, err
}

func readable(t tensor.Tensor) error {
	if t == nil {
		return &TensorError{"the tensor is nil"}
	}
	if !t.IsNativelyAccessible() {
		return &TensorError{"the tensor is not in host memory"}
	}
	if m, ok := t.(tensor.MaskedTensor); ok && m.IsMasked() {
		return &TensorError{"the tensor is masked"}
	}
	if len(t.Strides()) != len(t.Shape()) {
		return &TensorError{fmt.Sprintf("shape %v has strides %v", t.Shape(), t.Strides())}
	}
	return nil
}

// gather walks a strided array in row-major order.
func gather[T float32 | float64](data []T, shape, strides []int) ([]float32, error) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	out := make([]float32, 0, n)
	index := make([]int, len(shape))
	for range n {
		at := 0
		for k, i := range index {
			at += i * strides[k]
		}
		if at < 0 || at >= len(data) {
			return nil, &ShapeError{shape, len(data), fmt.Sprintf("strides %v lead outside", strides)}
		}
		v := float32(data[at])
		if math.IsInf(float64(v), 0) && !math.IsInf(float64(data[at]), 0) {
			return nil, &TensorError{fmt.Sprintf("element %d is %g, beyond float32", len(out), float64(data[at]))}
		}
		out = append(out, v)
		next(index, shape)
	}
	return out, nil
}

// next counts index up, last dimension fastest.
func next(index, shape []int) {
	for k := len(index) - 1; k >= 0; k-- {
		if index[k]++; index[k] < shape[k] {
			return
		}
		index[k] = 0
	}
}
