package cpu

import (
	"math"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// gradients returns dx of an int8 weight for one dy, with these options.
func gradients(t *testing.T, o Options, n, in, out int, steps ...int32) [][]float32 {
	d := opener(t, o)().(*Device)
	w, err := d.Weight(compute.FormatInt8, out, in, func(first int, dst []float32) error {
		copy(dst, ramp(len(dst), first+5))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dy, dx, state := d.Alloc(compute.F32, n*out), d.Alloc(compute.F32, n*in), d.Alloc(compute.I32, 4)
	d.Upload(dy, ramp(n*out, 9))
	var list [][]float32
	for _, step := range append([]int32{-1}, steps...) {
		rnd := compute.Random{State: state}
		if step < 0 {
			rnd = compute.Random{}
		}
		d.Upload(state, []int32{1, 2, step, 0})
		d.LinearBackward(dx, dy, compute.Activation{}, w, nil, compute.AdapterGrad{}, nil, n, rnd)
		got := make([]float32, n*in)
		if err := d.Download(got, dx); err != nil {
			t.Fatal(err)
		}
		list = append(list, got)
	}
	return list
}

// TestRequantisedGradient: rounded to nearest, the gradient of 8-bit codes is
// close to that of exact weights; rounded at random it is further off at each
// step, and closer in the mean.
func TestRequantisedGradient(t *testing.T) {
	const n, in, out = 7, 75, 301
	steps := make([]int32, 400)
	for i := range steps {
		steps[i] = int32(i)
	}
	for _, path := range Paths() {
		exact := gradients(t, Options{Workers: 2, Path: path, InputGrad: "f32"}, n, in, out, 0)[0]
		got := gradients(t, Options{Workers: 2, Path: path, InputGrad: "int8"}, n, in, out, steps...)
		mean := make([]float32, len(exact))
		for _, g := range got[1:] {
			axpyGo(mean, g, 1/float32(len(steps)))
		}
		nearest, random, average := distance(got[0], exact), distance(got[1], exact), distance(mean, exact)
		if nearest == 0 || nearest > 0.01 || random < nearest || random > 0.02 || average > random/10 {
			t.Errorf("%s: off by %.2g rounded to nearest, %.2g at random, %.2g in the mean", path, nearest, random, average)
		}
	}
}

// distance is |a-b|/|b|.
func distance(a, b []float32) float64 {
	var diff, norm float64
	for i, v := range b {
		e := float64(a[i]) - float64(v)
		diff, norm = diff+e*e, norm+float64(v)*float64(v)
	}
	return math.Sqrt(diff / norm)
}

// TestRandomRoundingGoesByElement: element e of the matrix takes half word e%8 of
// counter e/8, wherever a row begins, as on other devices.
func TestRandomRoundingGoesByElement(t *testing.T) {
	const first, n, site = 8*77 + 5, 2*roundSpan + 13, 9
	x, unit, rnd := ramp(n, 3), make([]float32, n), &stream{key: [2]uint32{5, 6}, step: [2]uint32{7, 8}}
	for i := range unit {
		unit[i] = 1
	}
	inv := 127 / math.Float32frombits(absBits(x))
	for _, path := range Paths() {
		d, q := opener(t, Options{Workers: 1, Path: path, InputGrad: "int8"})().(*Device), make([]int8, n)
		d.foldCodes(q, x, unit, rnd, site, first)
		for i, v := range x {
			e := uint32(first + i)
			w := compute.Philox([4]uint32{e / 8, 7, 8, site}, [2]uint32{5, 6})
			u := (float32(w[e%8/2]>>(16*(e%2))&0xffff) + 0.5) / 65536
			if want := int8(min(127, math.Floor(float64(float32(v*inv)+u)))); q[i] != want {
				t.Fatalf("%s: element %d is %d, want %d", path, i, q[i], want)
			}
		}
	}
}
