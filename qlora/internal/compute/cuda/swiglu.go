//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// SwiGLU implements compute.Device.
func (d *Device) SwiGLU(out compute.Activation, gu compute.Buffer, n, f int) {
	c := d.call("SwiGLU")
	in, y := c.real("gu", gu, 2*n*f), c.activation("out", out, n, f)
	d.rows(typed("swiglu", d.real), n, (&driver.Args{}).Ptr(y.x).Ptr(y.q).Ptr(y.s).Ptr(in).Int(f, vec(f, y.x, y.q, in)))
}

// SwiGLUBackward implements compute.Device.
func (d *Device) SwiGLUBackward(dgu, dm, gu compute.Buffer, n, f int) {
	c := d.call("SwiGLUBackward")
	in, g, out := c.real("gu", gu, 2*n*f), c.real("dm", dm, n*f), c.real("dgu", dgu, 2*n*f)
	d.rows(typed("swiglu_backward", d.real), n, (&driver.Args{}).Ptr(out).Ptr(g).Ptr(in).Int(f, vec(f, out, g, in)))
}
