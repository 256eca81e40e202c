package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// An encoder quantizes whole blocks. With importance weights, src is whole rows of
// imatrix's length; without, imatrix is nil.
type encoder func(dst []byte, src, imatrix []float32)

// Quantize encodes rows of row elements each into dst, whose length must be what
// t.Bytes(len(src)) says. imatrix is nil or has one positive importance for each
// column. The bytes are those of ggml_quantize_chunk. NaN, infinities and scales
// beyond float16 are refused with a *NumberError.
func Quantize(t Type, dst []byte, src []float32, row int, imatrix []float32) error {
	tr, err := checkBlocks(t, dst, src)
	if err != nil {
		return err
	}
	if row <= 0 || len(src)%row != 0 || row%tr.block != 0 {
		return fmt.Errorf("gguf: %w: %d elements in rows of %d, blocks of %d", ErrFormat, len(src), row, tr.block)
	}
	if imatrix != nil && len(imatrix) != row {
		return fmt.Errorf("gguf: %w: importance matrix of %d for rows of %d", ErrFormat, len(imatrix), row)
	}
	if i := firstNonFinite(imatrix); i >= 0 {
		return &NumberError{int64(i), imatrix[i], "importance is not finite"}
	}
	step := max(1, cached/row) * row
	for at := 0; at < len(src); at += step {
		x := src[at:min(at+step, len(src))]
		if err := encodeChecked(t, dst[at/tr.block*tr.bytes:][:len(x)/tr.block*tr.bytes], x, imatrix); err != nil {
			err.Index += int64(at)
			return err
		}
	}
	return nil
}

// cached is about the number of weights that stay in a core's cache between being
// checked and being encoded.
const cached = 1 << 16

func encodeChecked(t Type, dst []byte, src, imatrix []float32) *NumberError {
	if err := checkWeights(t, src); err != nil {
		return err
	}
	typeTraits[t].encode(dst, src, imatrix)
	return checkScales(t, dst, src)
}

// Dequantize decodes src into dst, whose length is a multiple of the block size
// and fits len(src). The numbers are those of ggml's dequantize_row functions.
func Dequantize(t Type, dst []float32, src []byte) error {
	tr, err := checkBlocks(t, src, dst)
	if err != nil {
		return err
	}
	// Pieces, so that the scheduler is not kept waiting by assembly.
	const piece = 1 << 18
	for ; len(dst) > piece; dst, src = dst[piece:], src[piece/tr.block*tr.bytes:] {
		decode(t, dst[:piece], src[:piece/tr.block*tr.bytes])
	}
	decode(t, dst, src)
	return nil
}

func decode(t Type, dst []float32, src []byte) {
	tr := typeTraits[t]
	for len(dst) > 0 {
		n := vectorDecode(t, dst, src)
		dst, src = dst[n:], src[n/tr.block*tr.bytes:]
		if n = len(dst); chosen != portable {
			n = min(n, 32*tr.block) // what stopped the assembly
		}
		tr.decode(dst[:n], src[:n/tr.block*tr.bytes])
		dst, src = dst[n:], src[n/tr.block*tr.bytes:]
	}
}

func checkBlocks(t Type, b []byte, f []float32) (typeTrait, error) {
	if !t.Encodable() {
		return typeTrait{}, fmt.Errorf("gguf: %w: quantizing %v", ErrUnsupported, t)
	}
	n, err := t.Bytes(int64(len(f)))
	if err != nil {
		return typeTrait{}, err
	}
	if n != int64(len(b)) {
		return typeTrait{}, fmt.Errorf("gguf: %w: %d bytes for %d elements of %v, want %d", ErrFormat, len(b), len(f), t, n)
	}
	return typeTraits[t], nil
}

const exponent32, exponent16 = 0x7f800000, 0x7c00

// checkWeights refuses what is not finite and, for types in blocks, what is beyond
// maxWeight.
func checkWeights(t Type, src []float32) *NumberError {
	blocks := typeTraits[t].block > 1
	limit := float32(math.MaxFloat32)
	if blocks {
		limit = maxWeight
	}
	if vectorWithin(src, limit) {
		return nil
	}
	if i := firstNonFinite(src); i >= 0 {
		return &NumberError{int64(i), src[i], "not finite"}
	}
	if i := firstBeyond(src, limit); blocks && i >= 0 {
		return &NumberError{int64(i), src[i], fmt.Sprintf("more than %v can hold", t)}
	}
	return nil
}

func firstNonFinite(x []float32) int {
	for i, v := range x {
		if math.Float32bits(v)&exponent32 == exponent32 {
			return i
		}
	}
	return -1
}

// maxWeight is above the largest product of a float16 scale, a coded scale and a
// code (65504·128·32), and small enough for the searches' squares not to overflow:
// there the reference would store zeros without a word.
const maxWeight = 1e9

func firstBeyond(x []float32, limit float32) int {
	for i, v := range x {
		if abs32(v) > limit {
			return i
		}
	}
	return -1
}

// checkScales finds a 16-bit number that became infinite. A bfloat16 can not
// overflow except by rounding up the largest floats.
func checkScales(t Type, b []byte, src []float32) *NumberError {
	tr := typeTraits[t]
	mask, largest := uint16(exponent16), float32(65504)
	if t == BF16 {
		mask, largest = exponent32>>16, math.Float32frombits(0x7f7f0000)
	}
	if t == F32 || tr.block == 1 && vectorWithin(src, largest) {
		return nil
	}
	for i := 0; i < len(b); i += tr.bytes {
		for _, at := range tr.swap16 {
			if binary.LittleEndian.Uint16(b[i+at:])&mask == mask {
				first := i / tr.bytes * tr.block
				return &NumberError{int64(first), src[first], fmt.Sprintf("the scale of its block overflows in %v", t)}
			}
		}
	}
	return nil
}

// nearest rounds to the nearest integer, ties to even, as ggml's nearest_int does
// by adding 1.5·2^23. v is within ±2^22.
func nearest(v float32) int {
	return int(math.Float32bits(v+12582912)&0x007fffff) - 0x00400000
}

func sqrt32(v float32) float32 { return float32(math.Sqrt(float64(v))) }

func abs32(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// sumSquares adds in the order of the elements.
func sumSquares(x []float32) float32 {
	var sum float32
	for _, v := range x {
		sum += float32(v * v)
	}
	return sum
}

// signedAbsMax returns the element of the largest magnitude, the first of equals,
// or 0.
func signedAbsMax(x []float32) float32 {
	var amax, best float32
	for _, v := range x {
		if a := abs32(v); a > amax {
			amax, best = a, v
		}
	}
	return best
}

// inverse returns 1/d, 0 for 0.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

func isInf(v float32) bool { return math.Float32bits(v)&exponent32 == exponent32 }
