package cpu

import "math"

// The exponential is the Cephes expf of Moshier: x = n ln 2 + r, |r| <= ln 2 / 2,
// exp r by a polynomial of degree 7; ln 2 is split so that n·expHigh is exact.
// The relative error is below 2e-7; results under 2^-126 are 0.
const (
	expLog2e = 1.44269504088896341
	expHigh  = 0.693359375
	expLow   = -2.12194440e-4
	expMax   = 88.72283
	expMin   = -87.33654
	expP0    = 1.9875691500e-4
	expP1    = 1.3981999507e-3
	expP2    = 8.3334519073e-3
	expP3    = 4.1665795894e-2
	expP4    = 1.6666665459e-1
	expP5    = 5.0000001201e-1
)

func expGo(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > expMax:
		return float32(math.Inf(1))
	case x < expMin:
		return 0
	}
	n := math.Floor(float64(float32(x*expLog2e)) + 0.5)
	f := float32(n)
	r := float32(x-float32(f*expHigh)) - float32(f*expLow)
	p := float32(expP0)
	for _, c := range [...]float32{expP1, expP2, expP3, expP4, expP5} {
		p = float32(p*r) + c
	}
	y := float32(float32(p*r)*r) + r + 1
	// Two factors, because 2^128 is not a float32.
	half := int32(n) / 2
	return y * pow2(half) * pow2(int32(n)-half)
}

func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// expSumGo writes dst = exp(src - shift) and returns the sum; they may be one.
func expSumGo(dst, src []float32, shift float32) float32 {
	var s float32
	for i, v := range src {
		e := expGo(v - shift)
		dst[i] = e
		s += e
	}
	return s
}

// maxGo returns the largest element, -Inf of none.
func maxGo(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// swigluGo writes dst = silu(g)·u.
func swigluGo(dst, g, u []float32) {
	for i, v := range g {
		dst[i] = v / (1 + expGo(-v)) * u[i]
	}
}

// swigluBackGo writes the gradients of silu(g)·u from dm.
func swigluBackGo(dg, du, dm, g, u []float32) {
	for i, v := range g {
		s := 1 / (1 + expGo(-v))
		dg[i] = dm[i] * u[i] * s * (1 + v*(1-s))
		du[i] = dm[i] * v * s
	}
}
