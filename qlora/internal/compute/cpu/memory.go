package cpu

import (
	"fmt"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// buffer is a typed view of arena memory; of its slices only the one of its
// type is set.
type buffer struct {
	typ compute.Type
	n   int
	reg *region
	f   []float32
	h   []uint16
	i   []int32
	b   []int8
	u   []uint8
}

// Type implements compute.Buffer.
func (b *buffer) Type() compute.Type { return b.typ }

// Len implements compute.Buffer.
func (b *buffer) Len() int { return b.n }

// Slice implements compute.Buffer. A range outside the buffer gives a view that
// every operation refuses.
func (b *buffer) Slice(off, n int) compute.Buffer {
	if off < 0 || n < 0 || off+n > b.n {
		return &buffer{typ: b.typ, reg: &region{owner: b.reg.owner, released: true}}
	}
	s := &buffer{typ: b.typ, n: n, reg: b.reg}
	switch b.typ {
	case compute.F32:
		s.f = b.f[off : off+n : off+n]
	case compute.BF16, compute.F16:
		s.h = b.h[off : off+n : off+n]
	case compute.I32:
		s.i = b.i[off : off+n : off+n]
	case compute.I8:
		s.b = b.b[off : off+n : off+n]
	case compute.U8:
		s.u = b.u[off : off+n : off+n]
	}
	return s
}

// Real implements compute.Device.
func (d *Device) Real() compute.Type { return compute.F32 }

// Alloc implements compute.Device.
func (d *Device) Alloc(t compute.Type, n int) compute.Buffer {
	reg := &region{owner: d}
	b := &buffer{typ: t, n: n, reg: reg}
	if n < 0 || t > compute.F16 {
		d.fail(fmt.Errorf("cpu: Alloc of %d elements of type %d", n, t))
		reg.released, b.n = true, 0
		return b
	}
	d.arena.live = append(d.arena.live, reg)
	mem, err := d.arena.take((n*t.Size() + 3) / 4)
	if err != nil {
		d.fail(err)
		reg.released, b.n = true, 0
		return b
	}
	p := unsafe.Pointer(unsafe.SliceData(mem))
	switch t {
	case compute.F32:
		b.f = mem[:n:n]
	case compute.BF16, compute.F16:
		b.h = unsafe.Slice((*uint16)(p), n)
	case compute.I32:
		b.i = unsafe.Slice((*int32)(p), n)
	case compute.I8:
		b.b = unsafe.Slice((*int8)(p), n)
	case compute.U8:
		b.u = unsafe.Slice((*uint8)(p), n)
	}
	return b
}

// Mark implements compute.Device.
func (d *Device) Mark() int { return d.arena.mark() }

// Release implements compute.Device.
func (d *Device) Release(mark int) {
	if !d.arena.release(mark) {
		d.fail(fmt.Errorf("cpu: Release to mark %d, which is not there", mark))
	}
}

// Activation implements compute.Device.
func (d *Device) Activation(f compute.Format, n, cols int) compute.Activation {
	a := compute.Activation{X: d.Alloc(compute.F32, n*cols)}
	if f == compute.FormatInt8 {
		a.Q, a.S = d.Alloc(compute.I8, n*cols), d.Alloc(compute.F32, n)
	}
	return a
}

// Upload implements compute.Device.
func (d *Device) Upload(dst compute.Buffer, src any) {
	c := d.call("Upload")
	switch s := src.(type) {
	case []float32:
		if dst != nil && dst.Type() == compute.BF16 {
			for i, v := range s[:c.same(len(s), dst)] {
				dst.(*buffer).h[i] = toBF16(v)
			}
			return
		}
		copy(c.f32("dst", dst, len(s)), s[:c.same(len(s), dst)])
	case []int32:
		copy(c.i32("dst", dst, len(s)), s[:c.same(len(s), dst)])
	case []int8:
		copy(c.i8("dst", dst, len(s)), s[:c.same(len(s), dst)])
	case []uint8:
		copy(c.u8("dst", dst, len(s)), s[:c.same(len(s), dst)])
	default:
		c.failf("cannot take a %T", src)
	}
}

// Download implements compute.Device.
func (d *Device) Download(dst any, src compute.Buffer) error {
	c := d.call("Download")
	switch t := dst.(type) {
	case []float32:
		if src != nil && src.Type() == compute.BF16 {
			for i := range t[:c.same(len(t), src)] {
				t[i] = fromBF16(src.(*buffer).h[i])
			}
			break
		}
		copy(t[:c.same(len(t), src)], c.f32("src", src, len(t)))
	case []int32:
		copy(t[:c.same(len(t), src)], c.i32("src", src, len(t)))
	case []int8:
		copy(t[:c.same(len(t), src)], c.i8("src", src, len(t)))
	case []uint8:
		copy(t[:c.same(len(t), src)], c.u8("src", src, len(t)))
	default:
		c.failf("cannot fill a %T", dst)
	}
	return d.Sync()
}

// Copy implements compute.Device.
func (d *Device) Copy(dst, src compute.Buffer) {
	c := d.call("Copy")
	a, b := c.buffer("dst", dst), c.buffer("src", src)
	if c.ok() && (a.typ != b.typ || a.n != b.n) {
		c.failf("dst is %s[%d], src %s[%d]", a.typ, a.n, b.typ, b.n)
	}
	if !c.ok() {
		return
	}
	copy(a.f, b.f)
	copy(a.h, b.h)
	copy(a.i, b.i)
	copy(a.b, b.b)
	copy(a.u, b.u)
}

// Zero implements compute.Device.
func (d *Device) Zero(b compute.Buffer) {
	c := d.call("Zero")
	x := c.buffer("b", b)
	if !c.ok() {
		return
	}
	clear(x.f)
	clear(x.h)
	clear(x.i)
	clear(x.b)
	clear(x.u)
}
