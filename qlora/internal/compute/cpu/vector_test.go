package cpu

import (
	"math"
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// TestExponential holds every path against math.Exp over the whole range, and at
// the values that are special.
func TestExponential(t *testing.T) {
	for _, k := range available() {
		var x []float32
		for v := -87.3; v < 88.3; v += 0.00731 {
			x = append(x, float32(v))
		}
		y := make([]float32, len(x))
		k.expSum(y, x, 0)
		worst := 0.0
		for i, v := range x {
			want := math.Exp(float64(v))
			worst = max(worst, math.Abs(float64(y[i])-want)/want)
		}
		if worst > 2e-7 {
			t.Errorf("%s: relative error %.3g", k.name, worst)
		}
		inf, nan := float32(math.Inf(1)), float32(math.NaN())
		special := []float32{0, -inf, -200, nan, -88, 1}
		got := make([]float32, len(special))
		k.expSum(got, special, 0)
		if got[0] != 1 || got[1] != 0 || got[2] != 0 || got[3] == got[3] || got[4] != 0 {
			t.Errorf("%s: exp of %v is %v", k.name, special, got)
		}
		if k.expSum(got[:1], []float32{200}, 0) < math.MaxFloat32/4 {
			t.Errorf("%s: exp(200) is %v", k.name, got[0])
		}
	}
}

// TestVectorsAgree compares each path with the portable loops at every length
// around the vector widths.
func TestVectorsAgree(t *testing.T) {
	ref := goKernels()
	for _, k := range available() {
		for n := range 150 {
			a, b, c := ramp(n, 1), ramp(n, 2), ramp(n, 3)
			h, q := make([]uint16, n), make([]int8, n)
			for i := range n {
				h[i], q[i] = toBF16(b[i]), int8(i*37)
			}
			near := func(what string, got, want float32) {
				t.Helper()
				if math.Abs(float64(got-want)) > 1e-5*(1+math.Abs(float64(want))) {
					t.Fatalf("%s %s n=%d: %v, want %v", k.name, what, n, got, want)
				}
			}
			all := func(what string, got, want []float32) {
				t.Helper()
				for i := range want {
					near(what, got[i], want[i])
				}
			}
			near("dot", k.dot(a, b), ref.dot(a, b))
			near("dotBF16", k.dotBF16(a, h), ref.dotBF16(a, h))
			near("dotI8", k.dotI8(a, q)/1000, ref.dotI8(a, q)/1000)
			if n > 0 {
				near("max", k.max(a), ref.max(a))
			}
			x, y := make([]float32, n), make([]float32, n)
			near("expSum", k.expSum(x, a, 0.5), ref.expSum(y, a, 0.5))
			all("exp", x, y)
			k.swiglu(x, a, b)
			ref.swiglu(y, a, b)
			all("swiglu", x, y)
			x2, y2 := make([]float32, n), make([]float32, n)
			k.swigluBack(x, x2, c, a, b)
			ref.swigluBack(y, y2, c, a, b)
			all("swiglu gate gradient", x, y)
			all("swiglu up gradient", x2, y2)
			k.axpy(x, a, 0.3)
			ref.axpy(y, a, 0.3)
			k.scale(x, 1.7)
			ref.scale(y, 1.7)
			all("axpy and scale", x, y)
		}
	}
}

// TestRowsAgree compares the operations on many rows with those on one, for every
// number of rows and columns around the widths of registers.
func TestRowsAgree(t *testing.T) {
	ref := goKernels()
	for _, k := range available() {
		for _, cols := range []int{1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 100, 127, 128, 129, 200} {
			for rows := 1; rows < 10; rows++ {
				ld := cols + 3
				x, w := ramp(cols, 1), ramp(rows*ld, 2)
				h := make([]uint16, rows*cols)
				for i := range h {
					h[i] = toBF16(w[i])
				}
				got, want := ramp(rows+1, 7), ramp(rows+1, 7) // the last must stay
				k.dots(got[:rows], x, w, ld)
				ref.dots(want[:rows], x, w, ld)
				closeTo(t, k.name+" dots", got, want)
				k.dotsBF16(got[:rows], x, h)
				ref.dotsBF16(want[:rows], x, h)
				closeTo(t, k.name+" dotsBF16", got, want)
				got, want = ramp(cols+1, 5), ramp(cols+1, 5)
				k.mix(got[:cols], ramp(rows, 3), w, ld)
				ref.mix(want[:cols], ramp(rows, 3), w, ld)
				closeTo(t, k.name+" mix", got, want)
			}
		}
	}
}

func closeTo(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-4*(1+math.Abs(float64(want[i]))) {
			t.Fatalf("%s of %d: element %d is %v, want %v", what, len(want), i, got[i], want[i])
		}
	}
}

