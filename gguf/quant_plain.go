package gguf

import (
	"encoding/binary"
	"math"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

func putF16(b []byte, v float32) { binary.LittleEndian.PutUint16(b, safetensors.F16(v)) }

func getF16(b []byte) float32 { return safetensors.FromF16(binary.LittleEndian.Uint16(b)) }

func encodeF32(dst []byte, src, _ []float32) {
	for i := vectorEncode(F32, dst, src); i < len(src); i++ {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(src[i]))
	}
}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func encodeF16(dst []byte, src, _ []float32) {
	for i := vectorEncode(F16, dst, src); i < len(src); i++ {
		putF16(dst[2*i:], src[i])
	}
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = getF16(src[2*i:])
	}
}

func encodeBF16(dst []byte, src, _ []float32) {
	for i := vectorEncode(BF16, dst, src); i < len(src); i++ {
		binary.LittleEndian.PutUint16(dst[2*i:], safetensors.BF16(src[i]))
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = safetensors.FromBF16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}
