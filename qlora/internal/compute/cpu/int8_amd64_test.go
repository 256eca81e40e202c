//go:build !noasm

package cpu

import (
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// TestInt8PathsGiveEqualBits runs one product and its gradients, rounded to
// nearest and at random, with each int8 kernel and the portable one.
func TestInt8PathsGiveEqualBits(t *testing.T) {
	for _, s := range []struct{ n, in, out int }{{5, 64, 33}, {70, 4100, 65}, {40, 100, 300}, {3, 252, 9}, {9, 30, 7}, {1, 3, 5}, {2, 64, 4}, {4, 131, 6}, {1, 200, 3}, {1, 320, 10}} {
		var want []float32
		for _, ints := range append([]intKernels{{}}, integers()...) {
			d, err := New(Options{Workers: 2, Path: "auto", InputGrad: "int8"})
			if err != nil {
				t.Fatal(err)
			}
			d.kern.ints = &ints
			if ints.tile == nil {
				d.kern = goKernels()
			}
			got := int8Product(t, d, s.n, s.in, s.out)
			if want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%+v: %s differs", s, ints.name)
			}
		}
	}
}

func int8Product(t *testing.T, d *Device, n, in, out int) []float32 {
	w, err := d.Weight(compute.FormatInt8, out, in, func(first int, dst []float32) error {
		copy(dst, ramp(len(dst), first+5))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x, y := d.Alloc(compute.F32, n*in), d.Alloc(compute.F32, n*out)
	d.Upload(x, ramp(n*in, 9))
	d.Linear(y, nil, compute.Activation{X: x}, w, nil, nil, n, compute.Random{})
	d.Linear(y, y, compute.Activation{X: x}, w, nil, nil, n, compute.Random{})
	live := d.Alloc(compute.I32, 4)
	d.Upload(live, []int32{1, 2, 3, 4})
	got := make([]float32, n*out+2*n*in)
	for i, random := range []compute.Random{{}, {State: live}} {
		d.LinearBackward(x, y, compute.Activation{}, w, nil, compute.AdapterGrad{}, nil, n, random)
		if err := d.Download(got[n*out+i*n*in:][:n*in], x); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Download(got[:n*out], y); err != nil {
		t.Fatal(err)
	}
	return got
}