func ramp(n, seed int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((i*7919+seed*104729)%2001-1000) / 250
	}
	return x
}

// TestRandomNumbersAreTheSameOnEveryPath demands equal bits.
func TestRandomNumbersAreTheSameOnEveryPath(t *testing.T) {
	ref, s := goKernels(), &stream{key: [2]uint32{0xfffffff1, 7}, step: [2]uint32{3, 0x80000000}}
	for _, k := range available() {
		for _, first := range []uint32{0, 5, 0xfffffff0} {
			got, want := make([]float32, 256), make([]float32, 256)
			k.philox(got, s, 19, first)
			ref.philox(want, s, 19, first)
			if !slices.Equal(got, want) {
				t.Fatalf("%s from counter %d: %v, want %v", k.name, first, got[:8], want[:8])
			}
		}
		for n := range 70 {
			x, y, u := ramp(n, 1), ramp(n, 1), make([]float32, 128)
			ref.philox(u, s, 19, 0)
			for _, add := range []bool{false, true} {
				k.keep(x, ramp(n, 4), u[:n], 0.3, 1.5, add)
				ref.keep(y, ramp(n, 4), u[:n], 0.3, 1.5, add)
				if !slices.Equal(x, y) {
					t.Fatalf("%s keep n=%d add=%v: %v, want %v", k.name, n, add, x, y)
				}
			}
		}
	}
}

// TestPhiloxMatchesItsAuthors uses the known answers of the Random123 library
// (kat_vectors, philox4x32-10).
func TestPhiloxMatchesItsAuthors(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := compute.Philox(c.counter, c.key); got != c.want {
			t.Errorf("%x: %x, want %x", c.counter, got, c.want)
		}
	}
}

// TestCodesAreTheSameOnEveryPath demands equal bits, ties and special rows too.
func TestCodesAreTheSameOnEveryPath(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, k := range available() {
		for n := 1; n < 70; n++ {
			rows := map[string][]float32{"ramp": ramp(n, n), "zero": make([]float32, n), "ties": make([]float32, n)}
			for i := range n {
				rows["ties"][i] = float32(i%100) + 0.5
			}
			rows["ties"][n-1] = 127
			rows["tiny"], rows["nan"], rows["inf"] = slices.Repeat([]float32{1e-40}, n), ramp(n, 2), ramp(n, 3)
			rows["nan"][n/2], rows["inf"][n-1] = nan, -inf
			for name, x := range rows {
				got, want := make([]int8, n), make([]int8, n)
				gs, ws := k.quantise(got, x), quantiseGo(want, x)
				if math.Float32bits(gs) != math.Float32bits(ws) && (gs == gs || ws == ws) || !slices.Equal(got, want) {
					t.Fatalf("%s %s n=%d: %v scale %v, want %v scale %v", k.name, name, n, got, gs, want, ws)
				}
			}
		}
	}
}

// TestWidening demands the same bits of every path.
func TestWidening(t *testing.T) {
	ref := goKernels()
	for _, k := range available() {
		for n := range 40 {
			x := ramp(n, 3)
			got, want := make([]uint16, n), make([]uint16, n)
			k.narrow(got, x)
			ref.narrow(want, x)
			if !slices.Equal(got, want) {
				t.Fatalf("%s narrow n=%d: %x, want %x", k.name, n, got, want)
			}
			wide, same := make([]float32, n), make([]float32, n)
			k.widen(wide, got)
			ref.widen(same, got)
			if !slices.Equal(wide, same) {
				t.Fatalf("%s widen n=%d: %v, want %v", k.name, n, wide, same)
			}
			codes := make([]int8, n)
			for i := range codes {
				codes[i] = int8(37*i - 128)
			}
			k.widenCodes(wide, codes)
			ref.widenCodes(same, codes)
			if !slices.Equal(wide, same) {
				t.Fatalf("%s widenCodes n=%d: %v, want %v", k.name, n, wide, same)
			}
		}
	}
}
