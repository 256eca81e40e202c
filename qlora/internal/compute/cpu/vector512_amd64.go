//go:build !noasm

package cpu

// vectors512 replaces the portable loops of k.
func vectors512(k *kernels) {
	k.expSum = func(dst, src []float32, shift float32) float32 {
		_ = dst[:len(src)]
		return expSum512(first(dst), first(src), len(src), shift)
	}
	k.max = func(x []float32) float32 {
		if len(x) == 0 {
			return maxGo(x)
		}
		return max512(&x[0], len(x))
	}
	k.swiglu = func(dst, g, u []float32) {
		_, _ = dst[:len(g)], u[:len(g)]
		swiglu512(first(dst), first(g), first(u), len(g))
	}
	k.swigluBack = func(dg, du, dm, g, u []float32) {
		_, _, _, _ = dg[:len(g)], du[:len(g)], dm[:len(g)], u[:len(g)]
		swigluBack512(first(dg), first(du), first(dm), first(g), first(u), len(g))
	}
	k.dot = func(a, b []float32) float32 {
		_ = b[:len(a)]
		return dot512F32(first(a), first(b), len(a))
	}
	k.dotBF16 = func(x []float32, w []uint16) float32 {
		_ = x[:len(w)]
		return dot512BF16(first(x), first(w), len(w))
	}
	k.dotI8 = func(x []float32, w []int8) float32 {
		_ = x[:len(w)]
		return dot512I8(first(x), first(w), len(w))
	}
	k.axpy = func(y, x []float32, a float32) {
		_ = y[:len(x)]
		axpy512(first(y), first(x), len(x), a)
	}
	k.dots = func(y, x, w []float32, ld int) {
		if len(y) > 0 {
			_ = w[(len(y)-1)*ld:][:len(x)]
			dots512F32(first(y), first(x), first(w), len(x), ld, len(y))
		}
	}
	k.dotsBF16 = func(y, x []float32, w []uint16) {
		if len(y) > 0 {
			_ = w[:len(y)*len(x)]
			dots512BF16(first(y), first(x), first(w), len(x), len(x), len(y))
		}
	}
	k.mix = func(y, p, v []float32, ld int) {
		if len(p) > 0 {
			_ = v[(len(p)-1)*ld:][:len(y)]
			mix512(first(y), first(p), first(v), len(y), ld, len(p))
		}
	}
	k.scale = func(x []float32, a float32) { scale512(first(x), len(x), a) }
	k.small = &smallCaches{dotsSmall(dots512F16), dotsSmall(dots512S8), mixSmall(mix512F16), mixSmall(mix512S8)}
}

// dotsSmall takes the last four rows again where they are not a multiple of four;
// fewer than four are for the caller to avoid.
func dotsSmall[T uint16 | int8](f func(y, x *float32, w *T, cols, ld, rows int)) func(y, x []float32, w []T, ld int) {
	return func(y, x []float32, w []T, ld int) {
		n := len(y)
		_ = w[(n-1)*ld:][:len(x)]
		if whole := n &^ 3; whole > 0 {
			f(&y[0], &x[0], &w[0], len(x), ld, whole)
		}
		if n%4 > 0 {
			f(&y[n-4], &x[0], &w[(n-4)*ld], len(x), ld, 4)
		}
	}
}

func mixSmall[T uint16 | int8](f func(y, p *float32, v *T, cols, ld, rows int)) func(y, p []float32, v []T, ld int) {
	return func(y, p []float32, v []T, ld int) {
		_ = v[(len(p)-1)*ld:][:len(y)]
		f(&y[0], &p[0], &v[0], len(y), ld, len(p))
	}
}

// first is the address of a slice that may be empty.
func first[T any](x []T) *T {
	if len(x) == 0 {
		return nil
	}
	return &x[0]
}

//go:noescape
func expSum512(dst, src *float32, n int, shift float32) float32

//go:noescape
func max512(x *float32, n int) float32

//go:noescape
func swiglu512(dst, gate, up *float32, n int)

//go:noescape
func swigluBack512(dgate, dup, dm, gate, up *float32, n int)

//go:noescape
func dot512F32(x, w *float32, n int) float32

//go:noescape
func dot512BF16(x *float32, w *uint16, n int) float32

//go:noescape
func dot512I8(x *float32, w *int8, n int) float32

//go:noescape
func axpy512(y, x *float32, n int, a float32)

//go:noescape
func scale512(x *float32, n int, a float32)

//go:noescape
func dots512F32(y, x, w *float32, cols, ld, rows int)

//go:noescape
func dots512BF16(y, x *float32, w *uint16, cols, ld, rows int)

//go:noescape
func mix512(y, p, v *float32, cols, ld, rows int)

//go:noescape
func dots512F16(y, x *float32, w *uint16, cols, ld, rows int)

//go:noescape
func dots512S8(y, x *float32, w *int8, cols, ld, rows int)

//go:noescape
func mix512F16(y, p *float32, v *uint16, cols, ld, rows int)

//go:noescape
func mix512S8(y, p *float32, v *int8, cols, ld, rows int)
