package gguf

import (
	"context"
	"fmt"
	"sync"
)

// A part is a run of a tensor's elements that one worker encodes and writes.
type part struct {
	tensor       int
	first, count int64
}

// partElements is the usual size of a part: large enough to hide the cost of
// handing it out, small enough to keep all workers busy to the end.
const partElements = 1 << 18

// perElement is a worker's buffer for one element at most: a float32, a block's
// bytes, and a source's own 16 bits.
const perElement = 10

// parts cuts the tensors. Importance matrices need whole rows, since a row's mean
// square enters every block; without one, blocks are enough.
func (w *Writer) parts() ([]part, int64, error) {
	budget := w.opts.MemoryBytes / int64(w.opts.Workers) / perElement
	var out []part
	longest := int64(0)
	for i, t := range w.tensors {
		unit := int64(max(1, t.Type.BlockSize()))
		if t.source.Imatrix != nil {
			unit = int64(max(1, t.Row()))
		}
		if unit > budget {
			return nil, 0, &TensorError{t.Name, fmt.Errorf("%w: %w: rows of %d elements need more than the %d bytes for %d workers", ErrLimit, ErrMemory, unit, w.opts.MemoryBytes, w.opts.Workers)}
		}
		step := max(unit, min(budget, partElements)/unit*unit)
		for at, n := int64(0), t.Elements(); at < n || at == 0; at += step {
			out = append(out, part{i, at, min(step, n-at)})
		}
		longest = max(longest, min(step, t.Elements()))
	}
	return out, longest, nil
}

// writeTensors runs the workers over the parts. The error reported is that of the
// first failing part in file order among those that were reached.
func (w *Writer) writeTensors(ctx context.Context, total int64) error {
	parts, longest, err := w.parts()
	if err != nil {
		return err
	}
	run := &partRun{w: w, parts: parts, total: total, failed: len(parts)}
	var wg sync.WaitGroup
	for range min(w.opts.Workers, len(parts)) {
		wg.Go(func() { run.work(ctx, longest) })
	}
	wg.Wait()
	if run.err != nil {
		return run.err
	}
	return ctx.Err()
}

type partRun struct {
	w     *Writer
	parts []part
	total int64

	mu     sync.Mutex
	next   int
	done   int64
	failed int // index of the first failing part
	err    error
}

func (r *partRun) work(ctx context.Context, longest int64) {
	floats, bytes := make([]float32, longest), []byte(nil)
	for {
		i, ok := r.take(ctx)
		if !ok {
			return
		}
		p := r.parts[i]
		var err error
		if bytes, err = r.w.writePart(p, floats, bytes); err != nil {
			r.fail(i, &TensorError{r.w.tensors[p.tensor].Name, err})
			return
		}
		r.advance(int64(len(bytes)))
	}
}

func (r *partRun) take(ctx context.Context) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || ctx.Err() != nil || r.next == len(r.parts) {
		return 0, false
	}
	r.next++
	return r.next - 1, true
}

func (r *partRun) fail(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i < r.failed {
		r.failed, r.err = i, err
	}
}

func (r *partRun) advance(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.w.Progress != nil {
		r.w.Progress(r.done, r.total)
	}
}

// writePart returns what it wrote, in buf or a larger buffer. The last part of a
// tensor brings the padding behind it.
func (w *Writer) writePart(p part, floats []float32, buf []byte) ([]byte, error) {
	t := w.tensors[p.tensor]
	start, err := t.Type.Bytes(p.first)
	if err != nil {
		return nil, err
	}
	size, err := t.Type.Bytes(p.count)
	if err != nil {
		return nil, err
	}
	pad := int64(0)
	if p.first+p.count == t.Elements() {
		end, _ := padded(t.Size, w.opts.Alignment)
		pad = end - t.Size
	}
	if int64(cap(buf)) < size+pad {
		buf = make([]byte, size+pad)
	}
	buf = buf[:size+pad]
	clear(buf[size:])
	if err := fillPart(t, p, start, buf[:size], floats[:p.count]); err != nil {
		return nil, err
	}
	if w.opts.BigEndian {
		swapBlocks(t.Type, buf[:size])
	}
	_, err = w.w.WriteAt(buf, t.Offset+start)
	return buf, err
}

func fillPart(t pending, p part, start int64, dst []byte, floats []float32) error {
	if t.source.Bytes != nil {
		return t.source.Bytes(start, dst)
	}
	if err := t.source.Float32(int(p.first), floats); err != nil {
		return err
	}
	row := int(p.count)
	if t.source.Imatrix != nil {
		row = t.Row()
	}
	if row == 0 {
		return nil
	}
	err := Quantize(t.Type, dst, floats, row, t.source.Imatrix)
	if number, ok := err.(*NumberError); ok {
		number.Index += p.first
	}
	return err
}
