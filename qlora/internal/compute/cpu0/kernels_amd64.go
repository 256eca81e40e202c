//go:build !noasm

package cpu0

import "github.com/borea-go/borea/internal/cpuid"

//go:generate go run ./asmgen

//go:noescape
func tileAVX512(kc int, a, b, c *float32, ldc int, add bool)

//go:noescape
func tileAVX2(kc int, a, b, c *float32, ldc int, add bool)

//go:noescape
func dotAVX2(x, y *float32, n int) float32

//go:noescape
func expSumAVX2(dst, x *float32, n int, shift float32) float32

// asmKernels returns the best assembly for the processor, false for none.
func asmKernels(f cpuid.Features) (kernels, bool) {
	k := kernels{dot: dotVector, expSum: expSumVector}
	switch {
	case f.AVX512F && f.AVX2 && f.FMA:
		k.name, k.mr, k.nr, k.tile = "AVX-512", 12, 32, tileAVX512
	case f.AVX2 && f.FMA:
		k.name, k.mr, k.nr, k.tile = "AVX2", 6, 16, tileAVX2
	default:
		return k, false
	}
	return k, true
}

func dotVector(x, y []float32) float32 {
	n := len(x) &^ 7
	s := float32(0)
	if n > 0 {
		s = dotAVX2(&x[0], &y[0], n)
	}
	for i := n; i < len(x); i++ {
		s += x[i] * y[i]
	}
	return s
}

func expSumVector(dst, x []float32, shift float32) float32 {
	n := len(x) &^ 7
	s := float32(0)
	if n > 0 {
		s = expSumAVX2(&dst[0], &x[0], n, shift)
	}
	if n == len(x) {
		return s
	}
	// The tail runs through the same code on a padded copy, so that a value's
	// result does not depend on its place.
	var pad [8]float32
	m := copy(pad[:], x[n:])
	expSumAVX2(&pad[0], &pad[0], 8, shift)
	copy(dst[n:], pad[:m])
	for _, v := range pad[:m] {
		s += v
	}
	return s
}
