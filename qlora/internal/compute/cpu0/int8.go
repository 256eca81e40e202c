package cpu0

import "github.com/borea-go/borea/qlora/internal/compute"

// int8Product writes (or adds) Σ q_x q_w · s_x s_w. Codes go through the float32
// kernel in depth blocks whose sums are exact integers, added as int32.
func (d *Device) int8Product(out []float32, x compute.Activation, w *weight, n int, add bool) {
	q, s := x.Q.(*buffer).b, fl(x.S)
	if n <= gemvRows {
		d.int8Gemv(out, q, s, w, n, add)
		return
	}
	tm, tn := (n+taskM-1)/taskM, (w.rows+taskN-1)/taskN
	parallel(tm*tn, func(t int) {
		i, j := t%tm*taskM, t/tm*taskN
		d.int8Block(out, q, s, w, i, min(taskM, n-i), j, min(taskN, w.rows-j), add)
	})
}

// int8Block computes rows [i0, i0+m) and columns [j0, j0+n) of the product.
func (d *Device) int8Block(out []float32, q []int8, s []float32, w *weight, i0, m, j0, n int, add bool) {
	sc := scratchPool.Get().(*scratch)
	defer scratchPool.Put(sc)
	sc.c = grow(sc.c, m*n)
	var sums []int32
	a, b := codeLines{q, w.cols}, codeLines{w.q, w.cols}
	for p := 0; p < w.cols; p += depthBlock {
		kc := min(depthBlock, w.cols-p)
		d.k.packAll(sc, a, b, i0, m, j0, n, p, kc)
		d.k.sweep(sc.c, n, sc, m, n, kc, false)
		if w.cols > depthBlock {
			sums = addInt(sums, sc.c)
		}
	}
	for i := range m {
		o := out[(i0+i)*w.rows+j0:][:n]
		for j := range o {
			v := sc.c[i*n+j]
			if sums != nil {
				v = float32(sums[i*n+j])
			}
			put(&o[j], v*(s[i0+i]*w.scale[j0+j]), add)
		}
	}
}

func addInt(sums []int32, c []float32) []int32 {
	if sums == nil {
		sums = make([]int32, len(c))
	}
	for i, v := range c {
		sums[i] += int32(v)
	}
	return sums
}

// int8Gemv is the product for a few tokens.
func (d *Device) int8Gemv(out []float32, q []int8, s []float32, w *weight, n int, add bool) {
	rows(w.rows, 64, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			line := w.q[r*w.cols : (r+1)*w.cols]
			for t := range n {
				sum := dotInt8(q[t*w.cols:(t+1)*w.cols], line)
				put(&out[t*w.rows+r], float32(sum)*(s[t]*w.scale[r]), add)
			}
		}
	})
}

func dotInt8(x, y []int8) (s int32) {
	y = y[:len(x)]
	for i, v := range x {
		s += int32(v) * int32(y[i])
	}
	return s
}

// quantiseRows fills an activation's codes from its values.
func quantiseRows(a compute.Activation, n int) {
	if a.Q == nil || n == 0 {
		return
	}
	x, q, s := fl(a.X), a.Q.(*buffer).b, fl(a.S)
	c := len(q) / len(s)
	rows(n, 32, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			s[t] = quantise(q[t*c:(t+1)*c], x[t*c:(t+1)*c])
		}
	})
}
