//go:build !noasm

package cpu

import "github.com/borea-go/borea/internal/cpuid"

// available returns the kernel sets of this processor, the best one first.
func available() []kernels {
	list := []kernels{goKernels()}
	x := cpuid.X86
	if x.AVX2 && x.FMA {
		list = append([]kernels{avx2Kernels()}, list...)
	}
	if x.AVX512F && x.AVX512BW && x.AVX512VL && x.AVX512DQ {
		list = append([]kernels{avx512Kernels()}, list...)
		if x.AVX512VNNI && x.AMXInt8 && tileState() {
			list = append([]kernels{amxKernels()}, list...)
		}
	}
	return list
}

// coarse returns the kernel sets that are taken only by name.
func coarse() []kernels {
	if x := cpuid.X86; x.AMXBF16 && available()[0].name == "amx" {
		return []kernels{amxBF16Kernels()}
	}
	return nil
}

func avx2Kernels() kernels {
	k := goKernels()
	k.name, k.mr, k.nr, k.pack = "avx2", 6, 16, packAVX2.pack
	k.tile = func(c []float32, ldc int, a []float32, at strides, b []float32, depth int, alpha float32, add bool) {
		_, _, _ = c[5*ldc+15], a[:at.span(6, depth)], b[:16*depth]
		tile6x16(&c[0], ldc, first(a), at.row, at.step, first(b), depth, alpha, add)
	}
	vectors256(&k)
	byRow(&k)
	k.quantise = quantise256
	codes256(&k)
	for _, i := range integers() {
		if i.mr == k.mr {
			k.ints = &i
			break
		}
	}
	k.ceiling = func(rounds int) int { fma256(rounds); return rounds * 12 * 16 }
	return k
}

func avx512Kernels() kernels {
	k := goKernels()
	k.name, k.mr, k.nr, k.pack = "avx512", 14, 32, packAVX512.pack
	k.tile = func(c []float32, ldc int, a []float32, at strides, b []float32, depth int, alpha float32, add bool) {
		_, _, _ = c[13*ldc+31], a[:at.span(14, depth)], b[:32*depth]
		tile14x32(&c[0], ldc, first(a), at.row, at.step, first(b), depth, alpha, add)
	}
	vectors256(&k)
	vectors512(&k)
	k.ints = &integers()[0]
	k.philox, k.keep, k.quantise = uniforms512, keepDropped512, quantise512
	k.words, k.scaleSums = words512, scaleSums512
	codes256(&k)
	k.ceiling = func(rounds int) int { fma512(rounds); return rounds * 28 * 32 }
	return k
}

//go:noescape
func tile14x32(c *float32, ldc int, a *float32, ra, ka int, b *float32, k int, alpha float32, add bool)

//go:noescape
func tile6x16(c *float32, ldc int, a *float32, ra, ka int, b *float32, k int, alpha float32, add bool)

//go:noescape
func fma512(n int)

//go:noescape
func fma256(n int)
