//go:build !noasm

package gguf

import (
	"math"

	"github.com/borea-go/borea/internal/cpuid"
)

func widest() route {
	switch x := cpuid.X86; {
	case !x.AVX2 || !x.F16C:
		return portable
	case x.AVX512F && x.AVX512BW && x.AVX512VL && x.AVX512DQ:
		return avx512
	}
	return avx2
}

// vectorWithin reports whether all magnitudes are known to be at most limit. NaN's
// bits are above every number's.
func vectorWithin(x []float32, limit float32) bool {
	n := len(x) &^ 31
	if chosen == portable || n == 0 {
		return false
	}
	high := maxMagnitude256(&x[0], n)
	for _, v := range x[n:] {
		high = max(high, math.Float32bits(abs32(v)))
	}
	return high <= math.Float32bits(limit)
}
