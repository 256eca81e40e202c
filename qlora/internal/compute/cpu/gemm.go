package cpu

// product is C = alpha·A·B (+ C): A has m lanes, B has n lanes, both have depth
// k; C is row-major with rows ldc apart.
type product struct {
	m, n, k int
	a, b    operand
	c       []float32
	ldc     int
	alpha   float32
	add     bool
}

// The blocks of a product, after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (ACM TOMS 34, 2008): a panel of B,
// depthBlock × nr, stays in the first cache, and a block of each side in the
// second.
const (
	depthBlock = 384
	wordBlock  = 256 // of int8 products, in words of four codes
	leftBlock  = 512 // lanes of A in a task, about
	rightBlock = 256 // lanes of B in a task, at most
	deepBlock  = 512 // lanes of either side of a product split in depth, at most
	deepParts  = 16  // of the depth, at most
	tasksEach  = 8   // that a worker gets of a product, if it has them
)

// multiply runs p on all workers. The left side is packed whole, once, unless it
// can be read where it lies; a task packs its own part of the right side.
func (d *Device) multiply(p product) {
	if p.m == 0 || p.n == 0 {
		return
	}
	d.multiplyLeft(p, d.leftOf(p))
}

func (d *Device) grid() grid { return grid{mr: d.kern.mr, nr: d.kern.nr, pack: d.kern.pack} }

// multiplyLeft is multiply with the left side ready: products that share it
// prepare it once.
func (d *Device) multiplyLeft(p product, l leftSide) {
	if p.m == 0 || p.n == 0 {
		return
	}
	if parts := depthParts(p); parts > 1 {
		d.multiplyDeep(p, l, parts)
		return
	}
	d.blocks(p.m, p.n, d.kern.mr, d.kern.nr, p.k > depthBlock, func(w *worker, row, col span) {
		d.block(w, p, l, row, col, span{0, p.k})
	})
}

// depthParts is how many parts the depth of p is summed in: several where the
// result is small and the sum long, as in the gradient of the loss, so that
// neither side is packed twice for want of tasks.
func depthParts(p product) int {
	if p.m > deepBlock || p.n > deepBlock || p.k < 16*depthBlock {
		return 1
	}
	return min(deepParts, p.k/(4*depthBlock))
}

// multiplyDeep computes parts of the sum in memory of their own and adds them in
// order.
func (d *Device) multiplyDeep(p product, l leftSide, parts int) {
	size, per := p.m*p.n, roundUp((p.k+parts-1)/parts, depthBlock)
	parts = (p.k + per - 1) / per
	sums := d.scratch.floats(slotDeep, parts*size)
	d.pool.run(parts, func(w *worker, i int) {
		part := p
		part.c, part.ldc, part.add = sums[i*size:], p.n, false
		d.block(w, part, l, span{0, p.m}, span{0, p.n}, span{i * per, min(per, p.k-i*per)})
	})
	d.pool.rows(p.m, parts*p.n, func(_ *worker, lo, hi int) {
		for r := lo; r < hi; r++ {
			dst := p.c[r*p.ldc : r*p.ldc+p.n]
			if !p.add {
				clear(dst)
			}
			for i := range parts {
				d.kern.axpy(dst, sums[i*size+r*p.n:][:p.n], 1)
			}
		}
	})
}

// span is n elements from at on.
type span struct{ at, n int }

// grid is the micro-tile of a product and what packs its panels.
type grid struct {
	mr, nr int
	pack   func(o operand, dst []float32, width, l0, lanes, k0, k int)
}

