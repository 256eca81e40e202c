package cpu

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// weight is a frozen matrix, row-major but for codes. One of f, h, q, n, codes is
// set.
type weight struct {
	owner      *Device
	rows, cols int
	format     compute.Format
	f          []float32
	h          []uint16  // bfloat16
	q          []int8    // FormatInt8W: w = q·scale[row]
	scale      []float32 // [rows], of q
	n          *nf4
	codes      *codes // FormatInt8
}

// Rows implements compute.Weight.
func (w *weight) Rows() int { return w.rows }

// Cols implements compute.Weight.
func (w *weight) Cols() int { return w.cols }

// Format implements compute.Weight.
func (w *weight) Format() compute.Format { return w.format }

// Bytes implements compute.Weight.
func (w *weight) Bytes() int64 {
	b := int64(4*len(w.f) + 2*len(w.h) + len(w.q) + 4*len(w.scale))
	if w.n != nil {
		b += int64(len(w.n.codes) + 4*len(w.n.absmax))
	}
	if w.codes != nil {
		b += w.codes.bytes()
	}
	return b
}

// loadRows is how many rows are read at once while a weight is stored: whole
// panels of codes.
const loadRows = 64

// Weight implements compute.Device.
func (d *Device) Weight(f compute.Format, rows, cols int, src compute.RowSource) (compute.Weight, error) {
	if d.err != nil {
		return nil, d.err
	}
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("cpu: weight of %d rows and %d columns", rows, cols)
	}
	w := &weight{owner: d, rows: rows, cols: cols, format: f}
	if err := w.take(d.pages); err != nil {
		return nil, err
	}
	if err := d.fill(w, src); err != nil {
		return nil, err
	}
	if w.codes != nil {
		w.codes.sum(d)
	}
	return w, nil
}

// fill reads and stores w's rows, several parts at the same time. Of errors it
// returns that of the lowest rows.
func (d *Device) fill(w *weight, src compute.RowSource) error {
	parts := (w.rows + loadRows - 1) / loadRows
	memory := sync.Pool{New: func() any { b := make([]float32, min(w.rows, loadRows)*w.cols); return &b }}
	errs := make([]error, parts)
	var bad atomic.Int64 // the first part that failed
	bad.Store(int64(parts))
	d.pool.run(parts, func(_ *worker, i int) {
		if int64(i) > bad.Load() {
			return
		}
		buf := memory.Get().(*[]float32)
		defer memory.Put(buf)
		r := i * loadRows
		part := (*buf)[:min(loadRows, w.rows-r)*w.cols]
		if errs[i] = src(r, part); errs[i] == nil {
			w.store(d.kern, r, part)
			return
		}
		for old := bad.Load(); int64(i) < old && !bad.CompareAndSwap(old, int64(i)); old = bad.Load() {
		}
	})
	if i := bad.Load(); i < int64(parts) {
		return errs[i]
	}
	return nil
}

// take gives w its memory.
func (w *weight) take(p *pages) (err error) {
	switch w.format {
	case compute.FormatF32:
		w.f, err = taken[float32](p, w.rows*w.cols)
	case compute.FormatBF16:
		w.h, err = taken[uint16](p, w.rows*w.cols)
	case compute.FormatInt8:
		w.codes, err = newCodes(p, w.rows, w.cols)
	case compute.FormatInt8W:
		w.scale = make([]float32, w.rows)
		w.q, err = taken[int8](p, w.rows*w.cols)
	case compute.FormatNF4:
		w.n, err = newNF4(p, w.rows, w.cols)
	default:
		return fmt.Errorf("cpu: weight format %s: %w", w.format, compute.ErrUnsupported)
	}
	return err
}

// store converts whole rows from row first on.
func (w *weight) store(k kernels, first int, src []float32) {
	off := first * w.cols
	switch {
	case w.f != nil:
		copy(w.f[off:], src)
	case w.h != nil:
		for i, v := range src {
			w.h[off+i] = toBF16(v)
		}
	case w.n != nil:
		for i := 0; i < len(src); i += w.cols {
			w.n.store(first+i/w.cols, src[i:i+w.cols])
		}
	case w.codes != nil:
		w.codes.store(k, first, src)
	default:
		for i := 0; i < len(src); i += w.cols {
			w.scale[first+i/w.cols] = k.quantise(w.q[off+i:off+i+w.cols], src[i:i+w.cols])
		}
	}
}

// row writes row r as float32.
func (w *weight) row(dst []float32, r int) {
	off := r * w.cols
	switch {
	case w.f != nil:
		copy(dst, w.f[off:off+w.cols])
	case w.h != nil:
		for i, v := range w.h[off : off+w.cols] {
			dst[i] = fromBF16(v)
		}
	case w.n != nil:
		w.n.read(dst[:w.cols], r, 0)
	case w.codes != nil:
		w.codes.row(dst, r)
	default:
		for i, v := range w.q[off : off+w.cols] {
			dst[i] = float32(v) * w.scale[r]
		}
	}
}

// quantiseGo writes q = round(127 x / absmax), ties to even, and returns the
// scale absmax/127. A NaN in x makes the scale NaN.
func quantiseGo(q []int8, x []float32) float32 {
	m := math.Float32frombits(absBits(x))
	inv, ok := inverse(m)
	if !ok {
		clear(q[:len(x)])
		return m / 127
	}
	roundGo(q, x, inv)
	return m / 127
}

// absBits is the largest magnitude as its bits, which order like magnitudes,
// NaN above all.
func absBits(x []float32) (top uint32) {
	for _, v := range x {
		top = max(top, math.Float32bits(v)&^(1<<31))
	}
	return top
}

func roundGo(q []int8, x []float32, inv float32) {
	for i, v := range x {
		q[i] = int8(math.RoundToEven(float64(v * inv)))
	}
}

// inverse is 127/m, and whether both are finite and positive.
func inverse(m float32) (float32, bool) {
	inv := 127 / m
	return inv, m > 0 && m <= math.MaxFloat32 && inv <= math.MaxFloat32
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
