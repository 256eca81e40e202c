package cpu0

import (
	"errors"
	"fmt"

	"github.com/borea-go/borea/internal/cpuid"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// Device is the CPU. It is not safe for concurrent use.
type Device struct {
	k   kernels
	err error
}

var _ compute.Device = (*Device)(nil)

// New returns a device that uses the best kernels of this processor.
func New() *Device { return &Device{k: chooseKernels(cpuid.X86)} }

type buffer struct {
	typ compute.Type
	f   []float32
	i   []int32
	b   []int8
	u   []uint8
}

// Type implements compute.Buffer.
func (b *buffer) Type() compute.Type { return b.typ }

// Len implements compute.Buffer.
func (b *buffer) Len() int { return len(b.f) + len(b.i) + len(b.b) + len(b.u) }

// Slice implements compute.Buffer.
func (b *buffer) Slice(off, n int) compute.Buffer {
	s := &buffer{typ: b.typ}
	switch b.typ {
	case compute.F32:
		s.f = b.f[off : off+n]
	case compute.I32:
		s.i = b.i[off : off+n]
	case compute.I8:
		s.b = b.b[off : off+n]
	case compute.U8:
		s.u = b.u[off : off+n]
	}
	return s
}

func (d *Device) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("cpu: "+format, args...)
	}
}

// Name implements compute.Device.
func (d *Device) Name() string { return "cpu (" + d.k.name + ")" }

// Sync implements compute.Device; work is synchronous here.
func (d *Device) Sync() error {
	err := d.err
	d.err = nil
	return err
}

// Close implements compute.Device.
func (d *Device) Close() error { return nil }

// Real implements compute.Device.
func (d *Device) Real() compute.Type { return compute.F32 }

// Mark implements compute.Device; memory is freed by the garbage collector.
func (d *Device) Mark() int { return 0 }

// Release implements compute.Device.
func (d *Device) Release(int) {}

// Alloc implements compute.Device.
func (d *Device) Alloc(t compute.Type, n int) compute.Buffer {
	b := &buffer{typ: t}
	switch t {
	case compute.F32:
		b.f = make([]float32, n)
	case compute.I32:
		b.i = make([]int32, n)
	case compute.I8:
		b.b = make([]int8, n)
	case compute.U8:
		b.u = make([]uint8, n)
	default:
		d.fail("%v buffers: %w", t, compute.ErrUnsupported)
	}
	return b
}

// Activation implements compute.Device.
func (d *Device) Activation(f compute.Format, n, cols int) compute.Activation {
	a := compute.Activation{X: d.Alloc(compute.F32, n*cols)}
	if f == compute.FormatInt8 {
		a.Q, a.S = d.Alloc(compute.I8, n*cols), d.Alloc(compute.F32, n)
	}
	return a
}

var errSize = errors.New("cpu: host slice and buffer differ in type or length")

// Upload implements compute.Device.
func (d *Device) Upload(dst compute.Buffer, src any) {
	b, n := dst.(*buffer), -1
	switch s := src.(type) {
	case []float32:
		n = copyIf(b.f, s)
	case []int32:
		n = copyIf(b.i, s)
	case []int8:
		n = copyIf(b.b, s)
	case []uint8:
		n = copyIf(b.u, s)
	}
	if n != b.Len() {
		d.fail("upload %T to %d of %v: %w", src, b.Len(), b.typ, errSize)
	}
}

// Download implements compute.Device.
func (d *Device) Download(dst any, src compute.Buffer) error {
	b, n := src.(*buffer), -1
	switch t := dst.(type) {
	case []float32:
		n = copyPrefix(t, b.f)
	case []int32:
		n = copyPrefix(t, b.i)
	case []int8:
		n = copyPrefix(t, b.b)
	case []uint8:
		n = copyPrefix(t, b.u)
	}
	if n < 0 {
		d.fail("download %T from %d of %v: %w", dst, b.Len(), b.typ, errSize)
	}
	return d.Sync()
}

func copyIf[T any](dst, src []T) int {
	if len(dst) != len(src) {
		return -1
	}
	return copy(dst, src)
}

func copyPrefix[T any](dst, src []T) int {
	if len(dst) > len(src) {
		return -1
	}
	return copy(dst, src)
}

// Copy implements compute.Device.
func (d *Device) Copy(dst, src compute.Buffer) {
	a, b := dst.(*buffer), src.(*buffer)
	if a.typ != b.typ || a.Len() != b.Len() {
		d.fail("copy: %w", errSize)
		return
	}
	copy(a.f, b.f)
	copy(a.i, b.i)
	copy(a.b, b.b)
	copy(a.u, b.u)
}

// Zero implements compute.Device.
func (d *Device) Zero(b compute.Buffer) {
	x := b.(*buffer)
	clear(x.f)
	clear(x.i)
	clear(x.b)
	clear(x.u)
}

func fl(b compute.Buffer) []float32 { return b.(*buffer).f }
func in(b compute.Buffer) []int32   { return b.(*buffer).i }
