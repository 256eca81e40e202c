package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
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

// bfloat16s is a source of 16-bit brain floats, as most models are published in:
// the shortest way from their bytes, since reading is a tenth of a conversion.
func bfloat16s(r io.ReaderAt) Source {
	var buffers sync.Pool
	return Source{Float32: func(first int, dst []float32) error {
		buf, _ := buffers.Get().(*[]byte)
		if buf == nil || len(*buf) < 2*len(dst) {
			b := make([]byte, 2*len(dst))
			buf = &b
		}
		defer buffers.Put(buf)
		b := (*buf)[:2*len(dst)]
		if err := readFullAt(r, b, 2*int64(first)); err != nil {
			return fmt.Errorf("gguf: elements %d+%d: %w", first, len(dst), err)
		}
		widen(dst, b)
		return nil
	}}
}

// widen makes float32s of bfloat16s, four at a time.
func widen(dst []float32, src []byte) {
	const high = 0xffff0000
	for ; len(dst) >= 4 && len(src) >= 8; dst, src = dst[4:], src[8:] {
		w := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(w) << 16)
		dst[1] = math.Float32frombits(uint32(w) & high)
		dst[2] = math.Float32frombits(uint32(w>>16) & high)
		dst[3] = math.Float32frombits(uint32(w>>32) & high)
	}
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}
