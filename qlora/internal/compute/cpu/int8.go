package cpu

// intKernels multiplies rows of int8 codes by panels of a weight; see codes for
// their layout.
type intKernels struct {
	name string
	mr   int // rows of a tile, the left codes of which it may read
	few  int // rows of narrow, 0 if there is none
	// offset says that the left codes need 128 added and that sums start from
	// -128 times the right ones'.
	offset bool
	tile   func(t *intTile)
	narrow func(t *intTile) // tile for few rows
	// sweep, where not nil, takes the place of tile, and finish that of its epilogue.
	sweep  func(s *sweep)
	finish func(t *intTile, sums []int32)
	// ceiling is like that of kernels; nil where there is no such loop.
	ceiling func(rounds int) int
}

// intTile is the work of one call of a micro-kernel: Σ a·b of rows rows and lanes
// lanes. Unless to is nil it is stored there; else y = s·scale·sum is written,
// or added to y.
type intTile struct {
	a     *uint8 // rows of left codes, lda bytes apart
	lda   int
	b     *int8 // [words][32][4]
	words int

	from     *int32 // [32] what the sums of a row start from
	fromStep int    // bytes from one row's to the next: 0 or 128
	to       *int32 // [rows][32]

	y           *float32 // rows ldy bytes apart
	ldy         int
	s           *float32 // one a row
	scale       *float32 // one a lane
	rows, lanes int
	add         bool
}

// intProduct is y[t,l] = s[t]·scale[l]·Σ_k a[t,k]·b[l,k], or adds it, with exact
// int32 sums.
type intProduct struct {
	m, lanes, words int
	a               []uint8 // m rows of 4·words, lda apart, and room for a tile more
	lda             int
	right           intRight
	start           []int32 // of right's lanes
	s               []float32
	scale           []float32 // nil: all 1
	y               []float32
	add             bool
}

// intRight gives words [w0, w0+n) of the panel of 32 lanes from lane on.
type intRight func(w *worker, lane, w0, n int) *int8

// baseInt8 computes y[t,o] = s_t·s_o·Σ q_t q_o, or adds it. Activations that carry
// no codes are quantised here.
func (d *Device) baseInt8(y []float32, x activation, w *weight, n int, add bool) {
	if x.q == nil {
		x = d.quantised(x.x, w.cols, n)
	}
	d.multiplyInt8(intProduct{
		m: n, lanes: w.rows, words: w.codes.words, a: d.leftCodes(x.q, w.cols, n), lda: d.kern.ints.apart(w.cols),
		right: w.codes.panel, start: w.codes.rowStart, s: x.s, scale: w.codes.scale, y: y, add: add,
	})
}

// leftCodes copies codes to where micro-kernels read them: rows of whole words,
// 128 added if they want it, and room for the rows of a tile behind them.
func (d *Device) leftCodes(q []int8, cols, n int) []uint8 {
	k, ld := d.kern.ints, d.kern.ints.apart(cols)
	dst, mask := d.scratch.raised((n+k.mr)*ld), k.mask()
	d.pool.rows(n, cols/4, func(_ *worker, lo, hi int) {
		if ld == cols {
			d.kern.raise(dst[lo*ld:hi*ld], q[lo*ld:hi*ld], mask)
			return
		}
		for t := lo; t < hi; t++ {
			d.kern.raise(dst[t*ld:t*ld+cols], q[t*cols:(t+1)*cols], mask)
		}
	})
	return dst
}

// mask is the bits of left codes that are turned: adding 128 turns the highest.
func (k *intKernels) mask() byte {
	if k.offset {
		return 0x80
	}
	return 0
}

// apart is the distance of rows of left codes: whole words, or for tiles, which
// read a cache line of each of 16 rows, an odd number of lines, so that no two
// rows fall on one set of the cache.
func (k *intKernels) apart(cols int) int {
	if k.sweep == nil {
		return roundUp(cols, 4)
	}
	return oddLines(cols)
}

// raiseGo writes codes with the bits of mask turned.
func raiseGo(dst []uint8, q []int8, mask byte) {
	for i, v := range q {
		dst[i] = uint8(v) ^ mask
	}
}

// multiplyInt8 runs p on all workers.
func (d *Device) multiplyInt8(p intProduct) {
	if p.m == 0 {
		return
	}
	k := d.kern.ints
	d.blocks(p.m, p.lanes, k.mr, panelLanes, p.words > wordBlock, func(w *worker, row, col span) { p.block(k, w, row, col) })
}

