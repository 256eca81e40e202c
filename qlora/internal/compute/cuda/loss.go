//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// CrossEntropy implements compute.Device: LossRows tokens at a time, logits in
// float32, their gradient in place. A head in int8 multiplies unquantised
// activations, as FormatInt8W does.
func (d *Device) CrossEntropy(nll, dh, h compute.Buffer, head compute.Weight, target, weight compute.Buffer, n int) {
	c := d.call("CrossEntropy")
	w := c.weight("head", head)
	if !c.ok() {
		return
	}
	v, cols := w.rows, w.cols
	loss, x, grad := c.f32("nll", nll, n), c.real("h", h, n*cols), c.maybe("dh", dh, n*cols)
	y, wt := c.i32("target", target, n), c.f32("weight", weight, n)
	if !c.ok() || n == 0 {
		return
	}
	wide, z := c.wide(w), d.temporary(4*v*min(n, d.opts.LossRows))
	for t := 0; t < n && c.ok(); t += d.opts.LossRows {
		rows := min(d.opts.LossRows, n-t)
		d.productNT(left{y: z, typ: compute.F32, x: d.at(x, t*cols), ld: cols, m: rows, n: v, k: cols}, wide)
		a := (&driver.Args{}).Ptr(loss).Ptr(z).Ptr(y).Ptr(wt).Int(v, t, flag(grad != 0)).Ptr(d.fault)
		d.launch(typed("cross_entropy", d.real), driver.Grid{X: rows, Y: 1, Z: 1}, 512, 0, a)
		if grad != 0 {
			d.productNN(left{y: d.at(grad, t*cols), typ: d.real, x: z, ld: v * 4 / d.real.Size(), m: rows, n: cols, k: v}, wide)
		}
	}
}
