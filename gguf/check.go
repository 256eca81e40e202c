package gguf

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
)

// Check reads the whole tensor and reports the first number or scale that is NaN
// or infinite as a *NumberError in a *TensorError: what llama.cpp's --check-tensors
// refuses (ggml_validate_row_data). Of types that this package does not decode,
// only F64 is looked at.
func (t *Tensor) Check(ctx context.Context) error {
	tr := typeTraits[t.Type]
	if len(tr.swap16) == 0 && t.Type != F32 && t.Type != F64 || t.Type == I16 {
		return nil
	}
	buf := make([]byte, min(t.Size, int64(decodeChunk/tr.block*tr.bytes)))
	for at := int64(0); at < t.Size; at += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), t.Size-at)]
		if err := readFullAt(t.file.r, b, t.Offset+at); err != nil {
			return &TensorError{t.Name, fmt.Errorf("at byte %d: %w", t.Offset+at, err)}
		}
		if i, v := nonFinite(t.Type, t.file.order, b); i >= 0 {
			index := at/int64(tr.bytes)*int64(tr.block) + i
			return &TensorError{t.Name, &NumberError{index, v, "not finite, or the scale of its block"}}
		}
	}
	return nil
}

// nonFinite returns the element at which the first NaN or infinity stands, or the
// first element of its block, and -1 if there is none.
func nonFinite(t Type, order binary.ByteOrder, b []byte) (int64, float32) {
	tr := typeTraits[t]
	for i := 0; i < len(b); i += tr.bytes {
		element := int64(i / tr.bytes * tr.block)
		switch t {
		case F32:
			if v := math.Float32frombits(order.Uint32(b[i:])); math.Float32bits(v)&exponent32 == exponent32 {
				return element, v
			}
		case F64:
			if v := math.Float64frombits(order.Uint64(b[i:])); math.IsNaN(v) || math.IsInf(v, 0) {
				return element, float32(v)
			}
		default:
			if v, bad := badScale(t, order, b[i:i+tr.bytes]); bad {
				return element, v
			}
		}
	}
	return -1, 0
}

// badScale looks at a block's 16-bit numbers.
func badScale(t Type, order binary.ByteOrder, block []byte) (float32, bool) {
	mask, widened := uint16(exponent16), getF16
	if t == BF16 {
		mask, widened = exponent32>>16, func(b []byte) float32 {
			return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
		}
	}
	for _, at := range typeTraits[t].swap16 {
		if h := order.Uint16(block[at:]); h&mask == mask {
			return widened(binary.LittleEndian.AppendUint16(nil, h)), true
		}
	}
	return 0, false
}