// block computes rows and columns of y, one depth block after another.
func (p *intProduct) block(k *intKernels, w *worker, row, col span) {
	high := row.n + k.mr
	var acc []int32
	if p.words > wordBlock || k.sweep != nil {
		acc = w.scratch.ints(roundUp(col.n, panelLanes) * high)
	}
	t, unit := &w.tile, &w.unit
	*t = intTile{lda: p.lda, ldy: 4 * p.lanes, add: p.add}
	for w0 := 0; w0 < p.words; w0 += wordBlock {
		t.words = min(wordBlock, p.words-w0)
		for j := 0; j < col.n; j += panelLanes {
			lane := col.at + j
			t.b, t.lanes = p.right(w, lane, w0, t.words), min(panelLanes, col.n-j)
			if t.scale = &unit[0]; p.scale != nil {
				t.scale = &p.scale[lane]
			}
			sums := acc[min(j*high, len(acc)):]
			if k.sweep != nil && row.n > k.few {
				p.swept(k, w, row, lane, w0, sums)
			} else {
				p.column(k, t, row, lane, w0, sums)
			}
		}
	}
}

// column multiplies rows with one panel.
func (p *intProduct) column(k *intKernels, t *intTile, row span, lane, w0 int, acc []int32) {
	for i, n := 0, 0; i < row.n; i += n {
		f := k.tile
		n = k.mr
		if k.few > 0 && row.n-i <= k.few {
			f, n = k.narrow, k.few
		}
		t.rows = min(n, row.n-i)
		t.a, t.s = &p.a[(row.at+i)*t.lda+4*w0], &p.s[row.at+i]
		t.from, t.fromStep, t.to = &p.start[lane], 0, nil
		if w0 > 0 {
			t.from, t.fromStep = &acc[i*panelLanes], 4*panelLanes
		}
		if w0+t.words < p.words {
			t.to = &acc[i*panelLanes]
		}
		t.y = &p.y[(row.at+i)*p.lanes+lane]
		f(t)
	}
}

// swept is column on tile registers.
func (p *intProduct) swept(k *intKernels, w *worker, row span, lane, w0 int, acc []int32) {
	t := &w.tile
	r := tileRun{
		a: &p.a[row.at*t.lda+4*w0], lda: t.lda, b: t.b, words: t.words,
		from: bits(&p.start[lane]), to: bits(&acc[:row.n*panelLanes][0]), ldTo: panelBytes, rows: row.n, lanes: panelLanes,
	}
	if w0 > 0 {
		r.from, r.ldFrom = r.to, r.ldTo
	}
	r.do(k.sweep, &w.sweep)
	if w0+t.words == p.words {
		t.rows, t.s, t.y = row.n, &p.s[row.at], &p.y[row.at*p.lanes+lane]
		k.finish(t, acc)
	}
}

// finish stores the sums of a tile, [rows][32], as t says: what a micro-kernel
// without an epilogue of its own ends with.
func (t *intTile) finish(scaleSums func(y []float32, acc []int32, s float32, scale []float32, add bool), sums []int32) {
	if t.to != nil {
		copy(view(t.to, t.rows*panelLanes), sums)
		return
	}
	ld := t.ldy / 4
	y, s, scale := view(t.y, (t.rows-1)*ld+t.lanes), view(t.s, t.rows), view(t.scale, t.lanes)
	for r := range t.rows {
		scaleSums(y[r*ld:][:t.lanes], sums[r*panelLanes:][:t.lanes], s[r], scale, t.add)
	}
}

// starts is what the sums of row r start from.
func (t *intTile) starts(r int) []int32 {
	return view(t.from, r*t.fromStep/4+panelLanes)[r*t.fromStep/4:]
}

// tileInt8Go is a micro-kernel of four rows.
func tileInt8Go(t *intTile) {
	var sums [4 * panelLanes]int32
	a, b := view(t.a, (t.rows-1)*t.lda+4*t.words), view(t.b, t.words*panelBytes)
	for r := range t.rows {
		acc := sums[r*panelLanes:][:panelLanes]
		copy(acc, t.starts(r))
		for w := range t.words {
			x := a[r*t.lda+4*w:][:4]
			x0, x1, x2, x3 := int32(int8(x[0])), int32(int8(x[1])), int32(int8(x[2])), int32(int8(x[3]))
			row := b[w*panelBytes:][:panelBytes]
			for l := range acc {
				q := row[4*l : 4*l+4 : 4*l+4]
				acc[l] += x0*int32(q[0]) + x1*int32(q[1]) + x2*int32(q[2]) + x3*int32(q[3])
			}
		}
	}
	t.finish(scaleSumsGo, sums[:])
}

// scaleSumsGo writes y = acc·s·scale, or adds it.
func scaleSumsGo(y []float32, acc []int32, s float32, scale []float32, add bool) {
	for i, v := range acc {
		r := float32(float32(v) * float32(s*scale[i]))
		if add {
			r += y[i]
		}
		y[i] = r
	}
}

// quantise writes the int8 codes of rows [lo, hi) of an activation that has any.
func (d *Device) quantise(a activation, cols, lo, hi int) {
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
	d.pool.rows(n, cols, func(_ *worker, lo, hi int) { d.quantise(a, cols, lo, hi) })
	return a
}
