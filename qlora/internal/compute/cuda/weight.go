//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// weight is a frozen matrix, row-major; weight.cu has the formats.
type weight struct {
	owner      *Device
	rows, cols int
	format     compute.Format
	w          uint64
	scale      uint64 // F32, a row (int8) or a block of 64 (nf4); else 0
	bytes      int64
}

// Rows implements compute.Weight.
func (w *weight) Rows() int { return w.rows }

// Cols implements compute.Weight.
func (w *weight) Cols() int { return w.cols }

// Format implements compute.Weight.
func (w *weight) Format() compute.Format { return w.format }

// Bytes implements compute.Weight.
func (w *weight) Bytes() int64 { return w.bytes }

// stage is pinned memory for rows, and when the device has read it.
type stage struct {
	mem    *driver.Pinned
	passed *driver.Event
}

// stageBytes is how much of a weight travels at once.
const stageBytes = 16 << 20

func (d *Device) newStage(n int) (*stage, error) {
	s := &stage{}
	var err error
	if s.mem, err = d.ctx.Pinned(n); err != nil {
		return nil, err
	}
	if s.passed, err = d.ctx.NewEvent(); err != nil {
		return nil, err
	}
	return s, s.passed.Record()
}

// Weight implements compute.Device. Rows are read, by several goroutines, into one
// of two pinned buffers while the device stores those of the other.
func (d *Device) Weight(f compute.Format, rows, cols int, src compute.RowSource) (compute.Weight, error) {
	w, err := d.newWeight(f, rows, cols, src, d.weights.take)
	if err != nil {
		return nil, err
	}
	return w, nil
}

var _ compute.Tabler = (*Device)(nil)

// Table implements compute.Tabler in pinned memory, which kernels read and write
// across the bus.
func (d *Device) Table(f compute.Format, rows, cols int, src compute.RowSource) (compute.Weight, error) {
	w, err := d.newWeight(f, rows, cols, src, func(n int) (uint64, error) {
		m, err := d.ctx.Pinned(n)
		if err != nil {
			return 0, err
		}
		d.tables = append(d.tables, m)
		return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.Bytes())))), nil
	})
	if err != nil {
		return nil, err
	}
	w.bytes = 0 // of device memory
	return w, nil
}

func (d *Device) newWeight(f compute.Format, rows, cols int, src compute.RowSource, take func(n int) (uint64, error)) (*weight, error) {
	if d.err != nil {
		return nil, d.err
	}
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("cuda: weight of %d rows and %d columns", rows, cols)
	}
	w := &weight{owner: d, rows: rows, cols: cols, format: f}
	bytes, scales, err := layout(f, cols)
	if err != nil {
		return nil, err
	}
	if 4*cols > stageBytes {
		return nil, fmt.Errorf("cuda: weight of %d columns: %w", cols, compute.ErrUnsupported)
	}
	w.bytes = int64(rows * (bytes + 4*scales))
	if w.w, err = take(rows * bytes); err != nil {
		return nil, err
	}
	if scales > 0 {
		if w.scale, err = take(rows * scales * 4); err != nil {
			return nil, err
		}
	}
	return w, d.fill(w, bytes, scales, src)
}

func (d *Device) fill(w *weight, bytes, scales int, src compute.RowSource) error {
	per := min(w.rows, stageBytes/(4*w.cols))
	d.call("Weight")
	room := d.temporary(stageBytes) // what is queued stays in order, so one is enough
	if d.err != nil {
		return d.Sync()
	}
	for i, r := 0, 0; r < w.rows; i, r = i+1, r+per {
		s := d.staging[i%2]
		if s == nil {
			var err error
			if s, err = d.newStage(stageBytes); err != nil {
				return err
			}
			d.staging[i%2] = s
		}
		if err := s.passed.Wait(); err != nil {
			return err
		}
		n := min(per, w.rows-r)
		host := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(s.mem.Bytes()))), n*w.cols)
		if err := readRows(src, r, host, w.cols); err != nil {
			return err
		}
		d.run(d.ctx.ToDevice(room, unsafe.Pointer(&host[0]), 4*len(host)))
		d.store(w, w.w+uint64(r*bytes), w.scale+uint64(4*r*scales), room, n)
		d.run(s.passed.Record())
		if d.err != nil {
			return d.Sync()
		}
	}
	return nil
}

// readers is how many goroutines read rows: widening and checking them costs more
// than the copy to the device.
const readers = 8

// readRows fills dst with rows from first on, parts of it side by side.
func readRows(src compute.RowSource, first int, dst []float32, cols int) error {
	rows := len(dst) / cols
	per := ceil(rows, readers)
	errs := make([]error, readers)
	var wait sync.WaitGroup
	for i := 0; i*per < rows; i++ {
		wait.Go(func() {
			errs[i] = src(first+i*per, dst[i*per*cols:min(rows, (i+1)*per)*cols])
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// store converts n rows of float32.
func (d *Device) store(w *weight, to, scale, from uint64, n int) {
	a := &driver.Args{}
	switch w.format {
	case compute.FormatF32:
		d.run(d.ctx.Copy(to, from, 4*n*w.cols))
	case compute.FormatBF16:
		d.flat("store_bf16", min(n*w.cols, 1<<20), a.Ptr(to).Ptr(from).Ptr(uint64(n*w.cols)))
	case compute.FormatNF4:
		d.rows("store_nf4", ceil(n*ceil(w.cols, nf4Block), 8), a.Ptr(to).Ptr(scale).Ptr(from).Int(n, w.cols))
	default:
		d.rows("quantise_f32", n, a.Ptr(to).Ptr(scale).Ptr(from).Int(w.cols, vec(w.cols, to, from)))
	}
}

// wideBytes is the scratch memory that wide takes.
func (d *Device) wideBytes(w *weight) int {
	if d.real == compute.F32 && w.format == compute.FormatF32 || d.real == compute.BF16 && w.format == compute.FormatBF16 {
		return 0
	}
	return w.rows * w.cols * d.real.Size()
}

// wide returns w as Real [rows, cols]: itself where it is stored so, else
// widened in scratch memory.
func (c call) wide(w *weight) uint64 {
	d := c.d
	n := d.wideBytes(w)
	if n == 0 {
		return w.w
	}
	out := d.temporary(n)
	a := &driver.Args{}
	d.rows(typed("widen", d.real), w.rows, a.Ptr(out).Ptr(w.w).Ptr(w.scale).Int(int(w.format), w.cols, vec(w.cols, out, w.w)))
	return out
}

// Embed implements compute.Device.
func (d *Device) Embed(h compute.Buffer, table compute.Weight, ids compute.Buffer, n int, alpha float32, seq compute.Sequence, rnd compute.Random) {
	c := d.call("Embed")
	w, state := c.weight("table", table), c.random(rnd)
	if !c.ok() {
		return
	}
	out, id := c.real("h", h, n*w.cols), c.i32("ids", ids, n)
	var start uint64
	if alpha > 0 && state != 0 {
		start = c.i32("seq.Start", seq.Start, n)
	}
	a := &driver.Args{}
	a.Ptr(out).Ptr(w.w).Ptr(w.scale).Int(int(w.format)).Ptr(id).Int(w.rows, w.cols, n).Float(alpha)
	a.Ptr(start).Ptr(state).Int(int(compute.SiteNEFTune)).Ptr(d.fault).Int(vec(w.cols, out, w.w))
	d.rows(typed("embed", d.real), n, a)
}
