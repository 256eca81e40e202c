//go:build !noasm

package cpu

import (
	"math"

	"github.com/borea-go/borea/internal/cpuid"
)

// integers returns the int8 micro-kernels of this processor, the best one first.
func integers() []intKernels {
	var list []intKernels
	x := cpuid.X86
	if x.AVX512VNNI && x.AVX512BW && x.AVX512VL {
		list = append(list, intKernels{
			name: "avx512-vnni", mr: 14, nr: 32, offset: true, pack: packAVX512.pack, tile: tileVNNI512,
			dots: func(y []int32, x []uint8, w []int8) {
				if len(y) > 0 {
					_ = w[:len(y)*len(x)]
					dotsCodes512(&y[0], first(x), first(w), len(x), len(x), len(y))
				}
			},
			ceiling: func(rounds int) int { vnni512(rounds); return rounds * 28 * 128 },
		})
	}
	if x.AVX2 && x.AVXVNNI {
		list = append(list, intKernels{name: "avx-vnni", mr: 6, nr: 16, offset: true, pack: packAVX2.pack, tile: tileVNNI256, dots: dots256Codes})
	}
	if x.AVX2 {
		list = append(list, intKernels{name: "avx2", mr: 6, nr: 16, pack: packAVX2.pack, tile: tileMadd, dots: dots256Codes})
	}
	return list
}

func tileVNNI512(c []int32, ldc int, a, b []float32, k int, add bool) {
	_, _, _ = c[13*ldc+31], a[:14*k], b[:32*k]
	itile14x32(&c[0], ldc, &a[0], &b[0], k, add)
}

func tileVNNI256(c []int32, ldc int, a, b []float32, k int, add bool) {
	_, _, _ = c[5*ldc+15], a[:6*k], b[:16*k]
	itile6x16(&c[0], ldc, &a[0], &b[0], k, add)
}

// tileMadd goes over the panel three times, for two rows each.
func tileMadd(c []int32, ldc int, a, b []float32, k int, add bool) {
	_, _, _ = c[5*ldc+15], a[:6*k], b[:16*k]
	for i := 0; i < 6; i += 2 {
		itileMadd(&c[i*ldc], ldc, &a[i], &b[0], k, add)
	}
}

// dots256Codes is dotsInt8Go.
func dots256Codes(y []int32, x []uint8, w []int8) {
	n := len(x) &^ 15
	for r := range y {
		row := w[r*len(x):][:len(x)]
		dotsInt8Go(y[r:r+1], x[n:], row[n:])
		if n > 0 {
			y[r] += dotCodes256(&x[0], &row[0], n/16)
		}
	}
}

// quantise512 is quantiseGo.
func quantise512(q []int8, x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	m := math.Float32frombits(absmax512(&x[0], len(x)))
	inv, ok := inverse(m)
	if !ok {
		clear(q[:len(x)])
		return m / 127
	}
	round512(&q[:len(x)][0], &x[0], len(x), inv)
	return m / 127
}

// quantise256 is quantiseGo.
func quantise256(q []int8, x []float32) float32 {
	n := len(x) &^ 7
	if n == 0 {
		return quantiseGo(q, x)
	}
	_ = q[:len(x)]
	m := math.Float32frombits(max(absmax256(&x[0], n/8), absBits(x[n:])))
	inv, ok := inverse(m)
	if !ok {
		clear(q[:len(x)])
		return m / 127
	}
	round256(&q[0], &x[0], n/8, inv)
	roundGo(q[n:], x[n:], inv)
	return m / 127
}

// scaleSums512 is scaleSumsGo for sums that carry the offset.
func scaleSums512(y []float32, acc []int32, s float32, scale []float32, sum []int32, add bool) {
	_, _, _ = y[:len(acc)], scale[:len(acc)], sum[:len(acc)]
	epilogue512(first(y), first(acc), len(acc), s, first(scale), first(sum), add)
}

//go:noescape
func itile14x32(c *int32, ldc int, a, b *float32, k int, add bool)

//go:noescape
func itile6x16(c *int32, ldc int, a, b *float32, k int, add bool)

//go:noescape
func itileMadd(c *int32, ldc int, a, b *float32, k int, add bool)

//go:noescape
func vnni512(n int)

//go:noescape
func epilogue512(y *float32, acc *int32, n int, s float32, scale *float32, sum *int32, add bool)

//go:noescape
func absmax512(x *float32, n int) uint32

//go:noescape
func round512(q *int8, x *float32, n int, inv float32)

//go:noescape
func dotCodes256(x *uint8, w *int8, blocks int) int32

//go:noescape
func absmax256(x *float32, n int) uint32

//go:noescape
func round256(q *int8, x *float32, n int, inv float32)
