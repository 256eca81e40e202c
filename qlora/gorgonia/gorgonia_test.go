package gorgonia

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gorgonia.org/tensor"

	"github.com/borea-go/borea/qlora"
)

func count(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i) + 0.5
	}
	return v
}

func TestDenseThereAndBack(t *testing.T) {
	for _, shape := range [][]int{{6}, {1}, {2, 3}, {1, 6}, {6, 1}, {1, 1}, {1, 2, 3}} {
		n := 1
		for _, d := range shape {
			n *= d
		}
		d, err := Dense(count(n), shape...)
		require.NoError(t, err, shape)
		require.Equal(t, tensor.Float32, d.Dtype())
		v, s, err := Values(d)
		require.NoError(t, err, shape)
		require.Equal(t, count(n), v, shape)
		require.Equal(t, shape, s)
	}
}

func TestNoMemoryIsShared(t *testing.T) {
	v := count(4)
	d, err := Dense(v, 2, 2)
	require.NoError(t, err)
	v[0] = 99
	back, _, err := Values(d)
	require.NoError(t, err)
	require.Equal(t, count(4), back)
	back[1] = 99
	at, err := d.At(0, 1)
	require.NoError(t, err)
	require.Equal(t, float32(1.5), at)
}

// Every view must read as At shows it.
func TestViewsReadAsTheyLook(t *testing.T) {
	fresh := func() *tensor.Dense {
		d, err := Dense(count(12), 3, 4)
		require.NoError(t, err)
		return d
	}
	transposed := fresh()
	require.NoError(t, transposed.T())
	sliced, err := fresh().Slice(tensor.S(1, 3), tensor.S(1, 3))
	require.NoError(t, err)
	column, err := fresh().Slice(nil, tensor.S(2))
	require.NoError(t, err)
	cube, err := Dense(count(24), 2, 3, 4)
	require.NoError(t, err)
	require.NoError(t, cube.T(2, 0, 1))
	for name, view := range map[string]tensor.Tensor{
		"transposed": transposed, "sliced": sliced, "column": column, "cube": cube,
		"column-major": tensor.New(tensor.WithShape(2, 3), tensor.AsFortran(count(6))),
	} {
		v, shape, err := Values(view)
		require.NoError(t, err, name)
		index := make([]int, len(shape))
		for i := range v {
			want, err := view.At(index...)
			require.NoError(t, err, name)
			require.Equal(t, want, v[i], "%s at %v", name, index)
			next(index, shape)
		}
	}
}

func TestFloat64IsRounded(t *testing.T) {
	v, _, err := Values(tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{1. / 3, math.Inf(1)})))
	require.NoError(t, err)
	require.Equal(t, []float32{float32(1. / 3), float32(math.Inf(1))}, v)
	v, shape, err := Values(tensor.New(tensor.FromScalar(2.5)))
	require.NoError(t, err)
	require.Equal(t, []float32{2.5}, v)
	require.Empty(t, shape)
}

func TestRefusals(t *testing.T) {
	for name, shape := range map[string][]int{"none": {}, "zero": {0, 6}, "negative": {-2, -3}, "short": {2, 2}, "huge": {math.MaxInt, 2}, "nine": {6, 1, 1, 1, 1, 1, 1, 1, 1}} {
		_, err := Dense(count(6), shape...)
		var se *ShapeError
		require.ErrorAs(t, err, &se, name)
	}
	_, err := Dense(nil, 1<<32, 1<<32) // wraps to 0
	require.Error(t, err)
	masked := tensor.New(tensor.WithShape(2), tensor.WithBacking(count(2), []bool{true, false}))
	for name, x := range map[string]tensor.Tensor{
		"nil": nil, "integers": tensor.New(tensor.WithShape(2), tensor.WithBacking([]int{1, 2})), "masked": masked,
		"overflow": tensor.New(tensor.WithShape(1), tensor.WithBacking([]float64{1e300})),
	} {
		_, _, err := Values(x)
		var te *TensorError
		require.ErrorAs(t, err, &te, name)
	}
}

func adapter() *qlora.Adapter {
	return &qlora.Adapter{Factors: map[string]qlora.Factor{
		"model.layers.0.self_attn.qkv_proj": {In: 4, Out: 6, R: 2, Scale: 2, A: count(8), B: count(12)},
		"model.layers.1.mlp.down_proj":      {In: 3, Out: 4, R: 2, Scale: 0.5, A: count(6), B: count(8)},
	}}
}

func TestAdapterThereAndBack(t *testing.T) {
	pairs, err := FromAdapter(adapter())
	require.NoError(t, err)
	require.Len(t, pairs, 2)
	var got qlora.Adapter
	require.NoError(t, SetFactors(&got, pairs))
	require.Equal(t, adapter().Factors, got.Factors)
}

// The product of the tensors is the update that qlora adds.
func TestProductOfThePairIsTheUpdate(t *testing.T) {
	f := adapter().Factors["model.layers.1.mlp.down_proj"]
	p, err := FromFactor(f)
	require.NoError(t, err)
	product, err := tensor.MatMul(p.B, p.A)
	require.NoError(t, err)
	v, shape, err := Values(product)
	require.NoError(t, err)
	require.Equal(t, []int{f.Out, f.In}, shape)
	for r := range f.Out {
		for c := range f.In {
			want := float32(0)
			for k := range f.R {
				want += f.B[r*f.R+k] * f.A[k*f.In+c]
			}
			require.InDelta(t, want, v[r*f.In+c], 1e-5)
		}
	}
}

func TestPairsThatDoNotFitAreRefused(t *testing.T) {
	a, err := Dense(count(8), 2, 4)
	require.NoError(t, err)
	b, err := Dense(count(9), 3, 3)
	require.NoError(t, err)
	vector, err := Dense(count(3), 3)
	require.NoError(t, err)
	for name, p := range map[string]Pair{"ranks": {A: a, B: b}, "no A": {B: b}, "no B": {A: a}, "vector": {A: vector, B: b}} {
		before := adapter()
		require.Error(t, SetFactors(before, map[string]Pair{"x": p}), name)
		require.Equal(t, adapter(), before, name)
	}
	_, err = FromAdapter(&qlora.Adapter{Factors: map[string]qlora.Factor{"linear": {In: 4, Out: 4, R: 2, A: count(7), B: count(8)}}})
	require.ErrorContains(t, err, "linear: factor A")
	_, err = FromFactor(qlora.Factor{In: 4, Out: 4, R: 2, A: count(8), B: count(7)})
	require.ErrorContains(t, err, "factor B")
}
