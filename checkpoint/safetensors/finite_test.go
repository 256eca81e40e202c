package safetensors

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"
)

func bytesTensor(name string, d DType, b []byte) Tensor {
	return Tensor{Info{Name: name, DType: d, Shape: []int{len(b) / d.Size()}}, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}}
}

func written(t testing.TB, tensors ...Tensor) *Reader {
	t.Helper()
	var w bytes.Buffer
	if err := Write(&w, tensors, nil); err != nil {
		t.Fatal(err)
	}
	r, err := open(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckFiniteFindsTheFirst(t *testing.T) {
	const n = checkBytes + 100 // beyond the first buffer
	for d, bits := range map[DType]uint64{
		"F64": 0x7ff0000000000000, "F32": 0x7fc00000, "F16": 0xfc00, "BF16": 0x7f81, "F8_E5M2": 0xfc, "F8_E4M3": 0xff,
	} {
		b := make([]byte, n*d.Size())
		for _, at := range []int{n - 2, n - 5} { // the earlier one counts
			var e [8]byte
			binary.LittleEndian.PutUint64(e[:], bits)
			copy(b[at*d.Size():(at+1)*d.Size()], e[:])
		}
		err := written(t, bytesTensor("w", d, b)).CheckFinite(t.Context(), "w")
		var nf *NotFiniteError
		if !errors.As(err, &nf) || nf.Index != n-5 || nf.Bits != bits || nf.Tensor != "w" {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestCheckFinitePassesLargeNumbersAndOtherTypes(t *testing.T) {
	r := written(t,
		F32Tensor("f", []int{2}, []float32{math.MaxFloat32, -math.SmallestNonzeroFloat32}),
		F16Tensor("h", []int{1}, []float32{-65504}),
		BF16Tensor("b", []int{1}, []float32{3.38e38}),
		bytesTensor("i", "I32", []byte{0, 0, 0xc0, 0x7f}),
		bytesTensor("e", "F8_E4M3", []byte{0x7e}),
		bytesTensor("none", "F32", nil))
	for _, info := range r.Tensors() {
		if err := r.CheckFinite(t.Context(), info.Name); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckFiniteStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := written(t, F32Tensor("f", []int{1}, []float32{1})).CheckFinite(ctx, "f"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCheckFiniteOfAbsentTensor(t *testing.T) {
	var nf *NotFoundError
	if err := written(t).CheckFinite(t.Context(), "x"); !errors.As(err, &nf) {
		t.Error(err)
	}
}

func TestFirstNotFinite(t *testing.T) {
	inf := float32(math.Inf(-1))
	for want, v := range map[int][]float32{-1: {1, math.MaxFloat32}, 1: {0, inf, inf}, 0: {float32(math.NaN())}} {
		if got := FirstNotFinite(v); got != want {
			t.Errorf("%v: %d, want %d", v, got, want)
		}
	}
}

// TestBF16InBulk: every pattern, at every place of a word and in the rest.
func TestBF16InBulk(t *testing.T) {
	for length := range 11 {
		for h := range 1 << 16 {
			at := h % max(length, 1)
			raw, want := make([]byte, 2*length), -1
			if length > 0 {
				binary.LittleEndian.PutUint16(raw[2*at:], uint16(h))
			}
			got := make([]float32, length)
			WidenBF16(got, raw)
			for i, v := range got {
				x := uint16(0)
				if i == at {
					x = uint16(h)
				}
				if math.Float32bits(v) != uint32(x)<<16 {
					t.Fatalf("%#04x at %d of %d: %v at %d", h, at, length, v, i)
				}
			}
			if length > 0 && h&0x7f80 == 0x7f80 {
				want = at
			}
			if i := FirstNotFiniteBF16(raw); i != want {
				t.Fatalf("%#04x at %d of %d: %d", h, at, length, i)
			}
		}
	}
}

func BenchmarkCheckFinite(b *testing.B) {
	r := written(b, BF16Tensor("w", []int{1 << 20}, make([]float32, 1<<20)))
	b.SetBytes(2 << 20)
	for b.Loop() {
		if err := r.CheckFinite(b.Context(), "w"); err != nil {
			b.Fatal(err)
		}
	}
}
