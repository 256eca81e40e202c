package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
)

// Limits bounds what a file may claim. All counts and lengths are also checked
// against the bytes that are left before anything is allocated.
type Limits struct {
	Keys        int    `json:"keys" yaml:"keys"`                 // most metadata keys; default 65,536
	Tensors     int    `json:"tensors" yaml:"tensors"`           // most tensors; default 65,536
	StringBytes int64  `json:"string_bytes" yaml:"string_bytes"` // longest string; default 16 Mi
	ArrayLen    int64  `json:"array_len" yaml:"array_len"`       // most elements of an array; default 64 Mi
	Alignment   uint32 `json:"alignment" yaml:"alignment"`       // largest general.alignment; default 1 Mi
}

// ReaderOptions says how to read.
type ReaderOptions struct {
	Limits Limits `json:"limits" yaml:"limits"`
}

// DefaultReaderOptions returns limits that every published model keeps.
func DefaultReaderOptions() ReaderOptions {
	return ReaderOptions{Limits{Keys: 1 << 16, Tensors: 1 << 16, StringBytes: 16 << 20, ArrayLen: 64 << 20, Alignment: 1 << 20}}
}

// Validate checks the ranges.
func (o ReaderOptions) Validate() error {
	l := o.Limits
	if l.Keys < 0 || l.Tensors < 0 || l.StringBytes < 0 || l.ArrayLen < 0 || l.Alignment == 0 {
		return fmt.Errorf("gguf: %w: limits %+v: negative, or no alignment", ErrOption, l)
	}
	return nil
}

// Reader gives access to a file. The metadata is in memory; tensors are read when
// asked for. It is safe for concurrent use when the io.ReaderAt is and nobody
// changes the metadata.
type Reader struct {
	Metadata
	r         io.ReaderAt
	size      int64
	version   uint32
	order     binary.ByteOrder
	alignment uint32
	data      int64 // offset of the tensors' bytes
	tensors   []*Tensor
	byName    map[string]*Tensor
}

// Tensor is a tensor of an open file.
type Tensor struct {
	TensorInfo
	file *Reader
}

// NewReader reads and checks the header of a file of size bytes, of version 1, 2
// or 3 in either byte order. Errors about the file are *FormatError.
func NewReader(r io.ReaderAt, size int64, opts ReaderOptions) (*Reader, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	d := newDecoder(r, size, opts.Limits)
	f := &Reader{r: r, size: size, alignment: 32, byName: map[string]*Tensor{}}
	if err := d.readFile(f); err != nil {
		return nil, err
	}
	return f, nil
}

// Version returns the format version: 1, 2 or 3.
func (f *Reader) Version() int { return int(f.version) }

// BigEndian reports the byte order of the file.
func (f *Reader) BigEndian() bool { return f.order == binary.BigEndian }

// Alignment returns the alignment of tensors in bytes.
func (f *Reader) Alignment() uint32 { return f.alignment }

// DataOffset returns where the tensors begin, in bytes from the start of the file.
func (f *Reader) DataOffset() int64 { return f.data }

// Len returns the number of tensors.
func (f *Reader) Len() int { return len(f.tensors) }

// Tensors yields the tensors in file order, by name. No weight is read.
func (f *Reader) Tensors() iter.Seq2[string, *Tensor] {
	return func(yield func(string, *Tensor) bool) {
		for _, t := range f.tensors {
			if !yield(t.Name, t) {
				return
			}
		}
	}
}

// Tensor returns the tensor of that name.
func (f *Reader) Tensor(name string) (*Tensor, bool) { t, ok := f.byName[name]; return t, ok }

// Section returns a reader over the tensor's bytes as they are in the file.
func (t *Tensor) Section() *io.SectionReader {
	return io.NewSectionReader(t.file.r, t.Offset, t.Size)
}

// Float32 returns the whole tensor, decoded.
func (t *Tensor) Float32() ([]float32, error) {
	n := t.Elements()
	if n > math.MaxInt/4 {
		return nil, &TensorError{t.Name, fmt.Errorf("%w: %d elements", ErrLimit, n)}
	}
	if !t.Type.Encodable() {
		return nil, &TensorError{t.Name, fmt.Errorf("%w: decoding %v", ErrUnsupported, t.Type)}
	}
	dst := make([]float32, n)
	return dst, t.ReadFloat32(0, dst)
}

// decodeChunk is how many elements are decoded at a time: a multiple of every
// block size, whose bytes fit the second-level cache.
const decodeChunk = 1 << 14

// ReadFloat32 fills dst with decoded elements from index first on. first and
// len(dst) are multiples of the type's block size.
func (t *Tensor) ReadFloat32(first int, dst []float32) error {
	if !t.Type.Encodable() {
		return &TensorError{t.Name, fmt.Errorf("%w: decoding %v", ErrUnsupported, t.Type)}
	}
	tr := typeTraits[t.Type]
	if first < 0 || int64(first) > t.Elements()-int64(len(dst)) || first%tr.block != 0 || len(dst)%tr.block != 0 {
		return &TensorError{t.Name, fmt.Errorf("%w: elements %d+%d of %d, in blocks of %d", ErrFormat, first, len(dst), t.Elements(), tr.block)}
	}
	buf := make([]byte, min(len(dst), decodeChunk)/tr.block*tr.bytes)
	for at := int64(first / tr.block * tr.bytes); len(dst) > 0; {
		n := min(len(dst), decodeChunk)
		b := buf[:n/tr.block*tr.bytes]
		if err := readFullAt(t.file.r, b, t.Offset+at); err != nil {
			return &TensorError{t.Name, fmt.Errorf("at byte %d: %w", t.Offset+at, err)}
		}
		if t.file.BigEndian() {
			swapBlocks(t.Type, b)
		}
		tr.decode(dst[:n], b)
		dst, at = dst[n:], at+int64(len(b))
	}
	return nil
}

// swapBlocks reverses the multi-byte fields of whole blocks.
func swapBlocks(t Type, b []byte) {
	tr := typeTraits[t]
	if t == F32 || t == I32 || t == I64 || t == F64 {
		for ; len(b) >= tr.bytes; b = b[tr.bytes:] {
			reverse(b[:tr.bytes])
		}
		return
	}
	for ; len(b) >= tr.bytes; b = b[tr.bytes:] {
		for _, at := range tr.swap16 {
			b[at], b[at+1] = b[at+1], b[at]
		}
	}
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}
