package gguf

import (
	"fmt"
	"io"
)

// Source gives a tensor's content, as weights or as bytes already encoded. Exactly
// one of the functions is set. They are called from several goroutines at a time,
// for parts in any order.
type Source struct {
	// Float32 fills dst with the weights from element first on.
	Float32 func(first int, dst []float32) error
	// Bytes fills dst with the encoded little-endian bytes from offset on.
	Bytes func(offset int64, dst []byte) error
	// Imatrix, nil or one positive importance for each column, guides the quantizer.
	Imatrix []float32
}

// Values is a source of weights in memory. They are read while Close runs.
func Values(w []float32) Source {
	return Source{Float32: func(first int, dst []float32) error {
		if first > len(w)-len(dst) {
			return fmt.Errorf("%w: elements %d+%d of %d", ErrFormat, first, len(dst), len(w))
		}
		copy(dst, w[first:])
		return nil
	}}
}

// Encoded is a source of bytes in the tensor's own type, little-endian.
func Encoded(r io.ReaderAt) Source {
	return Source{Bytes: func(offset int64, dst []byte) error { return readFullAt(r, dst, offset) }}
}

// readFullAt is ReadAt without the io.EOF that may come with the last byte.
func readFullAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// Copied is a source of another file's tensor, byte for byte where the type stays
// the same, otherwise decoded and encoded again.
func Copied(t *Tensor, as Type) Source {
	if as == t.Type {
		return Source{Bytes: func(offset int64, dst []byte) error {
			if err := readFullAt(t.file.r, dst, t.Offset+offset); err != nil {
				return err
			}
			if t.file.BigEndian() {
				swapBlocks(t.Type, dst)
			}
			return nil
		}}
	}
	return Source{Float32: t.ReadFloat32}
}