// split chooses the block of C that is one task: enough of them for the workers.
// It decides no sum: blocks are whole tiles, and each sums its depth alike. Low
// blocks pack the right side often; narrow ones read the left side often, which
// is worse where it is long and so not in the second cache.
func (d *Device) split(m, n, mr, nr int, long bool) (rows, cols int) {
	rows, cols = roundUp(min(m, leftBlock), mr), roundUp(min(n, rightBlock), nr)
	want := tasksEach * len(d.pool.workers)
	if len(d.pool.workers) == 1 {
		want = 1
	}
	halve := func(v *int, least, unit int) {
		for *v > least && (m+rows-1)/rows*((n+cols-1)/cols) < want {
			*v = roundUp(*v/2, unit)
		}
	}
	if long {
		halve(&cols, rightBlock/2, nr)
		halve(&rows, leftBlock/3, mr)
	}
	halve(&cols, nr, nr)
	halve(&rows, 4*mr, mr)
	return rows, cols
}

// blocks shares the blocks of an m × n result among the workers.
func (d *Device) blocks(m, n, mr, nr int, long bool, f func(w *worker, row, col span)) {
	rows, cols := d.split(m, n, mr, nr, long)
	across := (n + cols - 1) / cols
	d.pool.run(across*((m+rows-1)/rows), func(w *worker, task int) {
		i, j := task/across*rows, task%across*cols
		f(w, span{i, min(rows, m-i)}, span{j, min(cols, n-j)})
	})
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// leftSide is the left operand of a product: packed whole, or where it lies.
type leftSide struct {
	f     []float32
	ld    int // distance of rows where they lie, 0 when packed
	lanes int // of all panels, when packed
	mr    int
}

// sameSet is the distance in floats at which rows fall on one set of the first
// cache: read side by side they would drive each other out.
const sameSet = 1024

// leftOf returns the left side of p. Rows of float32 are read where they lie:
// the micro-kernel takes one number of each at a time either way.
func (d *Device) leftOf(p product) leftSide {
	if p.a.f != nil && !p.a.deep && p.a.ld%sameSet != 0 {
		return leftSide{f: p.a.f, ld: p.a.ld, mr: d.kern.mr}
	}
	return leftSide{f: d.packLeft(p, d.grid()), lanes: roundUp(p.m, d.kern.mr), mr: d.kern.mr}
}

// block returns the rows from row on of one depth block.
func (l leftSide) block(row, k0, k int) panel {
	if l.ld > 0 {
		return panel{f: l.f[row*l.ld+k0:], pitch: l.ld, at: strides{l.ld, 1}}
	}
	return packedPanel(l.f[l.lanes*k0+row*k:], l.mr, k)
}

// panel is consecutive rows of a left operand: row i begins at f[i·pitch] if i is
// a multiple of mr.
type panel struct {
	f     []float32
	pitch int
	at    strides
}

func packedPanel(f []float32, mr, k int) panel { return panel{f: f, pitch: k, at: strides{1, mr}} }

// rowPanel is rows of float32 where they lie, ld apart.
func rowPanel(f []float32, ld int) panel { return panel{f: f, pitch: ld, at: strides{ld, 1}} }

// packLeft packs A as [depth block][panel of mr lanes][k][mr].
func (d *Device) packLeft(p product, g grid) []float32 {
	panels, blocks := (p.m+g.mr-1)/g.mr, (p.k+depthBlock-1)/depthBlock
	dst := d.scratch.floats(slotA, panels*g.mr*p.k)
	d.pool.rows(panels*blocks, g.mr*min(p.k, depthBlock), func(_ *worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			k0, l0 := i/panels*depthBlock, i%panels*g.mr
			k := min(depthBlock, p.k-k0)
			g.pack(p.a, dst[panels*g.mr*k0+l0*k:][:g.mr*k], g.mr, l0, min(g.mr, p.m-l0), k0, k)
		}
	})
	return dst
}

// block computes the sum over depth of rows and columns of C. depth starts at a
// multiple of depthBlock.
func (d *Device) block(w *worker, p product, l leftSide, row, col, depth span) {
	nr := d.kern.nr
	right := w.scratch.floats(slotB, roundUp(col.n, nr)*depthBlock)
	for k0 := depth.at; k0 < depth.at+depth.n; k0 += depthBlock {
		k := min(depthBlock, p.k-k0)
		d.packBlock(p.b, right, col, k0, k)
		d.panels(w, l.block(row.at, k0, k), right, tileGrid{
			c: p.c[row.at*p.ldc+col.at:], ldc: p.ldc, rows: row.n, cols: col.n, k: k, alpha: p.alpha, add: p.add || k0 > depth.at,
		})
	}
}

