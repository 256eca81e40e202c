package safetensors

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
)

// NotFiniteError reports a NaN or an infinity.
type NotFiniteError struct {
	Tensor string
	Index  int64 // of the element, row-major
	Bits   uint64
	DType  DType
}

// Error implements error.
func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("safetensors: tensor %q: element %d is not finite (%s bits %#x); the file is damaged or its training diverged",
		e.Tensor, e.Index, e.DType, e.Bits)
}

// exponents gives, for the types with NaN or infinity that the check knows, the
// exponent bits that are all ones in both. OCP's F8_E4M3 has no infinity: only
// all of exponent and mantissa is NaN (OCP 8-bit Floating Point Specification,
// revision 1.0, section 5.1).
var exponents = map[DType]uint64{
	"F64": 0x7ff << 52, "F32": 0xff << 23, "F16": 0x1f << 10, "BF16": 0xff << 7,
	"F8_E5M2": 0x1f << 2, "F8_E4M3": 0x7f,
}

const checkBytes = 1 << 18

// CheckFinite streams a tensor and returns a *NotFiniteError for its first NaN or
// infinity. Tensors of other types than F64, F32, F16, BF16, F8_E5M2 and F8_E4M3
// pass unread. It stops with ctx's error when ctx ends.
func (s *Reader) CheckFinite(ctx context.Context, name string) error {
	info, ok := s.Info(name)
	if !ok {
		return &NotFoundError{name}
	}
	mask, ok := exponents[info.DType]
	if !ok {
		return nil
	}
	buf := make([]byte, min(checkBytes, info.Size))
	for pos := int64(0); pos < info.Size; pos += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = buf[:min(int64(len(buf)), info.Size-pos)]
		if n, err := s.r.ReadAt(buf, info.Offset+pos); n < len(buf) {
			return fmt.Errorf("safetensors: tensor %q at byte %d: %w", name, info.Offset+pos+int64(n), shortRead(err))
		}
		if i := firstAllOnes(buf, info.DType.Size(), mask); i >= 0 {
			size := int64(info.DType.Size())
			return &NotFiniteError{name, pos/size + int64(i), element(buf[i*int(size):], int(size)), info.DType}
		}
	}
	return nil
}

// firstAllOnes returns the first element of size bytes whose masked bits are all
// set, or -1. It looks at eight bytes at once: the mask's lowest bit, added to the
// masked bits, carries into the sign bit exactly when all of them are set.
func firstAllOnes(b []byte, size int, mask uint64) int {
	every := uint64(0) // the lowest bit of each element
	for i := 0; i < 8; i += size {
		every |= 1 << (8 * i)
	}
	masks, add, sign := every*mask, every*(mask&-mask), every<<(8*size-1)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if (binary.LittleEndian.Uint64(b[i:])&masks+add)&sign != 0 {
			break
		}
	}
	for ; i+size <= len(b); i += size {
		if element(b[i:], size)&mask == mask {
			return i / size
		}
	}
	return -1
}

func element(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// CheckFinite checks every tensor of the model, in order of name.
func (m *Model) CheckFinite(ctx context.Context) error {
	for _, t := range m.tensors {
		if err := m.shards[m.of[t.Name]].CheckFinite(ctx, t.Name); err != nil {
			return &ShardError{m.of[t.Name], err}
		}
	}
	return nil
}

// FirstNotFiniteBF16 is FirstNotFinite of little-endian bfloat16 numbers.
func FirstNotFiniteBF16(raw []byte) int { return firstAllOnes(raw, 2, exponents["BF16"]) }

// FirstNotFinite returns the index of the first NaN or infinity of v, or -1.
func FirstNotFinite(v []float32) int {
	for i, x := range v {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
			return i
		}
	}
	return -1
}
