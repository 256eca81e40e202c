//go:build cuda && cgo && linux && amd64

package cuda

import (
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// TestHopperProduct shows where a product on wgmma goes wrong: rows of x are
// constant, rows of w too, and both come back unchanged.
func TestHopperProduct(t *testing.T) {
	need(t)
	d := open(t, DefaultOptions())
	defer d.Close()
	if !d.hopper {
		t.Skip("no Hopper device")
	}
	const m, n, k = 300, 264, 128
	fill := func(rows, cols int, f func(r int) float32) (compute.Buffer, []float32) {
		v := make([]float32, rows*cols)
		for i := range v {
			v[i] = f(i / cols)
		}
		b := d.Alloc(compute.BF16, rows*cols)
		d.Upload(b, v)
		return b, v
	}
	x, xv := fill(m, k, func(r int) float32 { return float32(r%7) + 1 })
	w, wv := fill(n, k, func(r int) float32 { return float32(r%5) - 2 })
	y, _ := fill(m, n, func(int) float32 { return -7 })
	c := d.call("test")
	d.hopperNT(left{y: c.real("y", y, m*n), typ: compute.BF16, x: c.real("x", x, m*k), ld: k, m: m, n: n, k: k}, c.real("w", w, n*k))
	got := make([]float32, m*n)
	check := func(name string, b compute.Buffer, want []float32) {
		t.Helper()
		v := make([]float32, len(want))
		if err := d.Download(v, b); err != nil {
			t.Fatal(err)
		}
		for i := range v {
			if v[i] != want[i] {
				t.Errorf("%s[%d] is %v, want %v", name, i, v[i], want[i])
				return
			}
		}
	}
	for i := range got {
		got[i] = xv[i/n*k] * wv[i%n*k] * k
	}
	check("x", x, xv)
	check("w", w, wv)
	check("y", y, got)
}

// TestManyTiles compares the paths where a block walks many tiles: a head's
// logits, their gradient, and a wide int8 product.
func TestManyTiles(t *testing.T) {
	need(t)
	const vocab, cols = 32064, 192
	results := map[string][][]float32{}
	for name, o := range variants(t) {
		d := open(t, o)
		rng := rand.New(rand.NewPCG(9, 9))
		table := normal(rng, vocab*cols, 0.05)
		src := func(first int, dst []float32) error { copy(dst, table[first*cols:]); return nil }
		for _, n := range []int{1, 300} {
			x, h := d.Activation(compute.FormatInt8, n, cols), d.Alloc(d.Real(), n*cols)
			d.Upload(h, normal(rng, n*cols, 1))
			gain := make([]float32, cols)
			for i := range gain {
				gain[i] = 1
			}
			g := d.Alloc(compute.F32, cols)
			d.Upload(g, gain)
			d.RMSNorm(x, d.Alloc(compute.F32, n), h, g, n, 1e-5)
			target, weight := make([]int32, n), make([]float32, n)
			for i := range target {
				target[i], weight[i] = int32(i*97%vocab), 1
			}
			tb, wb := d.Alloc(compute.I32, n), d.Alloc(compute.F32, n)
			d.Upload(tb, target)
			d.Upload(wb, weight)
			for _, f := range []compute.Format{compute.FormatBF16, compute.FormatInt8} {
				w, err := d.Weight(f, vocab, cols, src)
				if err != nil {
					t.Fatal(err)
				}
				y, nll, dh := d.Alloc(d.Real(), n*vocab), d.Alloc(compute.F32, n), d.Alloc(d.Real(), n*cols)
				d.Linear(y, nil, x, w, nil, nil, n, compute.Random{})
				d.CrossEntropy(nll, dh, x.X, w, tb, wb, n)
				for _, b := range []compute.Buffer{y, nll, dh} {
					v := make([]float32, b.Len())
					if err := d.Download(v, b); err != nil {
						t.Fatal(err)
					}
					results[name] = append(results[name], v)
				}
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, r := range results {
		for i, v := range r {
			if e := relative(v, results["f32 generic"][i]); !(e <= 1.5e-2) {
				t.Errorf("%s: output %d: relative error %.3g", name, i, e)
			}
		}
	}
}
