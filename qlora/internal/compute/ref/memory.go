package ref

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Device implements compute.Device in float64.
type Device struct{ err error }

var _ compute.Device = (*Device)(nil)

// New returns a device.
func New() *Device { return &Device{} }

type buffer struct {
	typ compute.Type
	f   []float64 // F32
	i   []int32   // I32
	u   []uint8   // U8, I8
}

// Type implements compute.Buffer.
func (b *buffer) Type() compute.Type { return b.typ }

// Len implements compute.Buffer.
func (b *buffer) Len() int { return len(b.f) + len(b.i) + len(b.u) }

// Slice implements compute.Buffer.
func (b *buffer) Slice(off, n int) compute.Buffer {
	s := &buffer{typ: b.typ}
	switch {
	case b.f != nil:
		s.f = b.f[off : off+n]
	case b.i != nil:
		s.i = b.i[off : off+n]
	default:
		s.u = b.u[off : off+n]
	}
	return s
}

type weight struct {
	rows, cols int
	w          []float64
	format     compute.Format
}

// Rows implements compute.Weight.
func (w *weight) Rows() int { return w.rows }

// Cols implements compute.Weight.
func (w *weight) Cols() int { return w.cols }

// Format implements compute.Weight.
func (w *weight) Format() compute.Format { return w.format }

// Bytes implements compute.Weight.
func (w *weight) Bytes() int64 { return int64(8 * len(w.w)) }

// Name implements compute.Device.
func (d *Device) Name() string { return "ref (float64)" }

// Sync implements compute.Device.
func (d *Device) Sync() error {
	err := d.err
	d.err = nil
	return err
}

// Close implements compute.Device.
func (d *Device) Close() error { return nil }

// Real implements compute.Device.
func (d *Device) Real() compute.Type { return compute.F32 }

// Mark and Release leave freeing to the garbage collector.
func (d *Device) Mark() int { return 0 }

// Release implements compute.Device.
func (d *Device) Release(int) {}

// Alloc implements compute.Device.
func (d *Device) Alloc(t compute.Type, n int) compute.Buffer {
	b := &buffer{typ: t}
	switch t {
	case compute.I32:
		b.i = make([]int32, n)
	case compute.U8, compute.I8:
		b.u = make([]uint8, n)
	default:
		b.f = make([]float64, n)
	}
	return b
}

// Weight implements compute.Device.
func (d *Device) Weight(f compute.Format, rows, cols int, src compute.RowSource) (compute.Weight, error) {
	row, w := make([]float32, cols), make([]float64, 0, rows*cols)
	for r := range rows {
		if err := src(r, row); err != nil {
			return nil, err
		}
		for _, v := range row {
			w = append(w, float64(v))
		}
	}
	return &weight{rows, cols, w, f}, nil
}

// Activation implements compute.Device.
func (d *Device) Activation(_ compute.Format, n, cols int) compute.Activation {
	return compute.Activation{X: d.Alloc(compute.F32, n*cols)}
}

// Upload implements compute.Device; it also takes []float64.
func (d *Device) Upload(dst compute.Buffer, src any) {
	b := dst.(*buffer)
	switch s := src.(type) {
	case []float32:
		for i, v := range s {
			b.f[i] = float64(v)
		}
	case []float64:
		copy(b.f, s)
	case []int32:
		copy(b.i, s)
	case []uint8:
		copy(b.u, s)
	default:
		d.err = fmt.Errorf("ref: cannot upload %T", src)
	}
}

// Download implements compute.Device; it also gives []float64.
func (d *Device) Download(dst any, src compute.Buffer) error {
	b := src.(*buffer)
	switch t := dst.(type) {
	case []float32:
		for i := range t {
			t[i] = float32(b.f[i])
		}
	case []float64:
		copy(t, b.f)
	case []int32:
		copy(t, b.i)
	case []uint8:
		copy(t, b.u)
	default:
		return fmt.Errorf("ref: cannot download to %T", dst)
	}
	return d.Sync()
}

// Copy implements compute.Device.
func (d *Device) Copy(dst, src compute.Buffer) {
	a, b := dst.(*buffer), src.(*buffer)
	copy(a.f, b.f)
	copy(a.i, b.i)
	copy(a.u, b.u)
}

// Zero implements compute.Device.
func (d *Device) Zero(b compute.Buffer) {
	x := b.(*buffer)
	clear(x.f)
	clear(x.i)
	clear(x.u)
}

func fl(b compute.Buffer) []float64 { return b.(*buffer).f }
func in(b compute.Buffer) []int32   { return b.(*buffer).i }
