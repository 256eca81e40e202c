package cpu0

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

type weight struct {
	rows, cols int
	format     compute.Format
	f          []float32
	h          []uint16
	q          []int8
	scale      []float32
}

// Rows implements compute.Weight.
func (w *weight) Rows() int { return w.rows }

// Cols implements compute.Weight.
func (w *weight) Cols() int { return w.cols }

// Format implements compute.Weight.
func (w *weight) Format() compute.Format { return w.format }

// Bytes implements compute.Weight.
func (w *weight) Bytes() int64 { return int64(4*len(w.f) + 2*len(w.h) + len(w.q) + 4*len(w.scale)) }

// Weight implements compute.Device.
func (d *Device) Weight(f compute.Format, nrows, cols int, src compute.RowSource) (compute.Weight, error) {
	w := &weight{rows: nrows, cols: cols, format: f}
	switch f {
	case compute.FormatF32:
		w.f = make([]float32, nrows*cols)
	case compute.FormatBF16:
		w.h = make([]uint16, nrows*cols)
	case compute.FormatInt8, compute.FormatInt8W:
		w.q, w.scale = make([]int8, nrows*cols), make([]float32, nrows)
	default:
		return nil, fmt.Errorf("cpu: weight format %v: %w", f, compute.ErrUnsupported)
	}
	const block = 64
	buf := make([]float32, block*cols)
	for r := 0; r < nrows; r += block {
		chunk := buf[:min(block, nrows-r)*cols]
		if err := src(r, chunk); err != nil {
			return nil, err
		}
		for i := range len(chunk) / cols {
			w.store(r+i, chunk[i*cols:(i+1)*cols])
		}
	}
	return w, nil
}

func (w *weight) store(r int, row []float32) {
	off := r * w.cols
	switch {
	case w.f != nil:
		copy(w.f[off:], row)
	case w.h != nil:
		for k, v := range row {
			w.h[off+k] = bf16(v)
		}
	default:
		w.scale[r] = quantise(w.q[off:off+w.cols], row)
	}
}

func (w *weight) row(dst []float32, r int) {
	off := r * w.cols
	switch {
	case w.f != nil:
		copy(dst, w.f[off:off+w.cols])
	case w.h != nil:
		for k, h := range w.h[off : off+w.cols] {
			dst[k] = fromBF16(h)
		}
	default:
		for k, q := range w.q[off : off+w.cols] {
			dst[k] = float32(q) * w.scale[r]
		}
	}
}

func bf16(f float32) uint16 {
	b := math.Float32bits(f)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func fromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

func quantise(q []int8, x []float32) float32 {
	top := float32(0)
	for _, v := range x {
		top = max(top, max(v, -v))
	}
	if top == 0 || top != top {
		clear(q)
		return top
	}
	inv := 127 / top
	for k, v := range x {
		q[k] = int8(math.RoundToEven(float64(v * inv)))
	}
	return top / 127
}
