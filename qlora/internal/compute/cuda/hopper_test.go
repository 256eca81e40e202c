//go:build cuda && cgo && linux && amd64

package cuda

import (
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
