package cpu

import "unsafe"

// intKernels multiplies int8 codes on panels of words: four codes of
// neighbouring depth a word.
type intKernels struct {
	name   string
	mr, nr int
	// offset says that the left codes need 128 added.
	offset bool
	pack   func(o operand, dst []float32, width, l0, lanes, k0, k int)
	tile   func(c []int32, ldc int, a, b []float32, k int, add bool)
	// dots, where not nil, writes y[r] = Σ x·w of row r of w, whose rows follow one
	// another; x is codes with 128 added.
	dots func(y []int32, x []uint8, w []int8)
	// ceiling is like that of kernels; nil where there is no such loop.
	ceiling func(rounds int) int
}

// baseInt8 computes y[t,o] = s_t·s_o·Σ q_t q_o, or adds it, with an exact int32
// sum. Activations that carry no codes are quantised here.
func (d *Device) baseInt8(y []float32, x activation, w *weight, n int, add bool) {
	if x.q == nil {
		x = d.quantised(x.x, w.cols, n)
	}
	a, okA := words(x.q)
	b, okB := words(w.q)
	if n <= fewTokens || d.kern.ints == nil || w.cols%4 != 0 || !okA || !okB {
		d.fewInt8(y, x, w, n, add)
		return
	}
	k := w.cols / 4
	d.blocksInt8(y, x.s, w, product{m: n, n: w.rows, k: k, a: byLane(a, k), b: byLane(b, k), add: add})
}

// words views codes as 32-bit words; false if they do not lie on such.
func words(q []int8) ([]float32, bool) {
	p := unsafe.Pointer(unsafe.SliceData(q))
	if len(q) < 4 || uintptr(p)%4 != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(p), len(q)/4), true
}

// fewInt8 takes one row of the weight after another.
func (d *Device) fewInt8(y []float32, x activation, w *weight, n int, add bool) {
	k := d.kern.ints
	if k == nil || k.dots == nil {
		k = &intKernels{dots: dotsInt8Go}
	}
	codes := raised(d.scratch.raised(n*w.cols), x.q)
	d.pool.rows(w.rows, n*w.cols, func(wk *worker, lo, hi int) {
		acc := wk.scratch.ints(hi - lo)
		for t := range n {
			k.dots(acc, codes[t*w.cols:(t+1)*w.cols], w.q[lo*w.cols:hi*w.cols])
			d.kern.scaleSums(y[t*w.rows+lo:t*w.rows+hi], acc, x.s[t], w.scale[lo:hi], w.sum[lo:hi], true, add)
		}
	})
}

// raised writes codes with 128 added.
func raised(dst []uint8, q []int8) []uint8 {
	for i := range dst {
		dst[i] = uint8(q[i]) ^ 0x80
	}
	return dst
}

func dotsInt8Go(y []int32, x []uint8, w []int8) {
	for r := range y {
		var s int32
		row := w[r*len(x):][:len(x)]
		for k, v := range row {
			s += int32(v) * int32(x[k])
		}
		y[r] = s
	}
}

// blocksInt8 is multiply on words, its depth counted in words.
func (d *Device) blocksInt8(y, s []float32, w *weight, p product) {
	g := grid{mr: d.kern.ints.mr, nr: d.kern.ints.nr, pack: d.kern.ints.pack}
	left := d.packLeft(p, g, d.kern.ints.offset)
	rows, cols := g.split(p)
	across := (p.n + cols - 1) / cols
	d.pool.run(across*((p.m+rows-1)/rows), func(wk *worker, task int) {
		i, j := task/across*rows, task%across*cols
		r, c := min(rows, p.m-i), min(cols, p.n-j)
		acc := d.blockInt8(wk, p, g, left, i, r, j, c)
		for t := range r {
			to := y[(i+t)*w.rows+j:][:c]
			d.kern.scaleSums(to, acc[t*c:(t+1)*c], s[i+t], w.scale[j:j+c], w.sum[j:j+c], d.kern.ints.offset, p.add)
		}
	})
}

// blockInt8 returns the sums of a block, [rows, cols].
func (d *Device) blockInt8(w *worker, p product, g grid, left []float32, i, rows, j, cols int) []int32 {
	whole := roundUp(p.m, g.mr)
	acc, right := w.scratch.ints(rows*cols), w.scratch.floats(slotB, roundUp(cols, g.nr)*depthBlock)
	for k0 := 0; k0 < p.k; k0 += depthBlock {
		k := min(depthBlock, p.k-k0)
		for l := 0; l < cols; l += g.nr {
			g.pack(p.b, right[l*k:], g.nr, j+l, min(g.nr, cols-l), k0, k)
		}
		d.panelsInt8(acc, left[whole*k0+i*k:], right, rows, cols, k, k0 > 0)
	}
	return acc
}

func (d *Device) panelsInt8(acc []int32, a, b []float32, rows, cols, k int, add bool) {
	t := d.kern.ints
	var edge [14 * 32]int32
	for j := 0; j < cols; j += t.nr {
		for i := 0; i < rows; i += t.mr {
			if i+t.mr <= rows && j+t.nr <= cols {
				t.tile(acc[i*cols+j:], cols, a[i*k:], b[j*k:], k, add)
				continue
			}
			t.tile(edge[:], t.nr, a[i*k:], b[j*k:], k, false)
			for r := range min(t.mr, rows-i) {
				moveSums(acc[(i+r)*cols+j:][:min(t.nr, cols-j)], edge[r*t.nr:], add)
			}
		}
	}
}

func moveSums(dst, src []int32, add bool) {
	for i := range dst {
		if add {
			dst[i] += src[i]
		} else {
			dst[i] = src[i]
		}
	}
}

// scaleSumsGo writes y = (acc - 128·sum)·s·scale, without the offset if there
// is none, or adds it.
func scaleSumsGo(y []float32, acc []int32, s float32, scale []float32, sum []int32, offset, add bool) {
	for i, v := range acc {
		if offset {
			v -= 128 * sum[i]
		}
		r := float32(float32(v) * float32(s*scale[i]))
		if add {
			r += y[i]
		}
		y[i] = r
	}
}

// codes writes the int8 codes of rows [lo, hi) of an activation that has any.
func (d *Device) codes(a activation, cols, lo, hi int) {
	if a.q == nil {
		return
	}
	for t := lo; t < hi; t++ {
		a.s[t] = d.kern.quantise(a.q[t*cols:(t+1)*cols], a.x[t*cols:(t+1)*cols])
	}
}

// quantised returns x with codes in scratch memory.
func (d *Device) quantised(x []float32, cols, n int) activation {
	a := activation{x: x, q: d.scratch.bytes(n * cols), s: d.scratch.floats(slotD, n)}
	d.pool.rows(n, cols, func(_ *worker, lo, hi int) { d.codes(a, cols, lo, hi) })
	return a
}
