package gorgonia

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/borea-go/borea/qlora"
)

// Pair is the update of one linear, W + Scale·B·A, as tensors.
type Pair struct {
	A     *tensor.Dense // [R, In]
	B     *tensor.Dense // [Out, R]
	Scale float64
}

// FromFactor copies a factor into tensors.
func FromFactor(f qlora.Factor) (Pair, error) {
	a, err := Dense(f.A, f.R, f.In)
	if err != nil {
		return Pair{}, fmt.Errorf("factor A: %w", err)
	}
	b, err := Dense(f.B, f.Out, f.R)
	if err != nil {
		return Pair{}, fmt.Errorf("factor B: %w", err)
	}
	return Pair{A: a, B: b, Scale: f.Scale}, nil
}

// Factor copies the pair back; the ranks of A and B must agree.
func (p Pair) Factor() (qlora.Factor, error) {
	a, shapeA, err := matrix(p.A)
	if err != nil {
		return qlora.Factor{}, fmt.Errorf("factor A: %w", err)
	}
	b, shapeB, err := matrix(p.B)
	if err != nil {
		return qlora.Factor{}, fmt.Errorf("factor B: %w", err)
	}
	if shapeA[0] != shapeB[1] {
		return qlora.Factor{}, &TensorError{fmt.Sprintf("A is %v and B %v: ranks differ", shapeA, shapeB)}
	}
	return qlora.Factor{In: shapeA[1], Out: shapeB[0], R: shapeA[0], Scale: p.Scale, A: a, B: b}, nil
}

func matrix(t *tensor.Dense) ([]float32, []int, error) {
	if t == nil {
		return nil, nil, &TensorError{"the tensor is nil"}
	}
	v, shape, err := Values(t)
	if err == nil && len(shape) != 2 {
		err = &ShapeError{shape, len(v), "want two dimensions"}
	}
	return v, shape, err
}

// FromAdapter copies all factors of an adapter, by the name of their linear.
// Rotation gates are not factors and stay behind.
func FromAdapter(a *qlora.Adapter) (map[string]Pair, error) {
	out := make(map[string]Pair, len(a.Factors))
	for name, f := range a.Factors {
		p, err := FromFactor(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = p
	}
	return out, nil
}

// SetFactors replaces an adapter's factors by pairs; on an error it is unchanged.
func SetFactors(a *qlora.Adapter, pairs map[string]Pair) error {
	factors := make(map[string]qlora.Factor, len(pairs))
	for name, p := range pairs {
		f, err := p.Factor()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		factors[name] = f
	}
	a.Factors = factors
	return nil
}
