package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// routes lists what this processor can run, portable Go first.
func routes() (list []route) {
	for r := portable; r <= widest(); r++ {
		list = append(list, r)
	}
	return list
}

// force makes the quantizers take a route until the test ends.
func force(t testing.TB, r route) {
	before := chosen
	chosen = r
	t.Cleanup(func() { chosen = before })
}

// on runs f on each route, the portable one first.
func on(t *testing.T, f func(t *testing.T)) {
	if widest() == portable {
		t.Log("there is no assembly for this processor")
	}
	for _, r := range routes() {
		t.Run(r.String(), func(t *testing.T) {
			force(t, r)
			f(t)
		})
	}
}

// A family makes weights of one kind.
type family struct {
	name string
	make func(rng *rand.Rand, x []float32)
}

func each(f func(rng *rand.Rand, i int) float64) func(*rand.Rand, []float32) {
	return func(rng *rand.Rand, x []float32) {
		for i := range x {
			x[i] = float32(f(rng, i))
		}
	}
}

// runs draws one factor for each run of n weights.
func runs(n int, factor func(*rand.Rand) float64, f func(rng *rand.Rand) float64) func(*rand.Rand, []float32) {
	return func(rng *rand.Rand, x []float32) {
		var k float64
		for i := range x {
			if i%n == 0 {
				k = factor(rng)
			}
			x[i] = float32(k * f(rng))
		}
	}
}

func normal(rng *rand.Rand) float64 { return rng.NormFloat64() }

func one(*rand.Rand) float64 { return 1 }

func decades(low, high float64) func(*rand.Rand) float64 {
	return func(rng *rand.Rand) float64 { return math.Pow(10, low+(high-low)*rng.Float64()) }
}

var families = []family{
	{"gaussian", each(func(r *rand.Rand, _ int) float64 { return 0.02 * r.NormFloat64() })},
	{"heavy-tailed", each(func(r *rand.Rand, _ int) float64 { return 0.01 * r.NormFloat64() / math.Abs(r.NormFloat64()+1e-3) })},
	{"constant block", runs(256, normal, one)},
	{"constant sub-block", runs(32, normal, one)},
	{"constant half sub-block", runs(16, normal, one)},
	{"zeros of both signs", each(func(r *rand.Rand, _ int) float64 { return math.Copysign(0, r.Float64()-0.5) })},
	{"sparse", each(func(r *rand.Rand, _ int) float64 { return r.NormFloat64() * float64(r.IntN(50)/49) })},
	{"positive", each(func(r *rand.Rand, _ int) float64 { return 1 + math.Abs(r.NormFloat64()) })},
	{"negative", each(func(r *rand.Rand, _ int) float64 { return -3 * math.Abs(r.NormFloat64()) })},
	{"far from zero", each(func(r *rand.Rand, _ int) float64 { return -1000 + 1e-3*r.NormFloat64() })},
	{"one outlier", each(func(r *rand.Rand, i int) float64 { return 1e-6*r.NormFloat64() + float64(i%256/255) })},
	{"scaled by sixteen", runs(16, decades(-6, 3), normal)},
	{"scaled by thirty-two", runs(32, decades(-30, 4), normal)},
	{"denormal", runs(256, decades(-45, -37), normal)},
	{"small", runs(256, decades(-39, -12), normal)},
	{"large", runs(256, decades(0, 6), normal)},
	{"grid", each(func(r *rand.Rand, _ int) float64 { return 0.25 * float64(r.IntN(9)-4) })},
	{"ties", each(func(r *rand.Rand, i int) float64 { return float64(r.IntN(63)-31) / 2 })},
	{"few bits", each(func(r *rand.Rand, _ int) float64 {
		return float64(safetensors.FromBF16(safetensors.BF16(float32(r.NormFloat64()))))
	})},
}

// importances are importance matrices of several kinds, with rows of 768.
var importances = []family{
	{"plain", nil},
	{"gamma", each(func(r *rand.Rand, _ int) float64 { return r.NormFloat64()*r.NormFloat64()*r.Float64() + 1e-4 })},
	{"squares", each(func(r *rand.Rand, _ int) float64 { return math.Pow(r.NormFloat64(), 2) })},
	{"zero columns", each(func(r *rand.Rand, _ int) float64 { return float64(r.IntN(2)) * r.Float64() })},
	{"zero", each(func(*rand.Rand, int) float64 { return 0 })},
	{"wide", runs(1, decades(-30, 20), one)},
	{"large", runs(256, decades(0, 36), one)},
}

// TestRoutesGiveTheSameBytes compares each route with portable Go.
func TestRoutesGiveTheSameBytes(t *testing.T) {
	const row = 768
	for _, f := range families {
		rng := rand.New(rand.NewPCG(5, 6))
		x := make([]float32, 7*row)
		f.make(rng, x)
		for _, im := range importances {
			var v []float32
			if im.make != nil {
				v = make([]float32, row)
				im.make(rng, v)
			}
			for _, typ := range encodable {
				sameOnRoutes(t, f.name+", "+im.name, typ, x, row, v)
			}
		}
	}
}

