package cpu

import "unsafe"

// baseBF16 computes y = x Wᵀ, or adds it, with x rounded to bfloat16, on tiles:
// products are exact and their sums float32, those of the even and of the odd
// places of 32 apart. Words are pairs.
func (d *Device) baseBF16(y, x []float32, w *weight, n int, add bool) {
	p := product{
		m: n, n: w.rows, k: w.cols / 2, b: byLane(view((*float32)(unsafe.Pointer(&w.h[0])), len(w.h)/2), w.cols/2),
		c: y, ldc: w.rows, add: add,
	}
	left, lda := d.leftBF16(x, w.cols, n)
	rows, cols := d.split(p.m, p.n, panelLanes, panelLanes, p.k > wordBlock)
	across := (p.n + cols - 1) / cols
	d.pool.run(across*((p.m+rows-1)/rows), func(wk *worker, task int) {
		i, j := task/across*rows, task%across*cols
		d.blockBF16(wk, p, left, lda, span{i, min(rows, p.m-i)}, span{j, min(cols, p.n-j)})
	})
}

// leftBF16 rounds rows of activations; they lie lda bytes apart.
func (d *Device) leftBF16(x []float32, cols, n int) (left []uint8, lda int) {
	lda = oddLines(2 * cols)
	left = d.scratch.raised(n * lda)
	d.pool.rows(n, cols, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			d.kern.roundBF16(view((*uint16)(unsafe.Pointer(&left[t*lda])), cols), x[t*cols:(t+1)*cols])
		}
	})
	return left, lda
}

// blockBF16 computes rows and columns of y.
func (d *Device) blockBF16(w *worker, p product, left []uint8, lda int, row, col span) {
	var zero [panelLanes]float32
	right := w.scratch.floats(slotB, panelLanes*wordBlock)
	for k0 := 0; k0 < p.k; k0 += wordBlock {
		k := min(wordBlock, p.k-k0)
		for j := col.at; j < col.at+col.n; j += panelLanes {
			lanes := min(panelLanes, col.at+col.n-j)
			d.kern.pack(p.b, right, panelLanes, j, lanes, k0, k)
			c := &p.c[row.at*p.ldc+j : (row.at+row.n-1)*p.ldc+j+lanes][0]
			r := tileRun{
				a: &left[row.at*lda+4*k0], lda: lda, b: (*int8)(unsafe.Pointer(&right[0])), words: k,
				from: bits(&zero[0]), to: bits(c), ldTo: 4 * p.ldc, rows: row.n, lanes: lanes,
			}
			if p.add || k0 > 0 {
				r.from, r.ldFrom = r.to, r.ldTo
			}
			r.do(d.kern.sweepBF16, &w.sweep)
		}
	}
}
