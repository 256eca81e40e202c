package safetensors

import (
	"encoding/binary"
	"math"
)

// BF16 rounds to bfloat16, ties to even; NaN stays NaN.
func BF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 widens a bfloat16, exactly.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// WidenBF16 fills dst from as many little-endian bfloat16 numbers, four at once.
func WidenBF16(dst []float32, raw []byte) {
	raw = raw[:2*len(dst)]
	i := 0
	for ; i+4 <= len(dst); i += 4 {
		v, d := binary.LittleEndian.Uint64(raw[2*i:]), dst[i:i+4:i+4]
		d[0] = math.Float32frombits(uint32(v) << 16)
		d[1] = math.Float32frombits(uint32(v) & 0xffff0000)
		d[2] = math.Float32frombits(uint32(v>>16) & 0xffff0000)
		d[3] = math.Float32frombits(uint32(v>>32) & 0xffff0000)
	}
	for ; i < len(dst); i++ {
		dst[i] = FromBF16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
}

// F16 rounds to IEEE half precision, ties to even, with subnormals; values
// beyond the range become infinite.
func F16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	abs := b & 0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: subnormal, in units of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*(1<<24)))
	}
	abs += 0xfff + abs>>13&1
	return sign | uint16((abs-0x38000000)>>13)
}

// FromF16 widens a half precision number, exactly.
func FromF16(h uint16) float32 {
	sign, exp, man := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0:
		v := float32(man) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

// wideners convert little-endian elements to float32; src holds at least as
// many as dst takes.
var wideners = map[DType]func(dst []float32, src []byte){
	"F32": func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	},
	"BF16": func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = FromBF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	},
	"F16": func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = FromF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	},
}

// RoundToOdd rounds a float64 to float32 so that rounding the result once more,
// with BF16 or F16, equals rounding the float64 to that type directly: what is
// cut off is kept as a set last bit (Boldo and Melquiond, IEEE Trans. Computers
// 57, 2008, theorem 3).
func RoundToOdd(v float64) float32 {
	f := float32(v)
	b := math.Float32bits(f)
	if v != v || float64(f) == v || b&1 == 1 {
		return f
	}
	if math.Abs(v) > math.Abs(float64(f)) {
		return math.Float32frombits(b + 1)
	}
	return math.Float32frombits(b - 1)
}
