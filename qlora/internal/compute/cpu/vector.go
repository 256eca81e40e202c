package cpu

import "github.com/borea-go/borea/checkpoint/safetensors"

func dot32Go(a, b []float32) float32 {
	var s [4]float32
	n := len(a) &^ 3
	for i := 0; i < n; i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s[0] += x[0] * y[0]
		s[1] += x[1] * y[1]
		s[2] += x[2] * y[2]
		s[3] += x[3] * y[3]
	}
	for i := n; i < len(a); i++ {
		s[i-n] += a[i] * b[i]
	}
	return s[0] + s[1] + s[2] + s[3]
}

func dotBF16Go(x []float32, w []uint16) float32 {
	var s [4]float32
	x = x[:len(w)]
	for i, v := range w {
		s[i%4] += x[i] * fromBF16(v)
	}
	return s[0] + s[1] + s[2] + s[3]
}

func dotI8Go(x []float32, w []int8) float32 {
	var s [4]float32
	x = x[:len(w)]
	for i, v := range w {
		s[i%4] += x[i] * float32(v)
	}
	return s[0] + s[1] + s[2] + s[3]
}

func axpyGo(y, x []float32, a float32) {
	for i, v := range x {
		y[i] += a * v
	}
}

func scaleGo(x []float32, a float32) {
	for i := range x {
		x[i] *= a
	}
}

// byRow sets the operations on many rows of k from those on one.
func byRow(k *kernels) {
	dot, dotBF16, axpy := k.dot, k.dotBF16, k.axpy
	k.dots = func(y, x, w []float32, ld int) {
		for r := range y {
			y[r] = dot(x, w[r*ld:][:len(x)])
		}
	}
	k.dotsBF16 = func(y, x []float32, w []uint16) {
		for r := range y {
			y[r] = dotBF16(x, w[r*len(x):][:len(x)])
		}
	}
	k.mix = func(y, p, v []float32, ld int) {
		for r, a := range p {
			axpy(y, v[r*ld:][:len(y)], a)
		}
	}
}

func widenGo(dst []float32, src []uint16) {
	for i, h := range src {
		dst[i] = safetensors.FromF16(h)
	}
}

func narrowGo(dst []uint16, src []float32) {
	for i, v := range src {
		dst[i] = safetensors.F16(v)
	}
}

func widenCodesGo(dst []float32, src []int8) {
	for i, q := range src {
		dst[i] = float32(q)
	}
}
