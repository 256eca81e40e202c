//go:build !noasm

package cpu

import (
	"math"
	"unsafe"

	"github.com/borea-go/borea/internal/cpuid"
)

// integers returns the int8 micro-kernels of this processor, the best one first.
func integers() []intKernels {
	var list []intKernels
	x := cpuid.X86
	if x.AVX512VNNI && x.AVX512BW && x.AVX512VL {
		list = append(list, intKernels{
			name: "avx512-vnni", mr: 14, few: 4, offset: true, tile: func(t *intTile) { itile14x32(t) }, narrow: func(t *intTile) { itile4x32(t) },
			ceiling: func(rounds int) int { vnni512(rounds); return rounds * 28 * 128 },
		})
	}
	if x.AVX2 && x.AVXVNNI {
		list = append(list, intKernels{name: "avx-vnni", mr: 6, offset: true, tile: tileVNNI256})
	}
	if x.AVX2 {
		list = append(list, intKernels{name: "avx2", mr: 6, tile: tileMadd})
	}
	return list
}

// tileVNNI256 does one half of the panel after the other.
func tileVNNI256(t *intTile) {
	var sums [6 * panelLanes]int32
	b, from := view(t.b, t.words*panelBytes), view(t.from, panelLanes)
	for half := 0; half < panelLanes; half += 16 {
		itile6x16(&sums[half], &from[half], t.fromStep, t.a, t.lda, &b[4*half], t.words)
	}
	t.finish(scaleSums256, sums[:])
}

// tileMadd goes over the panel once for every two rows.
func tileMadd(t *intTile) {
	var sums [6 * panelLanes]int32
	a, b := view(t.a, 6*t.lda), view(t.b, t.words*panelBytes)
	for r := 0; r < t.rows; r += 2 {
		from := t.starts(r)
		for half := 0; half < panelLanes; half += 16 {
			itile2x16(&sums[r*panelLanes+half], &from[half], t.fromStep, &a[r*t.lda], t.lda, &b[4*half], t.words)
		}
	}
	t.finish(scaleSums256, sums[:])
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

// scaleSums512 is scaleSumsGo.
func scaleSums512(y []float32, acc []int32, s float32, scale []float32, add bool) {
	_, _ = y[:len(acc)], scale[:len(acc)]
	epilogue512(first(y), first(acc), len(acc), s, first(scale), add)
}

// scaleSums256 is scaleSumsGo.
func scaleSums256(y []float32, acc []int32, s float32, scale []float32, add bool) {
	n := len(acc) &^ 7
	if n > 0 {
		_, _ = y[:n], scale[:n]
		epilogue256(&y[0], &acc[0], n/8, s, &scale[0], add)
	}
	scaleSumsGo(y[n:], acc[n:], s, scale[n:], add)
}

// codes256 replaces the loops over codes.
func codes256(k *kernels) {
	k.raise, k.turn = raiseCodes256, turnCodes256
	k.foldMax = func(x, scale []float32) (top uint32) {
		n := len(x) &^ 7
		if n > 0 {
			_ = scale[:n]
			top = foldMax256(&x[0], &scale[0], n/8)
		}
		return max(top, foldMaxGo(x[n:], scale[n:]))
	}
	k.foldRound = func(q []int8, x, scale []float32, inv float32, random []uint32, skip int) {
		n := len(x) &^ 7
		if n > 0 {
			_, _ = q[:n], scale[:n]
			var halves *uint16
			if random != nil {
				_ = random[(skip+n-1)/2]
				halves = &unsafe.Slice((*uint16)(unsafe.Pointer(&random[0])), skip+n)[skip]
			}
			foldRound256(&q[0], &x[0], &scale[0], n/8, inv, halves)
		}
		foldRoundGo(q[n:], x[n:], scale[n:], inv, random, skip+n)
	}
}

// raiseCodes256 is raiseGo.
func raiseCodes256(dst []uint8, q []int8, mask byte) {
	n := len(q) &^ 31
	if n > 0 {
		_ = dst[:n]
		raise256(&dst[0], &q[0], n/32, uint32(mask)*0x01010101)
	}
	raiseGo(dst[n:], q[n:], mask)
}

// turnCodes256 is turnGo.
func turnCodes256(dst, src []int8) {
	dst = dst[:turnBytes]
	if len(src) < turnBytes {
		clear(dst)
	}
	if len(src) > 0 {
		turn256(&dst[0], &src[0], len(src)/panelBytes)
	}
}

//go:noescape
func itile14x32(t *intTile)

//go:noescape
func itile4x32(t *intTile)

//go:noescape
func itile6x16(sums, from *int32, fromStep int, a *uint8, lda int, b *int8, words int)

//go:noescape
func itile2x16(sums, from *int32, fromStep int, a *uint8, lda int, b *int8, words int)

//go:noescape
func raise256(dst *uint8, q *int8, blocks int, mask uint32)

//go:noescape
func foldMax256(x, scale *float32, n int) uint32

//go:noescape
func foldRound256(q *int8, x, scale *float32, n int, inv float32, random *uint16)

//go:noescape
func turn256(dst, src *int8, words int)

//go:noescape
func vnni512(n int)

//go:noescape
func epilogue512(y *float32, acc *int32, n int, s float32, scale *float32, add bool)

//go:noescape
func absmax512(x *float32, n int) uint32

//go:noescape
func round512(q *int8, x *float32, n int, inv float32)

//go:noescape
func absmax256(x *float32, n int) uint32

//go:noescape
func round256(q *int8, x *float32, n int, inv float32)
