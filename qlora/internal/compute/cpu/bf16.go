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
	d.blocks(p.m, p.n, panelLanes, panelLanes, p.k > wordBlock, func(w *worker, row, col span) {
		d.blockBF16(w, p, left, lda, row, col)
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

// blockBF16 computes rows and columns of y. Between the parts of the depth sums lie
// closely, so that the rows of y, which may be far apart, are touched once.
func (d *Device) blockBF16(w *worker, p product, left []uint8, lda int, row, col span) {
	right := w.scratch.floats(slotB, panelLanes*wordBlock)
	var sums []float32
	if p.k > wordBlock {
		sums = w.scratch.floats(slotDeep, row.n*roundUp(col.n, panelLanes))
	}
	for k0 := 0; k0 < p.k; k0 += wordBlock {
		k := min(wordBlock, p.k-k0)
		for j := 0; j < col.n; j += panelLanes {
			lanes := min(panelLanes, col.n-j)
			d.kern.pack(p.b, right, panelLanes, col.at+j, lanes, k0, k)
			r := tileRun{
				a: &left[row.at*lda+4*k0], lda: lda, b: (*int8)(unsafe.Pointer(&right[0])), words: k,
				rows: row.n, lanes: lanes,
			}
			part := sums[min(j*row.n, len(sums)):]
			r.from, r.ldFrom = p.sumsBF16(w, part, row, col.at+j, lanes, k0 == 0 && !p.add, k0 == 0)
			r.to, r.ldTo = p.sumsBF16(w, part, row, col.at+j, lanes, false, k0+k == p.k)
			r.do(d.kern.sweepBF16, &w.sweep)
		}
	}
}

// sumsBF16 is where the sums of a panel lie, and how far apart its rows: nowhere
// (zeros), in y, or in between.
func (p product) sumsBF16(w *worker, between []float32, row span, col, lanes int, none, inY bool) (*uint32, int) {
	switch {
	case none:
		return bits(&w.zero[0]), 0
	case inY:
		return bits(&p.c[row.at*p.ldc+col : (row.at+row.n-1)*p.ldc+col+lanes][0]), 4 * p.ldc
	}
	return bits(&between[:row.n*panelLanes][0]), panelBytes
}
