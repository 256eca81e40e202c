//go:build cuda && cgo && linux && amd64

package cuda

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// call checks the arguments of one operation. After the first complaint, or when
// the device already holds an error, ok is false and the operation must return.
type call struct {
	d  *Device
	op string
}

func (d *Device) call(op string) call {
	d.run(d.scratch.reset())
	return call{d, op}
}

func (c call) ok() bool { return c.d.err == nil }

func (c call) failf(format string, args ...any) {
	c.d.fail(fmt.Errorf("cuda: "+c.op+": "+format, args...))
}

// buffer returns b if it is live memory of this device, else an empty one.
func (c call) buffer(name string, b compute.Buffer) *buffer {
	x, ok := b.(*buffer)
	switch {
	case !c.ok():
	case !ok || x == nil:
		c.failf("%s is %T, not a buffer of this device", name, b)
	case x.reg.owner != c.d:
		c.failf("%s belongs to another device", name)
	case x.reg.released:
		c.failf("%s was released, or sliced outside its bounds", name)
	default:
		return x
	}
	return &buffer{reg: &region{}}
}

// ptr returns the address of b if it has type t and at least n elements.
func (c call) ptr(name string, b compute.Buffer, t compute.Type, n int) uint64 {
	x := c.buffer(name, b)
	if c.ok() && (x.typ != t || x.n < n || n < 0) {
		c.failf("%s is %s[%d], needs %s[%d]", name, x.typ, x.n, t, n)
	}
	return x.p
}

// real is ptr for activations.
func (c call) real(name string, b compute.Buffer, n int) uint64 {
	return c.ptr(name, b, c.d.real, n)
}

func (c call) f32(name string, b compute.Buffer, n int) uint64 {
	return c.ptr(name, b, compute.F32, n)
}

func (c call) i32(name string, b compute.Buffer, n int) uint64 {
	return c.ptr(name, b, compute.I32, n)
}

// maybe is real for an argument that may be nil.
func (c call) maybe(name string, b compute.Buffer, n int) uint64 {
	if b == nil {
		return 0
	}
	return c.real(name, b, n)
}

// rowsOf returns how many rows of cols elements b has.
func (c call) rowsOf(name string, b compute.Buffer, cols int) int {
	x := c.buffer(name, b)
	if c.ok() && cols < 1 {
		c.failf("%d columns", cols)
	}
	if !c.ok() {
		return 0
	}
	return x.n / cols
}

// weight returns w if it belongs to this device.
func (c call) weight(name string, w compute.Weight) *weight {
	x, ok := w.(*weight)
	if c.ok() && (!ok || x == nil || x.owner != c.d) {
		c.failf("%s is %T, not a weight of this device", name, w)
	}
	return x
}

// activation is the checked content of a compute.Activation; q and s are 0 where
// it has none.
type activation struct{ x, q, s uint64 }

func (c call) activation(name string, a compute.Activation, n, cols int) activation {
	r := activation{x: c.real(name+".X", a.X, n*cols)}
	if a.Q != nil || a.S != nil {
		r.q, r.s = c.ptr(name+".Q", a.Q, compute.I8, n*cols), c.f32(name+".S", a.S, n)
	}
	return r
}

// random returns the address of a live Random's state, else 0.
func (c call) random(r compute.Random) uint64 {
	if r.State == nil {
		return 0
	}
	return c.i32("random state", r.State, 4)
}

// temporary returns n bytes that are the operation's until it ends.
func (d *Device) temporary(n int) uint64 {
	if d.err != nil {
		return 0
	}
	p, err := d.scratch.take(n)
	d.run(err)
	return p
}
