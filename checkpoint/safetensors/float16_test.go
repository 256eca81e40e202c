package safetensors

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// reference opens testdata/reference.safetensors, made by testdata/make_vectors.py
// with safetensors 0.8.0, numpy and ml_dtypes.
func reference(t testing.TB) *Reader {
	t.Helper()
	b, err := os.ReadFile("testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func raw(t *testing.T, r *Reader, name string) []byte {
	t.Helper()
	b, err := io.ReadAll(mustSection(t, r, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundingEqualsNumpy(t *testing.T) {
	r := reference(t)
	x, err := r.Float32("f32")
	if err != nil {
		t.Fatal(err)
	}
	for name, round := range map[string]func(float32) uint16{"f16": F16, "bf16": BF16} {
		b := raw(t, r, name)
		for i, v := range x {
			if want := binary.LittleEndian.Uint16(b[2*i:]); round(v) != want {
				t.Errorf("%s(%g) = %#04x, want %#04x", name, v, round(v), want)
			}
		}
	}
}

func TestEveryHalfWidensAndComesBack(t *testing.T) {
	for h := range 1 << 16 {
		h := uint16(h)
		if v := FromF16(h); v == v && F16(v) != h {
			t.Fatalf("F16(FromF16(%#04x)) = %#04x", h, F16(v))
		}
		if v := FromBF16(h); v == v && BF16(v) != h {
			t.Fatalf("BF16(FromBF16(%#04x)) = %#04x", h, BF16(v))
		}
	}
}

func TestNaNStaysNaN(t *testing.T) {
	for _, bits := range []uint32{0x7f800001, 0x7fffffff, 0xffc00000, 0xff800001} {
		v := math.Float32frombits(bits)
		if x := FromBF16(BF16(v)); x == x {
			t.Errorf("BF16 of NaN %#x is %g", bits, x)
		}
		if x := FromF16(F16(v)); x == x {
			t.Errorf("F16 of NaN %#x is %g", bits, x)
		}
	}
}

func TestFloat32WidensEachType(t *testing.T) {
	r := reference(t)
	for _, name := range []string{"f16", "bf16"} {
		v, err := r.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		if v[2] != 1 || !math.IsInf(float64(v[10]), 1) || !math.IsInf(float64(v[11]), -1) || len(v) != 256 {
			t.Errorf("%s: %v", name, v[:12])
		}
	}
	if v, err := r.Float32("scalar"); err != nil || len(v) != 1 || v[0] != 2.5 {
		t.Errorf("scalar: %v, %v", v, err)
	}
}

func TestRoundToOddAvoidsDoubleRounding(t *testing.T) {
	// Just above the tie between 1 and the next bfloat16: float32 rounds it onto
	// the tie, which then goes to even, downwards.
	v := 1 + 1./256 + 1e-12
	if BF16(float32(v)) != 0x3f80 {
		t.Fatal("the example is none")
	}
	for in, want := range map[float64]uint16{v: 0x3f81, -v: 0xbf81, 1 + 1./256 - 1e-12: 0x3f80, 1 + 1./256: 0x3f80, 1 + 3./256: 0x3f82, 0: 0, 1e300: 0x7f80, -1e300: 0xff80, 1e-300: 0} {
		if got := BF16(RoundToOdd(in)); got != want {
			t.Errorf("%g: %#04x, want %#04x", in, got, want)
		}
	}
	if v := RoundToOdd(math.NaN()); v == v {
		t.Error("NaN is lost")
	}
}

// Between two neighbours lies a tie; it goes to the even one, and the next
// float32 on either side to its own.
func TestTiesGoToEven(t *testing.T) {
	for name, c := range map[string]struct {
		round func(float32) uint16
		widen func(uint16) float32
		last  uint16 // largest finite
	}{"F16": {F16, FromF16, 0x7bff}, "BF16": {BF16, FromBF16, 0x7f7f}} {
		for h := range c.last {
			mid := float32((float64(c.widen(h)) + float64(c.widen(h+1))) / 2)
			even := h + h&1
			below, above := math.Nextafter32(mid, -1), math.Nextafter32(mid, math.MaxFloat32)
			if c.round(mid) != even || c.round(-mid) != even|0x8000 || c.round(below) != h || c.round(above) != h+1 {
				t.Fatalf("%s around %g: %#04x %#04x %#04x, want %#04x %#04x %#04x",
					name, mid, c.round(below), c.round(mid), c.round(above), h, even, h+1)
			}
		}
	}
}

// The nearest bfloat16 of a float64, by distance.
func nearestBF16(v float64) uint16 {
	h := BF16(float32(v))
	for _, c := range []uint16{h - 1, h + 1} {
		a, b := math.Abs(float64(FromBF16(c))-v), math.Abs(float64(FromBF16(h))-v)
		if a < b || a == b && c&1 == 0 {
			h = c
		}
	}
	return h
}

func TestRoundToOddGivesTheNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		h := uint16(0x3000 + rng.IntN(0x2000))
		tie := (float64(FromBF16(h)) + float64(FromBF16(h+1))) / 2
		for _, ulps := range []float64{0, 1e-16, -1e-16, 3e-10, -3e-10, 6e-8, -6e-8, rng.NormFloat64() * 1e-7} {
			v := tie * (1 + ulps)
			if got, want := BF16(RoundToOdd(v)), nearestBF16(v); got != want {
				t.Fatalf("%v: %#04x, want %#04x", v, got, want)
			}
		}
	}
}
