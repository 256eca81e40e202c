package gguf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
)

// WriterOptions says how to write.
type WriterOptions struct {
	// Alignment of tensors in bytes: a power of two from 8 to 1 Mi; default 32. It is
	// written as general.alignment unless it is 32.
	Alignment uint32 `json:"alignment" yaml:"alignment"`
	// BigEndian writes for machines of that byte order; default false.
	BigEndian bool `json:"big_endian" yaml:"big_endian"`
	// Workers quantize at the same time: 1 or more, 0 for one a processor (default).
	// The bytes do not depend on it.
	Workers int `json:"workers" yaml:"workers"`
	// MemoryBytes bounds all workers' buffers together: 1 Mi or more; default 256 Mi.
	// A row is never cut, so a single row over the budget is refused.
	MemoryBytes int64 `json:"memory_bytes" yaml:"memory_bytes"`
	// ReserveBytes is room kept in the header, so that EditFile can change metadata
	// in place: 0 to 64 Mi; default 0. It is held by the key PaddingKey.
	ReserveBytes int64 `json:"reserve_bytes" yaml:"reserve_bytes"`
}

// DefaultWriterOptions returns the defaults named in WriterOptions.
func DefaultWriterOptions() WriterOptions {
	return WriterOptions{Alignment: 32, MemoryBytes: 256 << 20}
}

// Validate checks the ranges.
func (o WriterOptions) Validate() error {
	switch {
	case o.Alignment < 8 || o.Alignment > 1<<20 || o.Alignment&(o.Alignment-1) != 0:
		return fmt.Errorf("gguf: %w: alignment %d, want a power of two from 8 to %d", ErrOption, o.Alignment, 1<<20)
	case o.Workers < 0:
		return fmt.Errorf("gguf: %w: %d workers", ErrOption, o.Workers)
	case o.ReserveBytes < 0 || o.ReserveBytes > maxReserve:
		return fmt.Errorf("gguf: %w: %d bytes in reserve, want 0 to %d", ErrOption, o.ReserveBytes, maxReserve)
	case o.MemoryBytes < 1<<20:
		return fmt.Errorf("gguf: %w: memory of %d bytes, want at least %d", ErrOption, o.MemoryBytes, 1<<20)
	}
	return nil
}

// Writer writes a file of version 3. Metadata is set through the embedded
// Metadata, tensors are announced with AddTensor, and Close does all the writing:
// the place of a tensor follows from all that stand before it.
type Writer struct {
	Metadata
	// Progress, if set, is told the bytes of tensors written so far and in all. Calls
	// do not overlap.
	Progress func(done, total int64)

	w       io.WriterAt
	opts    WriterOptions
	tensors []pending
	names   map[string]bool
	closed  bool
}

type pending struct {
	TensorInfo
	source Source
}

// ErrClosed: the writer was closed before.
var ErrClosed = errors.New("gguf: writer is closed")

// NewWriter returns a writer to w, which is empty or whose content is to be
// overwritten. An io.WriteSeeker is made an io.WriterAt by SeekWriterAt.
func NewWriter(w io.WriterAt, opts WriterOptions) (*Writer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Workers == 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	return &Writer{w: w, opts: opts, names: map[string]bool{}}, nil
}

// AddTensor announces a tensor, written by Close in the order of these calls. Of
// info, Name, Type and Shape count. Errors are *TensorError.
func (w *Writer) AddTensor(info TensorInfo, source Source) error {
	if err := w.addTensor(info, source); err != nil {
		return &TensorError{info.Name, err}
	}
	return nil
}

func (w *Writer) addTensor(info TensorInfo, source Source) error {
	size, err := info.layout()
	switch {
	case err != nil:
		return err
	case w.names[info.Name]:
		return fmt.Errorf("%w: added twice", ErrFormat)
	case (source.Float32 == nil) == (source.Bytes == nil):
		return fmt.Errorf("%w: a source has either weights or bytes", ErrOption)
	case source.Float32 != nil && !info.Type.Encodable():
		return fmt.Errorf("%w: quantizing to %v", ErrUnsupported, info.Type)
	case source.Imatrix != nil && len(source.Imatrix) != info.Row():
		return fmt.Errorf("%w: importance matrix of %d for rows of %d", ErrFormat, len(source.Imatrix), info.Row())
	}
	info.Size = size
	w.names[info.Name] = true
	w.tensors = append(w.tensors, pending{info, source})
	return nil
}

// Tensors returns what was announced, with Offset and Size after Close.
func (w *Writer) Tensors() []TensorInfo {
	out := make([]TensorInfo, len(w.tensors))
	for i, t := range w.tensors {
		out[i] = t.TensorInfo
	}
	return out
}

// Close writes the file and returns the first error, in the order of the file
// where several parts fail. It does not close the underlying writer. After an
// error or a cancelled context what was written is worthless.
func (w *Writer) Close(ctx context.Context) error {
	if w.closed {
		return ErrClosed
	}
	w.closed = true
	if w.opts.Alignment != 32 {
		w.SetUint32("general.alignment", w.opts.Alignment)
	} else {
		w.Delete("general.alignment")
	}
	total, err := w.place()
	if err != nil {
		return err
	}
	h := heading{&w.Metadata, w.Tensors(), w.opts.BigEndian, w.opts.Alignment}
	header, err := h.withReserve(w.opts.ReserveBytes)
	if err != nil {
		return err
	}
	data := int64(len(header))
	if total > math.MaxInt64-data {
		return fmt.Errorf("gguf: %w: the file's size overflows", ErrFormat)
	}
	if _, err := w.w.WriteAt(header, 0); err != nil {
		return fmt.Errorf("gguf: write header: %w", err)
	}
	for i := range w.tensors {
		w.tensors[i].Offset += data
	}
	return w.writeTensors(ctx, total)
}

// place sets offsets from the start of the tensors and returns the end.
func (w *Writer) place() (int64, error) {
	at := int64(0)
	for i := range w.tensors {
		t := &w.tensors[i]
		t.Offset = at
		next, ok := padded(at+t.Size, w.opts.Alignment)
		if at+t.Size < at || !ok {
			return 0, &TensorError{t.Name, fmt.Errorf("%w: the end of the file overflows", ErrFormat)}
		}
		at = next
	}
	return at, nil
}

// seekWriterAt serialises writes at offsets over a seeker.
type seekWriterAt struct {
	mu sync.Mutex
	w  io.WriteSeeker
}

// SeekWriterAt makes an io.WriterAt of an io.WriteSeeker; the position afterwards
// is undefined.
func SeekWriterAt(w io.WriteSeeker) io.WriterAt { return &seekWriterAt{w: w} }

// WriteAt implements io.WriterAt.
func (s *seekWriterAt) WriteAt(b []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.w.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return s.w.Write(b)
}
