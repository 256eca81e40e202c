//go:build !noasm

package gguf

import "unsafe"

// wideDecoders are the assembly for blocks of a type; each takes 1 or more.
var wideDecoders = map[Type]func(dst *float32, src *byte, blocks int){
	Q4_0: func(dst *float32, src *byte, blocks int) { decodeOld256(dst, src, blocks, 18, 8) },
	Q4_1: func(dst *float32, src *byte, blocks int) { decodeOld256(dst, src, blocks, 20, 0) },
	Q5_0: func(dst *float32, src *byte, blocks int) { decodeOld256(dst, src, blocks, 22, 16) },
	Q5_1: func(dst *float32, src *byte, blocks int) { decodeOld256(dst, src, blocks, 24, 0) },
	Q8_0: decodeEight256,
	Q2_K: decodeTwo256,
	Q3_K: decodeThree256,
	Q4_K: decodeFour256,
	Q5_K: decodeFive256,
	Q6_K: decodeSix256,
}

// vectorDecode decodes as many elements as the assembly can and returns their number.
func vectorDecode(t Type, dst []float32, src []byte) int {
	if chosen == portable || len(dst) == 0 {
		return 0
	}
	plain := len(dst) &^ 31
	switch f := wideDecoders[t]; {
	case f != nil:
		f(&dst[0], &src[0], len(dst)/t.BlockSize())
		return len(dst)
	case t == F32:
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst)), src)
		return len(dst)
	case plain == 0:
		return 0
	case t == BF16:
		decodeBrain256(&dst[0], &src[0], plain)
		return plain
	case t == F16:
		return decodeHalf256(&dst[0], &src[0], plain)
	}
	return 0
}

// vectorEncode does the same for plain numbers the other way; they are finite.
func vectorEncode(t Type, dst []byte, src []float32) int {
	if chosen == portable || len(src) == 0 {
		return 0
	}
	plain := len(src) &^ 31
	switch {
	case t == F32:
		copy(dst, unsafe.Slice((*byte)(unsafe.Pointer(&src[0])), 4*len(src)))
		return len(src)
	case plain == 0:
		return 0
	case t == F16:
		encodeHalf256(&dst[0], &src[0], plain)
	case t == BF16:
		encodeBrain256(&dst[0], &src[0], plain)
	}
	return plain
}

//go:noescape
func decodeHalf256(dst *float32, src *byte, n int) int

//go:noescape
func decodeBrain256(dst *float32, src *byte, n int)

//go:noescape
func encodeHalf256(dst *byte, src *float32, n int)

//go:noescape
func encodeBrain256(dst *byte, src *float32, n int)

//go:noescape
func decodeEight256(dst *float32, src *byte, blocks int)

//go:noescape
func decodeOld256(dst *float32, src *byte, blocks, bytes, half int)

//go:noescape
func decodeFour256(dst *float32, src *byte, blocks int)

//go:noescape
func decodeFive256(dst *float32, src *byte, blocks int)

//go:noescape
func decodeSix256(dst *float32, src *byte, blocks int)

//go:noescape
func decodeTwo256(dst *float32, src *byte, blocks int)

//go:noescape
func decodeThree256(dst *float32, src *byte, blocks int)
