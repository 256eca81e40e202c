package cpu

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

func (d *Device) call(op string) call { return call{d, op} }

func (c call) ok() bool { return c.d.err == nil }

func (c call) failf(format string, args ...any) {
	c.d.fail(fmt.Errorf("cpu: "+c.op+": "+format, args...))
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

// typed returns b if it also has type t and at least n elements.
func (c call) typed(name string, b compute.Buffer, t compute.Type, n int) *buffer {
	x := c.buffer(name, b)
	if c.ok() && (x.typ != t || x.n < n || n < 0) {
		c.failf("%s is %s[%d], needs %s[%d]", name, x.typ, x.n, t, n)
	}
	return x
}

// f32 returns the first n elements of b; after a complaint, nil.
func (c call) f32(name string, b compute.Buffer, n int) []float32 {
	if x := c.typed(name, b, compute.F32, n); c.ok() {
		return x.f[:n]
	}
	return nil
}

// f16 returns the first n elements of b, as bits.
func (c call) f16(name string, b compute.Buffer, n int) []uint16 {
	if x := c.typed(name, b, compute.F16, n); c.ok() {
		return x.h[:n]
	}
	return nil
}

func (c call) i32(name string, b compute.Buffer, n int) []int32 {
	if x := c.typed(name, b, compute.I32, n); c.ok() {
		return x.i[:n]
	}
	return nil
}

func (c call) i8(name string, b compute.Buffer, n int) []int8 {
	if x := c.typed(name, b, compute.I8, n); c.ok() {
		return x.b[:n]
	}
	return nil
}

func (c call) u8(name string, b compute.Buffer, n int) []uint8 {
	if x := c.typed(name, b, compute.U8, n); c.ok() {
		return x.u[:n]
	}
	return nil
}

// maybe is f32 for an argument that may be nil.
func (c call) maybe(name string, b compute.Buffer, n int) []float32 {
	if b == nil {
		return nil
	}
	return c.f32(name, b, n)
}

// same returns n if b has exactly n elements, else complains and returns 0.
func (c call) same(n int, b compute.Buffer) int {
	if x := c.buffer("buffer", b); c.ok() && x.n != n {
		c.failf("%d elements on the host, %d on the device", n, x.n)
	}
	if !c.ok() {
		return 0
	}
	return n
}

// indices returns n indices, each checked to lie in [0, limit).
func (c call) indices(name string, b compute.Buffer, n, limit int) []int32 {
	v := c.i32(name, b, n)
	for i, x := range v {
		if x < 0 || int(x) >= limit {
			c.failf("%s[%d] is %d, outside [0, %d)", name, i, x, limit)
			return nil
		}
	}
	return v
}

// weight returns w if it belongs to this device.
func (c call) weight(name string, w compute.Weight) *weight {
	x, ok := w.(*weight)
	if c.ok() && (!ok || x == nil || x.owner != c.d) {
		c.failf("%s is %T, not a weight of this device", name, w)
	}
	return x
}

// activation is the checked content of a compute.Activation.
type activation struct {
	x []float32
	q []int8
	s []float32
}

func (c call) activation(name string, a compute.Activation, n, cols int) activation {
	r := activation{x: c.f32(name+".X", a.X, n*cols)}
	if a.Q != nil || a.S != nil {
		r.q, r.s = c.i8(name+".Q", a.Q, n*cols), c.f32(name+".S", a.S, n)
	}
	return r
}

// random is the checked content of a compute.Random, nil when all is off.
func (c call) random(r compute.Random) *stream {
	if r.State == nil {
		return nil
	}
	v := c.i32("random state", r.State, 4)
	if !c.ok() {
		return nil
	}
	return &stream{key: [2]uint32{uint32(v[0]), uint32(v[1])}, step: [2]uint32{uint32(v[2]), uint32(v[3])}}
}
