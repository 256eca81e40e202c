package gguf

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// An Image is a file to be written of tensors that other files hold: their bytes
// are copied, nothing is encoded again. It starts with a copy of a file's metadata,
// which may be changed. Unlike Writer it needs only an io.Writer.
type Image struct {
	Metadata
	// ReserveBytes is room kept in the header for later edits, as in WriterOptions.
	ReserveBytes int64

	tensors []*Tensor
	big     bool
}

// NewImage returns an image of a file or of joined files, with all tensors in
// order, in the byte order of the first.
func NewImage(r *Reader) *Image {
	return &Image{Metadata: r.clone(), tensors: r.tensors, big: r.BigEndian()}
}

func (m *Metadata) clone() Metadata { return Metadata{slices.Clone(m.keys), maps.Clone(m.values)} }

// An imageLayout is an image with its places fixed.
type imageLayout struct {
	header []byte
	infos  []TensorInfo // offsets from the start of the file
	size   int64
}

// place lays the tensors one behind the other. Alignments under 8 are read, but
// Writer makes none, nor does this.
func (i *Image) place() (imageLayout, error) {
	alignment, err := alignmentOf(&i.Metadata, 1<<20)
	if err != nil {
		return imageLayout{}, &KeyError{alignmentKey, err.Error(), ErrFormat}
	}
	l := imageLayout{infos: i.infos()}
	for n, t := range i.tensors {
		l.infos[n].Offset = l.size
		next, ok := padded(l.size+t.Size, alignment)
		if l.size+t.Size < l.size || !ok {
			return l, &TensorError{t.Name, fmt.Errorf("%w: the end of the file overflows", ErrFormat)}
		}
		l.size = next
	}
	if len(i.tensors) == 0 {
		alignment = min(alignment, 32) // nothing is aligned
	}
	l.header, err = heading{&i.Metadata, l.infos, i.big, alignment}.withReserve(i.ReserveBytes)
	if err != nil {
		return l, err
	}
	if l.size > math.MaxInt64-int64(len(l.header)) {
		return l, fmt.Errorf("gguf: %w: the file's size overflows", ErrFormat)
	}
	l.size += int64(len(l.header))
	for n := range l.infos {
		l.infos[n].Offset += int64(len(l.header))
	}
	return l, nil
}

func (i *Image) infos() []TensorInfo {
	out := make([]TensorInfo, len(i.tensors))
	for n, t := range i.tensors {
		out[n] = t.TensorInfo
	}
	return out
}

// Size returns how many bytes Encode writes.
func (i *Image) Size() (int64, error) {
	l, err := i.place()
	return l.size, err
}

// Tensors returns the number of tensors.
func (i *Image) Tensors() int { return len(i.tensors) }

// Encode writes the file, from front to back.
func (i *Image) Encode(ctx context.Context, w io.Writer, env Env) error {
	l, err := i.place()
	if err != nil {
		return err
	}
	if _, err := w.Write(l.header); err != nil {
		return fmt.Errorf("gguf: write header: %w", err)
	}
	c := &imageCopy{ctx: ctx, w: w, big: i.big, env: env, at: int64(len(l.header)), total: l.size - int64(len(l.header))}
	c.begin = c.at
	for n, t := range i.tensors {
		end := l.size
		if n+1 < len(l.infos) {
			end = l.infos[n+1].Offset
		}
		if err := c.tensor(t, end); err != nil {
			return &TensorError{t.Name, err}
		}
	}
	return nil
}

// imageCopy is the state of one Encode.
type imageCopy struct {
	ctx       context.Context
	w         io.Writer
	big       bool
	env       Env
	begin, at int64
	total     int64
	buf       []byte
}

// copyBytes is how much is copied at a time, in whole blocks.
const copyBytes = 1 << 20

// tensor copies one tensor and the zeros up to end.
func (c *imageCopy) tensor(t *Tensor, end int64) error {
	unit := int64(max(1, t.Type.BlockBytes()))
	step := max(1, copyBytes/unit) * unit
	for from := int64(0); from < t.Size; from += step {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n := min(step, t.Size-from)
		if int64(len(c.buf)) < n {
			c.buf = make([]byte, n)
		}
		if err := c.part(t, from, c.buf[:n]); err != nil {
			return err
		}
	}
	pad := make([]byte, end-c.at)
	return c.write(pad)
}

func (c *imageCopy) part(t *Tensor, from int64, b []byte) error {
	if err := readFullAt(t.file.r, b, t.Offset+from); err != nil {
		return fmt.Errorf("at byte %d: %w", t.Offset+from, err)
	}
	if t.file.BigEndian() != c.big {
		swapBlocks(t.Type, b)
	}
	return c.write(b)
}

func (c *imageCopy) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := c.w.Write(b)
	c.at += int64(n)
	if c.env.Progress != nil && err == nil {
		c.env.Progress(c.at-c.begin, c.total)
	}
	return err
}