// sameOnRoutes fails where a route's bytes or error are not portable Go's.
func sameOnRoutes(t *testing.T, name string, typ Type, x []float32, row int, v []float32) {
	t.Helper()
	var want []byte
	var wantErr error
	for _, r := range routes() {
		got := make([]byte, len(x)/typ.BlockSize()*typ.BlockBytes())
		before := chosen
		chosen = r
		err := Quantize(typ, got, x, row, v)
		chosen = before
		if r == portable {
			want, wantErr = got, err
			continue
		}
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s, %v, %v: error %v, portable Go's %v", name, typ, r, err, wantErr)
		}
		if n := typ.BlockBytes(); err == nil && !bytes.Equal(got, want) {
			for i := 0; i < len(got); i += n {
				if !bytes.Equal(got[i:i+n], want[i:i+n]) {
					t.Fatalf("%s, %v, %v: block %d of %d differs\n%x\n%x", name, typ, r, i/n, len(got)/n, got[i:i+n], want[i:i+n])
				}
			}
		}
	}
}

// Lanes that a short tail leaves empty do not matter, nor what was in them before.
func TestRoutesAgreeOnTails(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for blocks := 1; blocks <= 9; blocks++ {
		x, v := make([]float32, 256*blocks), make([]float32, 256*blocks)
		families[0].make(rng, x)
		importances[2].make(rng, v)
		for _, typ := range encodable {
			sameOnRoutes(t, fmt.Sprint(blocks, " blocks"), typ, x, 256, nil)
			sameOnRoutes(t, fmt.Sprint(blocks, " blocks, importance"), typ, x, 256*blocks, v)
			if n := typ.BlockSize() * blocks; n < len(x) {
				sameOnRoutes(t, fmt.Sprint(blocks, " small blocks"), typ, x[:n], n, nil)
				sameOnRoutes(t, fmt.Sprint(blocks, " small blocks, importance"), typ, x[:n], n, v[:n])
			}
		}
	}
}

// TestRoutesAgreeOnAModel quantizes weights that were trained.
func TestRoutesAgreeOnAModel(t *testing.T) {
	m, err := safetensors.OpenModel(os.DirFS("../examples/fullpipeline/model"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the bundled model is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	rng := rand.New(rand.NewPCG(9, 10))
	for _, info := range m.Tensors() {
		if len(info.Shape) != 2 || info.Shape[1]%superBlock != 0 {
			continue
		}
		rows, row := min(info.Shape[0], 32), info.Shape[1]
		x, v := make([]float32, rows*row), make([]float32, row)
		if err := m.ReadFloat32(info.Name, 0, x); err != nil {
			t.Fatal(err)
		}
		importances[2].make(rng, v)
		for _, typ := range encodable {
			sameOnRoutes(t, info.Name, typ, x, row, nil)
			sameOnRoutes(t, info.Name+", importance", typ, x, row, v)
		}
	}
}

// TestRoutesDecodeTheSame decodes what was quantized, and noise, in which scales are
// infinite or not numbers, too.
func TestRoutesDecodeTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, typ := range encodable {
		for blocks := 1; blocks < 70; blocks++ {
			src := make([]byte, blocks*typ.BlockBytes())
			for i := range src {
				src[i] = byte(rng.Uint32())
			}
			sameDecoded(t, typ, src)
		}
	}
}

func sameDecoded(t *testing.T, typ Type, src []byte) {
	t.Helper()
	want := decodedBy(portable, typ, src)
	for _, r := range routes() {
		got := decodedBy(r, typ, src)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				n := typ.BlockSize()
				t.Fatalf("%v, %v: element %d of %d: %x, portable Go has %x; block %x", typ, r, i, len(got),
					math.Float32bits(got[i]), math.Float32bits(want[i]), src[i/n*typ.BlockBytes():][:typ.BlockBytes()])
			}
		}
	}
}

func decodedBy(r route, typ Type, src []byte) []float32 {
	defer func(before route) { chosen = before }(chosen)
	chosen = r
	dst := make([]float32, len(src)/typ.BlockBytes()*typ.BlockSize())
	if err := Dequantize(typ, dst, src); err != nil {
		panic(err)
	}
	return dst
}

// FuzzRoutes makes weights, importances and blocks of the data and compares routes.
func FuzzRoutes(f *testing.F) {
	rng := rand.New(rand.NewPCG(13, 14))
	for i, fam := range families {
		x := make([]float32, 512)
		fam.make(rng, x)
		data := make([]byte, 2048)
		encodeF32(data, x, nil)
		f.Add(data, uint8(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, weighted bool) {
		typ := encodable[int(kind)%len(encodable)]
		const row = 256
		x := fuzzFloats(data, 4*row)
		var v []float32
		if weighted {
			v = fuzzFloats(data[len(data)/2:], row)
			for i := range v {
				v[i] = abs32(v[i])
			}
		}
		sameOnRoutes(t, "fuzz", typ, x, row, v)
		if n := len(data) / typ.BlockBytes(); n > 0 {
			sameDecoded(t, typ, data[:n*typ.BlockBytes()])
		}
	})
}

// fuzzFloats repeats the data's floats to n finite ones.
func fuzzFloats(data []byte, n int) []float32 {
	x := make([]float32, n)
	if len(data) < 4 {
		return x
	}
	for i := range x {
		b := binary.LittleEndian.Uint32(data[i*4%(len(data)-3):])
		if b>>23&255 > 127+28 {
			b &^= 1 << 30
		}
		x[i] = math.Float32frombits(b)
	}
	return x
}
