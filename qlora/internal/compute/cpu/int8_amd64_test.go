//go:build !noasm

package cpu

import (
	"slices"
	"testing"
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
