//go:build !noasm

package cpu

// vectors256 replaces the portable loops of k; what does not fill eight lanes is
// left to them.
func vectors256(k *kernels) {
	k.expSum = func(dst, src []float32, shift float32) (s float32) {
		n := len(src) &^ 7
		if n > 0 {
			_ = dst[:n]
			s = expSum256(&dst[0], &src[0], n/8, shift)
		}
		return s + expSumGo(dst[n:], src[n:], shift)
	}
	k.max = func(x []float32) float32 {
		n := len(x) &^ 7
		if n == 0 {
			return maxGo(x)
		}
		return max(max256(&x[0], n/8), maxGo(x[n:]))
	}
	k.swiglu = func(dst, g, u []float32) {
		n := len(g) &^ 7
		if n > 0 {
			_, _ = dst[:n], u[:n]
			swiglu256(&dst[0], &g[0], &u[0], n/8)
		}
		swigluGo(dst[n:], g[n:], u[n:])
	}
	k.swigluBack = func(dg, du, dm, g, u []float32) {
		n := len(g) &^ 7
		if n > 0 {
			_, _, _, _ = dg[:n], du[:n], dm[:n], u[:n]
			swigluBack256(&dg[0], &du[0], &dm[0], &g[0], &u[0], n/8)
		}
		swigluBackGo(dg[n:], du[n:], dm[n:], g[n:], u[n:])
	}
	k.widen = func(dst []float32, src []uint16) {
		n := len(src) &^ 7
		if n > 0 {
			_ = dst[:n]
			widen256(&dst[0], &src[0], n/8)
		}
		widenGo(dst[n:], src[n:])
	}
	k.narrow = func(dst []uint16, src []float32) {
		n := len(src) &^ 7
		if n > 0 {
			_ = dst[:n]
			narrow256(&dst[0], &src[0], n/8)
		}
		narrowGo(dst[n:], src[n:])
	}
	k.widenCodes = func(dst []float32, src []int8) {
		n := len(src) &^ 7
		if n > 0 {
			_ = dst[:n]
			widenCodes256(&dst[0], &src[0], n/8)
		}
		widenCodesGo(dst[n:], src[n:])
	}
	dots256(k)
}

func dots256(k *kernels) {
	k.dot = func(a, b []float32) (s float32) {
		n := len(a) &^ 7
		if n > 0 {
			_ = b[:n]
			s = dot256F32(&a[0], &b[0], n/8)
		}
		return s + dot32Go(a[n:], b[n:])
	}
	k.dotBF16 = func(x []float32, w []uint16) (s float32) {
		n := len(w) &^ 7
		if n > 0 {
			_ = x[:n]
			s = dot256BF16(&x[0], &w[0], n/8)
		}
		return s + dotBF16Go(x[n:], w[n:])
	}
	k.dotI8 = func(x []float32, w []int8) (s float32) {
		n := len(w) &^ 7
		if n > 0 {
			_ = x[:n]
			s = dot256I8(&x[0], &w[0], n/8)
		}
		return s + dotI8Go(x[n:], w[n:])
	}
	k.axpy = func(y, x []float32, a float32) {
		n := len(x) &^ 7
		if n > 0 {
			_ = y[:n]
			axpy256(&y[0], &x[0], n/8, a)
		}
		axpyGo(y[n:], x[n:], a)
	}
	k.scale = func(x []float32, a float32) {
		n := len(x) &^ 7
		if n > 0 {
			scale256(&x[0], n/8, a)
		}
		scaleGo(x[n:], a)
	}
	k.scaleSums = scaleSums256
}

//go:noescape
func expSum256(dst, src *float32, n int, shift float32) float32

//go:noescape
func max256(x *float32, n int) float32

//go:noescape
func swiglu256(dst, gate, up *float32, n int)

//go:noescape
func swigluBack256(dgate, dup, dm, gate, up *float32, n int)

//go:noescape
func dot256F32(x, w *float32, n int) float32

//go:noescape
func dot256BF16(x *float32, w *uint16, n int) float32

//go:noescape
func dot256I8(x *float32, w *int8, n int) float32

//go:noescape
func axpy256(y, x *float32, n int, a float32)

//go:noescape
func scale256(x *float32, n int, a float32)

//go:noescape
func epilogue256(y *float32, acc *int32, n int, s float32, scale *float32, add bool)

//go:noescape
func widen256(dst *float32, src *uint16, blocks int)

//go:noescape
func narrow256(dst *uint16, src *float32, blocks int)

//go:noescape
func widenCodes256(dst *float32, src *int8, blocks int)
