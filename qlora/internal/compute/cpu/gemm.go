package cpu

import (
	"math"
	"unsafe"
)

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
	depthBlock = 256
	leftBlock  = 512 // lanes of A in a task, about
	rightBlock = 256 // lanes of B in a task, at most
	minTasks   = 16  // that a product splits into when it can
)

// multiply runs p on all workers. The left side is packed whole, once; a task
// packs its own part of the right side.
func (d *Device) multiply(p product) {
	if p.m == 0 || p.n == 0 {
		return
	}
	d.multiplyLeft(p, d.packLeft(p, d.grid(), false))
}

func (d *Device) grid() grid { return grid{mr: d.kern.mr, nr: d.kern.nr, pack: d.kern.pack} }

// multiplyLeft is multiply with the left side packed already: products that
// share it pack it once.
func (d *Device) multiplyLeft(p product, packed []float32) {
	if p.m == 0 || p.n == 0 {
		return
	}
	if parts := depthParts(p); parts > 1 {
		d.multiplyDeep(p, packed, parts)
		return
	}
	rows, cols := d.grid().split(p)
	across := (p.n + cols - 1) / cols
	d.pool.run(across*((p.m+rows-1)/rows), func(w *worker, task int) {
		i, j := task/across*rows, task%across*cols
		d.block(w, p, packed, span{i, min(rows, p.m-i)}, span{j, min(cols, p.n-j)}, span{0, p.k})
	})
}

// depthParts is how many parts the depth of p is summed in: several where the
// result is small and the sum long, as in the gradient of the loss, so that
// neither side is packed twice for want of tasks.
func depthParts(p product) int {
	if p.m > leftBlock || p.n > rightBlock || p.k < 16*depthBlock {
		return 1
	}
	return min(minTasks, p.k/(4*depthBlock))
}

// multiplyDeep computes parts of the sum in memory of their own and adds them in
// order.
func (d *Device) multiplyDeep(p product, packed []float32, parts int) {
	size, per := p.m*p.n, roundUp((p.k+parts-1)/parts, depthBlock)
	parts = (p.k + per - 1) / per
	sums := d.scratch.floats(slotDeep, parts*size)
	d.pool.run(parts, func(w *worker, i int) {
		part := p
		part.c, part.ldc, part.add = sums[i*size:], p.n, false
		d.block(w, part, packed, span{0, p.m}, span{0, p.n}, span{i * per, min(per, p.k-i*per)})
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

// split chooses the block of C that is one task, from the shape alone.
func (g grid) split(p product) (rows, cols int) {
	rows, cols = roundUp(min(p.m, leftBlock), g.mr), roundUp(min(p.n, rightBlock), g.nr)
	for tasks(p, rows, cols) < minTasks && (rows > 4*g.mr || cols > 2*g.nr) {
		if rows/g.mr > cols/g.nr || cols <= 2*g.nr {
			rows = roundUp(rows/2, g.mr)
		} else {
			cols = roundUp(cols/2, g.nr)
		}
	}
	return rows, cols
}

func tasks(p product, rows, cols int) int {
	return (p.m + rows - 1) / rows * ((p.n + cols - 1) / cols)
}

// flip adds 128 to the four bytes of each word.
func flip(panel []float32) {
	for i, v := range unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(panel))), len(panel)) {
		panel[i] = math.Float32frombits(v ^ 0x80808080)
	}
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// packLeft packs A as [depth block][panel of mr lanes][k][mr]; with offset it
// adds 128 to each byte.
func (d *Device) packLeft(p product, g grid, offset bool) []float32 {
	l := d.newLeft(p, g)
	blocks := (p.k + depthBlock - 1) / depthBlock
	d.pool.rows(l.panels*blocks, g.mr*min(p.k, depthBlock), func(_ *worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			panel := l.pack(i%l.panels, i/l.panels)
			if offset {
				flip(panel)
			}
		}
	})
	return l.dst
}

// left is the packed left side in the making.
type left struct {
	p      product
	g      grid
	panels int
	dst    []float32
}

func (d *Device) newLeft(p product, g grid) left {
	panels := (p.m + g.mr - 1) / g.mr
	return left{p, g, panels, d.scratch.floats(slotA, panels*g.mr*p.k)}
}

// pack packs one panel of one depth block.
func (l left) pack(panel, block int) []float32 {
	k0, l0, mr := block*depthBlock, panel*l.g.mr, l.g.mr
	k := min(depthBlock, l.p.k-k0)
	dst := l.dst[l.panels*mr*k0+l0*k:][:mr*k]
	l.g.pack(l.p.a, dst, mr, l0, min(mr, l.p.m-l0), k0, k)
	return dst
}

// block computes the sum over depth of rows and columns of C. depth starts at a
// multiple of depthBlock.
func (d *Device) block(w *worker, p product, left []float32, row, col, depth span) {
	nr, whole := d.kern.nr, roundUp(p.m, d.kern.mr)
	right := w.scratch.floats(slotB, roundUp(col.n, nr)*depthBlock)
	for k0 := depth.at; k0 < depth.at+depth.n; k0 += depthBlock {
		k := min(depthBlock, p.k-k0)
		for l := 0; l < col.n; l += nr {
			d.kern.pack(p.b, right[l*k:], nr, col.at+l, min(nr, col.n-l), k0, k)
		}
		d.panels(w, left[whole*k0+row.at*k:], right, tileGrid{
			c: p.c[row.at*p.ldc+col.at:], ldc: p.ldc, rows: row.n, cols: col.n, k: k, alpha: p.alpha, add: p.add || k0 > depth.at,
		})
	}
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

// panels multiplies consecutive panels a [rows/mr][k][mr] and b [cols/nr][k][nr].
func (d *Device) panels(w *worker, a, b []float32, g tileGrid) {
	mr, nr := d.kern.mr, d.kern.nr
	for j := 0; j < g.cols; j += nr {
		for i := 0; i < g.rows; i += mr {
			pa, pb := a[i*g.k:], b[j*g.k:]
			if i+mr <= g.rows && j+nr <= g.cols {
				d.kern.tile(g.c[i*g.ldc+j:], g.ldc, pa, pb, g.k, g.alpha, g.add)
				continue
			}
			t := w.scratch.floats(slotTile, mr*nr)
			d.kern.tile(t, nr, pa, pb, g.k, g.alpha, false)
			g.edge(t, nr, i, min(mr, g.rows-i), j, min(nr, g.cols-j))
		}
	}
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
