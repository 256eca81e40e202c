package cpu0

import (
	"math"
	"unsafe"
)

// tileGo is the micro-kernel in Go, 4×8.
func tileGo(kc int, a, b, c *float32, ldc int, add bool) {
	const mr, nr = 4, 8
	pa, pb := unsafe.Slice(a, kc*mr), unsafe.Slice(b, kc*nr)
	var acc [mr][nr]float32
	for p := range kc {
		x, y := pa[p*mr:p*mr+mr], pb[p*nr:p*nr+nr]
		for i := range mr {
			for j := range nr {
				acc[i][j] += float32(x[i] * y[j])
			}
		}
	}
	out := unsafe.Slice(c, (mr-1)*ldc+nr)
	for i := range mr {
		mergeRow(out[i*ldc:i*ldc+nr], acc[i][:], add)
	}
}

func dotGo(x, y []float32) float32 {
	var s [8]float32
	n := len(x) &^ 7
	for i := 0; i < n; i += 8 {
		for j := range 8 {
			s[j] += float32(x[i+j] * y[i+j])
		}
	}
	for i := n; i < len(x); i++ {
		s[0] += float32(x[i] * y[i])
	}
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

func expSumGo(dst, x []float32, shift float32) float32 {
	sum := 0.0
	for i, v := range x {
		e := float32(0)
		if d := v - shift; d > -87 {
			e = float32(math.Exp(float64(d)))
		}
		dst[i] = e
		sum += float64(e)
	}
	return float32(sum)
}
