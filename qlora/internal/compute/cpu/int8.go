package cpu

// baseInt8 computes y[t,o] = s_t·s_o·Σ q_t q_o, or adds it, with an exact int32
// sum. Activations that carry no codes are quantised here.
func (d *Device) baseInt8(y []float32, x activation, w *weight, n int, add bool) {
	if x.q == nil {
		x = d.quantised(x.x, w.cols, n)
	}
	d.pool.rows(w.rows, n*w.cols, func(_ *worker, lo, hi int) {
		for o := lo; o < hi; o++ {
			row := w.q[o*w.cols : (o+1)*w.cols]
			for t := range n {
				v := float32(dotInt8Go(x.q[t*w.cols:], row)) * (x.s[t] * w.scale[o])
				if add {
					v += y[t*w.rows+o]
				}
				y[t*w.rows+o] = v
			}
		}
	})
}

func dotInt8Go(x, w []int8) int32 {
	var s int32
	x = x[:len(w)]
	for k, v := range w {
		s += int32(v) * int32(x[k])
	}
	return s
}

// codes writes the int8 codes of rows [lo, hi) of an activation that has any.
func (d *Device) codes(a activation, cols, lo, hi int) {
	if a.q == nil {
		return
	}
	for t := lo; t < hi; t++ {
		a.s[t] = quantiseGo(a.q[t*cols:(t+1)*cols], a.x[t*cols:(t+1)*cols])
	}
}

// quantised returns x with codes in scratch memory.
func (d *Device) quantised(x []float32, cols, n int) activation {
	a := activation{x: x, q: d.scratch.bytes(n * cols), s: d.scratch.floats(slotD, n)}
	d.pool.rows(n, cols, func(_ *worker, lo, hi int) { d.codes(a, cols, lo, hi) })
	return a
}
