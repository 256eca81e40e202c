//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// RMSNorm implements compute.Device.
func (d *Device) RMSNorm(out compute.Activation, rstd, x, w compute.Buffer, n int, eps float32) {
	c := d.call("RMSNorm")
	cols := c.buffer("w", w).n
	g, in, r, y := c.f32("w", w, cols), c.real("x", x, n*cols), c.f32("rstd", rstd, n), c.activation("out", out, n, cols)
	a := &driver.Args{}
	a.Ptr(y.x).Ptr(y.q).Ptr(y.s).Ptr(r).Ptr(in).Ptr(g).Int(cols).Float(eps).Int(vec(cols, y.x, y.q, in, g))
	d.rows(typed("rmsnorm", d.real), n, a)
}

// RMSNormBackward implements compute.Device.
func (d *Device) RMSNormBackward(dx, dout, x, w, rstd compute.Buffer, n int) {
	c := d.call("RMSNormBackward")
	cols := c.buffer("w", w).n
	g, in, r := c.f32("w", w, cols), c.real("x", x, n*cols), c.f32("rstd", rstd, n)
	gout, gin := c.real("dout", dout, n*cols), c.real("dx", dx, n*cols)
	a := &driver.Args{}
	a.Ptr(gin).Ptr(gout).Ptr(in).Ptr(g).Ptr(r).Int(cols, vec(cols, gin, gout, in, g))
	d.rows(typed("rmsnorm_backward", d.real), n, a)
}
