package gguf

import (
	"fmt"
	"math/bits"
	"strings"
)

// Type is the encoding of a tensor's elements, numbered as enum ggml_type.
type Type uint32

// The types this package encodes and decodes.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q2_K Type = 10
	Q3_K Type = 11
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// Integer and double types: stored and copied, not quantized.
const (
	I8  Type = 24
	I16 Type = 25
	I32 Type = 26
	I64 Type = 27
	F64 Type = 28
)

// A typeTrait gives the elements and the bytes of one block, and how to code it.
type typeTrait struct {
	name         string
	block, bytes int
	encode       encoder
	decode       func(dst []float32, src []byte)
	// swap16 lists the offsets of 16-bit fields in a block, for big-endian files.
	swap16 []int
}

// typeTraits is ggml's type table (ggml.c), including what is only copied.
var typeTraits = map[Type]typeTrait{
	F32:  {"F32", 1, 4, encodeF32, decodeF32, nil},
	F16:  {"F16", 1, 2, encodeF16, decodeF16, []int{0}},
	BF16: {"BF16", 1, 2, encodeBF16, decodeBF16, []int{0}},
	Q4_0: {"Q4_0", 32, 18, encodeQ4_0, decodeQ4_0, []int{0}},
	Q4_1: {"Q4_1", 32, 20, encodeQ4_1, decodeQ4_1, []int{0, 2}},
	Q5_0: {"Q5_0", 32, 22, encodeQ5_0, decodeQ5_0, []int{0}},
	Q5_1: {"Q5_1", 32, 24, encodeQ5_1, decodeQ5_1, []int{0, 2}},
	Q8_0: {"Q8_0", 32, 34, encodeQ8_0, decodeQ8_0, []int{0}},
	Q2_K: {"Q2_K", 256, 84, encodeQ2K, decodeQ2K, []int{80, 82}},
	Q3_K: {"Q3_K", 256, 110, encodeQ3K, decodeQ3K, []int{108}},
	Q4_K: {"Q4_K", 256, 144, encodeQ4K, decodeQ4K, []int{0, 2}},
	Q5_K: {"Q5_K", 256, 176, encodeQ5K, decodeQ5K, []int{0, 2}},
	Q6_K: {"Q6_K", 256, 210, encodeQ6K, decodeQ6K, []int{208}},
	I8:   {"I8", 1, 1, nil, nil, nil},
	I16:  {"I16", 1, 2, nil, nil, []int{0}},
	I32:  {"I32", 1, 4, nil, nil, nil},
	I64:  {"I64", 1, 8, nil, nil, nil},
	F64:  {"F64", 1, 8, nil, nil, nil},
	9:    {"Q8_1", 32, 36, nil, nil, nil},
	15:   {"Q8_K", 256, 292, nil, nil, nil},
	16:   {"IQ2_XXS", 256, 66, nil, nil, nil},
	17:   {"IQ2_XS", 256, 74, nil, nil, nil},
	18:   {"IQ3_XXS", 256, 98, nil, nil, nil},
	19:   {"IQ1_S", 256, 50, nil, nil, nil},
	20:   {"IQ4_NL", 32, 18, nil, nil, nil},
	21:   {"IQ3_S", 256, 110, nil, nil, nil},
	22:   {"IQ2_S", 256, 82, nil, nil, nil},
	23:   {"IQ4_XS", 256, 136, nil, nil, nil},
	29:   {"IQ1_M", 256, 56, nil, nil, nil},
	34:   {"TQ1_0", 256, 54, nil, nil, nil},
	35:   {"TQ2_0", 256, 66, nil, nil, nil},
	39:   {"MXFP4", 32, 17, nil, nil, nil},
	40:   {"NVFP4", 64, 36, nil, nil, nil},
	41:   {"Q1_0", 128, 18, nil, nil, nil},
	42:   {"Q2_0", 64, 18, nil, nil, nil},
}

// Known reports whether the size of the type's blocks is known.
func (t Type) Known() bool { _, ok := typeTraits[t]; return ok }

// Encodable reports whether Quantize and Dequantize work on the type.
func (t Type) Encodable() bool { return typeTraits[t].encode != nil }

// String returns ggml's name in capitals, or the number of an unknown type.
func (t Type) String() string {
	if tr, ok := typeTraits[t]; ok {
		return tr.name
	}
	return fmt.Sprintf("Type(%d)", uint32(t))
}

// ParseType returns the type of that name, in any case.
func ParseType(name string) (Type, error) {
	for t, tr := range typeTraits {
		if strings.EqualFold(name, tr.name) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("gguf: %w: tensor type %q", ErrUnsupported, name)
}

// BlockSize returns the elements of one block, 1 for plain numbers and 0 for an
// unknown type.
func (t Type) BlockSize() int { return typeTraits[t].block }

// BlockBytes returns the bytes of one block, 0 for an unknown type.
func (t Type) BlockBytes() int { return typeTraits[t].bytes }

// Bytes returns the size of n elements. It fails for an unknown type, for n that
// is negative or no multiple of the block size, and for a size over 2^63-1.
func (t Type) Bytes(n int64) (int64, error) {
	tr, ok := typeTraits[t]
	switch {
	case !ok:
		return 0, fmt.Errorf("gguf: %w: tensor type %d", ErrUnsupported, uint32(t))
	case n < 0:
		return 0, fmt.Errorf("gguf: %w: %d elements", ErrFormat, n)
	case n%int64(tr.block) != 0:
		return 0, fmt.Errorf("gguf: %w: %d elements are no multiple of %s's block of %d", ErrFormat, n, tr.name, tr.block)
	}
	hi, lo := bits.Mul64(uint64(n)/uint64(tr.block), uint64(tr.bytes))
	if hi != 0 || int64(lo) < 0 {
		return 0, fmt.Errorf("gguf: %w: the size of %d elements of %s overflows", ErrFormat, n, tr.name)
	}
	return int64(lo), nil
}
