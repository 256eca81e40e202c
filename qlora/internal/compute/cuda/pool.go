//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// Gather implements compute.Device.
func (d *Device) Gather(out, x, index compute.Buffer, n, cols int) {
	c := d.call("Gather")
	rows := c.rowsOf("x", x, cols)
	in, to, at := c.real("x", x, rows*cols), c.real("out", out, n*cols), c.i32("index", index, n)
	d.rows(typed("gather", d.real), n, (&driver.Args{}).Ptr(to).Ptr(in).Ptr(at).Int(rows, cols).Ptr(d.fault))
}

// ScatterAdd implements compute.Device.
func (d *Device) ScatterAdd(dx, din, index compute.Buffer, n, cols int) {
	c := d.call("ScatterAdd")
	rows := c.rowsOf("dx", dx, cols)
	to, in, at := c.real("dx", dx, rows*cols), c.real("din", din, n*cols), c.i32("index", index, n)
	d.rows(typed("scatter", d.real), n, (&driver.Args{}).Ptr(to).Ptr(in).Ptr(at).Int(rows, cols).Ptr(d.fault))
}

// MeanPool implements compute.Device; sums are float64.
func (d *Device) MeanPool(out, h, offset compute.Buffer, batch, cols int) {
	c := d.call("MeanPool")
	rows := c.rowsOf("h", h, cols)
	in, to, o := c.real("h", h, rows*cols), c.real("out", out, batch*cols), c.i32("offset", offset, batch+1)
	d.rows(typed("mean", d.real), batch, (&driver.Args{}).Ptr(to).Ptr(in).Ptr(o).Int(rows, cols).Ptr(d.fault))
}

// MeanPoolBackward implements compute.Device.
func (d *Device) MeanPoolBackward(dh, dout, offset compute.Buffer, batch, cols int) {
	c := d.call("MeanPoolBackward")
	rows := c.rowsOf("dh", dh, cols)
	to, g, o := c.real("dh", dh, rows*cols), c.real("dout", dout, batch*cols), c.i32("offset", offset, batch+1)
	d.rows(typed("mean_backward", d.real), batch, (&driver.Args{}).Ptr(to).Ptr(g).Ptr(o).Int(rows, cols).Ptr(d.fault))
}

// PET implements compute.Device. Each token's row is summed in float64, and the
// sums in a fixed order.
func (d *Device) PET(loss, dh, h compute.Buffer, seq compute.Sequence, coef compute.Buffer, delta float32, n, cols int) {
	c := d.call("PET")
	total, in, g := c.f32("loss", loss, 1), c.real("h", h, n*cols), c.maybe("dh", dh, n*cols)
	start, k := c.i32("seq.Start", seq.Start, n), c.f32("coef", coef, 1)
	if !c.ok() || n < 3 {
		return
	}
	part := d.temporary(8 * n)
	d.rows(typed("pet", d.real), n, (&driver.Args{}).Ptr(part).Ptr(g).Ptr(in).Ptr(start).Ptr(k).Float(delta).Int(n, cols))
	d.rows("total", 1, (&driver.Args{}).Ptr(total).Ptr(part).Ptr(k).Int(n))
}
