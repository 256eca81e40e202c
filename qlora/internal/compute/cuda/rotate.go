//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// side is the edge of a rotation block, triangle the parameters of one.
const (
	side     = 8
	triangle = side * (side - 1) / 2
)

func (c call) blocks(cols int) int {
	if c.ok() && (cols < side || cols%side != 0) {
		c.failf("%d columns are no multiple of %d", cols, side)
	}
	return cols / side
}

// rotated is the launch of a rotation: as many tokens a block share its matrices as
// leave every multiprocessor two blocks, at most the 8 that registers hold.
func rotated(n int) (blocks, per int) {
	per = min(8, max(1, n/256))
	return (n + per - 1) / per, per
}

// Rotate implements compute.Device.
func (d *Device) Rotate(out compute.Activation, x, r compute.Buffer, n, cols int) {
	c := d.call("Rotate")
	blocks := c.blocks(cols)
	in, rot, y := c.real("x", x, n*cols), c.f32("r", r, blocks*side*side), c.activation("out", out, n, cols)
	a := &driver.Args{}
	blockCount, per := rotated(n)
	d.rows(typed("rotate", d.real), blockCount, a.Ptr(y.x).Ptr(y.q).Ptr(y.s).Ptr(in).Ptr(rot).Int(n, per, cols, vec(cols, y.x, y.q, in, rot)))
}

// RotateBackward implements compute.Device.
func (d *Device) RotateBackward(dx, dr, dout, x, r compute.Buffer, n, cols int) {
	c := d.call("RotateBackward")
	blocks := c.blocks(cols)
	in, rot, g := c.real("x", x, n*cols), c.f32("r", r, blocks*side*side), c.real("dout", dout, n*cols)
	gin, gr := c.real("dx", dx, n*cols), c.f32("dr", dr, blocks*side*side)
	d.rows(typed("rotation_grad", d.real), blocks, (&driver.Args{}).Ptr(gr).Ptr(g).Ptr(in).Int(n, cols))
	blockCount, per := rotated(n)
	d.rows(typed("rotate_back", d.real), blockCount, (&driver.Args{}).Ptr(gin).Ptr(g).Ptr(rot).Int(n, per, cols, vec(cols, gin, g, rot)))
}

// RotationExp implements compute.Device.
func (d *Device) RotationExp(r, theta compute.Buffer, blocks int) {
	c := d.call("RotationExp")
	out, in := c.f32("r", r, blocks*side*side), c.f32("theta", theta, blocks*triangle)
	d.launch("rotation_exp", driver.Grid{X: blocks, Y: 1, Z: 1}, 64, 0, (&driver.Args{}).Ptr(out).Ptr(in))
}

// RotationExpBackward implements compute.Device.
func (d *Device) RotationExpBackward(dtheta, dr, theta compute.Buffer, blocks int) {
	c := d.call("RotationExpBackward")
	out, g, in := c.f32("dtheta", dtheta, blocks*triangle), c.f32("dr", dr, blocks*side*side), c.f32("theta", theta, blocks*triangle)
	d.launch("rotation_exp_backward", driver.Grid{X: blocks, Y: 1, Z: 1}, 64, 0, (&driver.Args{}).Ptr(out).Ptr(g).Ptr(in))
}
