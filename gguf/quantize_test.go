package gguf

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// encodable lists the types that can be quantized to.
var encodable = []Type{F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K}

// reference opens the vectors that testdata/make_vectors.py had llama.cpp's own
// library make.
func reference(t testing.TB) (r *safetensors.Reader, x, imatrix []float32) {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	r, err = safetensors.NewReader(bytes.NewReader(data), int64(len(data)), safetensors.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if x, err = r.Float32("x"); err != nil {
		t.Fatal(err)
	}
	if imatrix, err = r.Float32("imatrix"); err != nil {
		t.Fatal(err)
	}
	return r, x, imatrix
}

func section(t testing.TB, r *safetensors.Reader, name string) []byte {
	t.Helper()
	s, err := r.Section(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func quantized(t testing.TB, typ Type, x []float32, row int, v []float32) []byte {
	t.Helper()
	n, err := typ.Bytes(int64(len(x)))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, n)
	if err := Quantize(typ, dst, x, row, v); err != nil {
		t.Fatalf("%v: %v", typ, err)
	}
	return dst
}

func TestQuantizersEqualReference(t *testing.T) {
	r, x, v := reference(t)
	on(t, func(t *testing.T) {
		for _, typ := range encodable {
			if typ == F32 {
				continue
			}
			compareBlocks(t, typ, "plain", quantized(t, typ, x, len(v), nil), section(t, r, typ.String()))
			if typ != F16 && typ != BF16 {
				compareBlocks(t, typ, "imatrix", quantized(t, typ, x, len(v), v), section(t, r, typ.String()+".imatrix"))
			}
		}
	})
}

func compareBlocks(t *testing.T, typ Type, how string, got, want []byte) {
	t.Helper()
	n, differ, first := typ.BlockBytes(), 0, -1
	for i := 0; i < len(want); i += n {
		if !bytes.Equal(got[i:i+n], want[i:i+n]) {
			if first < 0 {
				first = i / n
			}
			differ++
		}
	}
	if differ > 0 {
		t.Errorf("%v %s: %d of %d blocks differ, the first is %d", typ, how, differ, len(want)/n, first)
	}
}

func TestDequantizersEqualReference(t *testing.T) {
	r, x, _ := reference(t)
	on(t, func(t *testing.T) {
		for _, typ := range encodable {
			src := quantized(t, F32, x, len(x), nil)
			if typ != F32 {
				src = section(t, r, typ.String())
			}
			y := make([]float32, len(x))
			if err := Dequantize(typ, y, src); err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			_ = binary.Write(h, binary.LittleEndian, y)
			if got := hex.EncodeToString(h.Sum(nil)); got != r.Metadata()["sha256 of dequantized "+typ.String()] {
				t.Errorf("%v: decoded weights differ from the reference", typ)
			}
		}
	})
}

// The errors of llama.cpp's test-quantize-fns: 0.1 + 2cos(i), sqrt(Σd²)/n.
func TestRoundTripError(t *testing.T) {
	x := make([]float32, 4096)
	for i := range x {
		x[i] = float32(0.1 + 2*math.Cos(float64(i)))
	}
	limits := map[Type]float64{F32: 0, F16: 1e-5, BF16: 1e-4, Q4_0: 0.003, Q4_1: 0.003, Q5_0: 0.002, Q5_1: 0.002, Q8_0: 0.0002,
		Q2_K: 0.0075, Q3_K: 0.004, Q4_K: 0.003, Q5_K: 0.002, Q6_K: 0.002}
	for _, typ := range encodable {
		y := make([]float32, len(x))
		if err := Dequantize(typ, y, quantized(t, typ, x, len(x), nil)); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i := range x {
			d := float64(x[i] - y[i])
			sum += d * d
		}
		if e := math.Sqrt(sum) / float64(len(x)); e > limits[typ] {
			t.Errorf("%v: error %.2g, over %.2g", typ, e, limits[typ])
		}
	}
}

func TestQuantizeRefuses(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	with := func(i int, v float32) []float32 {
		x := make([]float32, 512)
		for j := range x {
			x[j] = float32(j%7) - 3
		}
		x[i] = v
		return x
	}
	cases := []struct {
		name    string
		typ     Type
		x       []float32
		row     int
		imatrix []float32
		want    error
	}{
		{"infinity", Q5_K, with(300, inf), 256, nil, ErrNumber},
		{"negative infinity", F32, with(0, -inf), 256, nil, ErrNumber},
		{"NaN", Q8_0, with(511, nan), 256, nil, ErrNumber},
		{"NaN importance", Q5_K, with(1, 1), 512, with(3, nan), ErrNumber},
		{"beyond float16", F16, with(9, 70000), 256, nil, ErrNumber},
		{"scale beyond float16", Q4_0, with(9, 1e6), 256, nil, ErrNumber},
		{"half scale beyond float16", Q6_K, with(9, 3e38), 256, nil, ErrNumber},
		{"beyond bfloat16", BF16, with(9, math.MaxFloat32), 256, nil, ErrNumber},
		{"ragged rows", Q5_K, with(9, 1), 384, nil, ErrFormat},
		{"rows that cut blocks", Q5_K, with(9, 1), 128, nil, ErrFormat},
		{"short importance", Q5_K, with(9, 1), 512, make([]float32, 256), ErrFormat},
		{"copied type", IQ(t), with(9, 1), 256, nil, ErrUnsupported},
		{"unknown type", 99, with(9, 1), 256, nil, ErrUnsupported},
	}
	for _, c := range cases {
		n, _ := c.typ.Bytes(512)
		err := Quantize(c.typ, make([]byte, n), c.x, c.row, c.imatrix)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	var n *NumberError
	if err := Quantize(F16, make([]byte, 1024), with(9, 70000), 512, nil); !errors.As(err, &n) || n.Index != 9 {
		t.Errorf("%v does not name element 9", err)
	}
}

func IQ(t *testing.T) Type {
	typ, err := ParseType("iq4_nl")
	if err != nil {
		t.Fatal(err)
	}
	return typ
}
