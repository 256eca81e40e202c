//go:build cuda && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// buffer is a typed view of arena memory.
type buffer struct {
	typ compute.Type
	n   int
	p   uint64
	reg *region
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
	return &buffer{typ: b.typ, n: n, p: b.p + uint64(off*b.typ.Size()), reg: b.reg}
}

// Real implements compute.Device.
func (d *Device) Real() compute.Type { return d.real }

// Alloc implements compute.Device.
func (d *Device) Alloc(t compute.Type, n int) compute.Buffer {
	b := &buffer{typ: t, n: n, reg: &region{owner: d}}
	switch {
	case n < 0:
		d.fail(fmt.Errorf("cuda: Alloc of %d elements", n))
	case t > compute.U8:
		d.fail(fmt.Errorf("cuda: Alloc of type %d: %w", t, compute.ErrUnsupported))
	}
	if d.err != nil {
		b.reg.released, b.n = true, 0
		return b
	}
	p, err := d.arena.take(n * t.Size())
	d.run(err)
	if d.err != nil {
		b.reg.released, b.n = true, 0
		return b
	}
	d.arena.list = append(d.arena.list, b.reg)
	b.p = p
	if n > 0 {
		d.run(d.ctx.Set(p, 0, n*t.Size()))
	}
	return b
}

// Mark implements compute.Device.
func (d *Device) Mark() int { return d.arena.mark() }

// Release implements compute.Device. Work queued on the memory stays valid: what
// reuses it is queued behind.
func (d *Device) Release(mark int) {
	if !d.arena.release(mark) {
		d.fail(fmt.Errorf("cuda: Release to mark %d, which is not there", mark))
	}
}

// Activation implements compute.Device.
func (d *Device) Activation(f compute.Format, n, cols int) compute.Activation {
	a := compute.Activation{X: d.Alloc(d.real, n*cols)}
	if f == compute.FormatInt8 {
		a.Q, a.S = d.Alloc(compute.I8, n*cols), d.Alloc(compute.F32, n)
	}
	return a
}

// exact returns b if it has type t and exactly n elements.
func (c call) exact(b compute.Buffer, t compute.Type, n int) *buffer {
	x := c.buffer("buffer", b)
	if c.ok() && (x.typ != t || x.n != n) {
		c.failf("%s[%d] on the host, %s[%d] on the device", t, n, x.typ, x.n)
	}
	return x
}

// Upload implements compute.Device.
func (d *Device) Upload(dst compute.Buffer, src any) {
	c := d.call("Upload")
	switch s := src.(type) {
	case []float32:
		if dst != nil && dst.Type() == compute.BF16 {
			h := make([]uint16, len(s))
			for i, v := range s {
				h[i] = toBF16(v)
			}
			upload(c, c.exact(dst, compute.BF16, len(h)), h)
			return
		}
		upload(c, c.exact(dst, compute.F32, len(s)), s)
	case []int32:
		upload(c, c.exact(dst, compute.I32, len(s)), s)
	case []int8:
		upload(c, c.exact(dst, compute.I8, len(s)), s)
	case []uint8:
		upload(c, c.exact(dst, compute.U8, len(s)), s)
	default:
		c.failf("cannot take a %T", src)
	}
}

func upload[T any](c call, dst *buffer, src []T) {
	if c.ok() && len(src) > 0 {
		c.d.run(c.d.ctx.ToDevice(dst.p, unsafe.Pointer(unsafe.SliceData(src)), len(src)*dst.typ.Size()))
	}
}

// Download implements compute.Device.
func (d *Device) Download(dst any, src compute.Buffer) error {
	c := d.call("Download")
	switch t := dst.(type) {
	case []float32:
		if src != nil && src.Type() == compute.BF16 {
			h := make([]uint16, len(t))
			download(c, h, c.exact(src, compute.BF16, len(t)))
			err := d.Sync()
			for i, v := range h {
				t[i] = fromBF16(v)
			}
			return err
		}
		download(c, t, c.exact(src, compute.F32, len(t)))
	case []int32:
		download(c, t, c.exact(src, compute.I32, len(t)))
	case []int8:
		download(c, t, c.exact(src, compute.I8, len(t)))
	case []uint8:
		download(c, t, c.exact(src, compute.U8, len(t)))
	default:
		c.failf("cannot fill a %T", dst)
	}
	return d.Sync()
}

func download[T any](c call, dst []T, src *buffer) {
	if c.ok() && len(dst) > 0 {
		c.d.run(c.d.ctx.ToHost(unsafe.Pointer(unsafe.SliceData(dst)), src.p, len(dst)*src.typ.Size()))
	}
}

// Copy implements compute.Device.
func (d *Device) Copy(dst, src compute.Buffer) {
	c := d.call("Copy")
	a, b := c.buffer("dst", dst), c.buffer("src", src)
	if c.ok() && (a.typ != b.typ || a.n != b.n) {
		c.failf("dst is %s[%d], src %s[%d]", a.typ, a.n, b.typ, b.n)
	}
	if c.ok() && a.n > 0 {
		d.run(d.ctx.Copy(a.p, b.p, a.n*a.typ.Size()))
	}
}

// Zero implements compute.Device.
func (d *Device) Zero(b compute.Buffer) {
	c := d.call("Zero")
	if x := c.buffer("b", b); c.ok() && x.n > 0 {
		d.run(d.ctx.Set(x.p, 0, x.n*x.typ.Size()))
	}
}

// toBF16 rounds to nearest even and keeps NaN.
func toBF16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func fromBF16(v uint16) float32 { return math.Float32frombits(uint32(v) << 16) }