// packedRows is how many stored rows of a deep operand are read side by side: all
// panels' parts of them, so that a row is read on, not a piece of every row.
const packedRows = 32

// packBlock packs the panels of columns of B for one depth block.
func (d *Device) packBlock(o operand, right []float32, col span, k0, k int) {
	nr, step := d.kern.nr, k
	if o.deep {
		step = packedRows
	}
	for r := 0; r < k; r += step {
		for j := 0; j < col.n; j += nr {
			d.packRight(o, right[j*k+r*nr:], col.at+j, min(nr, col.n-j), k0+r, min(step, k-r))
		}
	}
}

// packRight packs one panel of B.
func (d *Device) packRight(o operand, dst []float32, l0, lanes, k0, k int) {
	if o.c != nil {
		o.c.spread(&d.kern, dst, d.kern.nr, l0, lanes, k0, k, o.deep)
		return
	}
	d.kern.pack(o, dst, d.kern.nr, l0, lanes, k0, k)
}

// tileGrid is a block of C that packed panels are multiplied into.
type tileGrid struct {
	c          []float32
	ldc        int
	rows, cols int
	k          int
	alpha      float32
	add        bool
}

// panels multiplies rows of a with consecutive panels b [cols/nr][k][nr].
func (d *Device) panels(w *worker, a panel, b []float32, g tileGrid) {
	mr, nr := d.kern.mr, d.kern.nr
	whole := g.rows / mr * mr
	for j := 0; j < g.cols; j += nr {
		pb := b[j*g.k:]
		for i := 0; i < whole; i += mr {
			if j+nr <= g.cols {
				d.kern.tile(g.c[i*g.ldc+j:], g.ldc, a.f[i*a.pitch:], a.at, pb, g.k, g.alpha, g.add)
				continue
			}
			d.edgeTile(w, a.f[i*a.pitch:], a.at, pb, g, i, mr, j)
		}
	}
	if whole < g.rows {
		d.lastRows(w, a, b, g, whole)
	}
}

// lastRows is panels for the rows that do not fill a tile: packed, they have
// zeros behind them.
func (d *Device) lastRows(w *worker, a panel, b []float32, g tileGrid, i int) {
	rows, f, at := g.rows-i, a.f[i*a.pitch:], a.at
	if at.step == 1 && at.row != 1 {
		packed := w.scratch.floats(slotEdge, d.kern.mr*g.k)
		d.kern.pack(byLane(f, at.row), packed, d.kern.mr, 0, rows, 0, g.k)
		f, at = packed, strides{1, d.kern.mr}
	}
	for j := 0; j < g.cols; j += d.kern.nr {
		d.edgeTile(w, f, at, b[j*g.k:], g, i, rows, j)
	}
}

// edgeTile computes a tile that C has only a part of.
func (d *Device) edgeTile(w *worker, f []float32, at strides, b []float32, g tileGrid, i, rows, j int) {
	nr := d.kern.nr
	t := w.scratch.floats(slotTile, d.kern.mr*nr)
	d.kern.tile(t, nr, f, at, b, g.k, g.alpha, false)
	g.edge(t, nr, i, rows, j, min(nr, g.cols-j))
}

// edge moves the valid part of a tile into C.
func (g tileGrid) edge(t []float32, nr, i, rows, j, cols int) {
	for r := range rows {
		dst := g.c[(i+r)*g.ldc+j:][:cols]
		for k, v := range t[r*nr : r*nr+cols] {
			if g.add {
				dst[k] += v
			} else {
				dst[k] = v
			}
		}
	}
}
