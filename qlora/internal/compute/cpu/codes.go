package cpu

import (
	"slices"
	"unsafe"
)

// codes is an int8 matrix, one scale a row, as micro-kernels read it: panels of
// 32 rows, words of four neighbouring columns, the 32 words of one place side by
// side. It is prepared once and is the only copy: the transposed product, whose
// panels are 32 columns, turns 4×4 bytes of it on the way.
type codes struct {
	rows, cols int
	words      int       // of a row
	q          []int8    // [rows/32][words][32][4]
	scale      []float32 // [rows]
	// What int32 sums start from where the other codes have 128 added: -128 times
	// the sum of a row, of a column.
	rowStart, colStart []int32
}

const (
	panelLanes = 32
	panelBytes = 4 * panelLanes // of one word of all lanes
)

// codesBytes is the memory of codes.
func codesBytes(rows, cols int) int64 {
	r, c := int64(roundUp(rows, panelLanes)), int64(roundUp(cols, 4))
	return r*c + 8*r + 4*int64(roundUp(cols, panelLanes))
}

func newCodes(p *pages, rows, cols int) (*codes, error) {
	high := roundUp(rows, panelLanes)
	c := &codes{
		rows: rows, cols: cols, words: (cols + 3) / 4, scale: make([]float32, high),
		rowStart: make([]int32, high), colStart: make([]int32, roundUp(cols, panelLanes)),
	}
	var err error
	c.q, err = taken[int8](p, high*4*c.words)
	return c, err
}

func (c *codes) bytes() int64 { return codesBytes(c.rows, c.cols) }

// store quantises whole rows from row first on, the first of a panel.
func (c *codes) store(k kernels, first int, src []float32) {
	ld := 4 * c.words
	buf := make([]int8, panelLanes*ld)
	for n := len(src) / c.cols; n > 0; n -= panelLanes {
		lanes := min(n, panelLanes)
		for l := range lanes {
			c.scale[first+l] = k.quantise(buf[l*ld:][:c.cols], src[l*c.cols:(l+1)*c.cols])
		}
		k.pack(byLane(asWords(buf), c.words), asWords(c.q[first*ld:]), panelLanes, 0, lanes, 0, c.words)
		first, src = first+lanes, src[lanes*c.cols:]
	}
}

// asWords views codes as 32-bit words; they lie on such.
func asWords(q []int8) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(q))), len(q)/4)
}

// view is n elements from p on, nil if p is.
func view[T any](p *T, n int) []T { return unsafe.Slice(p, n) }

// panel implements intRight: rows are lanes.
func (c *codes) panel(_ *worker, lane, w0, n int) *int8 {
	return &c.q[4*lane*c.words+w0*panelBytes:][:n*panelBytes][0]
}

// depthWords is how many words of depth the transposed product has.
func (c *codes) depthWords() int { return roundUp(c.rows, panelLanes) / 4 }

// turned is the intRight of the transposed product: columns are lanes, four rows
// a word.
func (d *Device) turned(c *codes) intRight {
	return func(w *worker, lane, w0, n int) *int8 {
		dst := w.scratch.bytes(wordBlock * panelBytes)[:n*panelBytes]
		at, have := lane/4, min(panelLanes/4, c.words-lane/4)
		for i := 0; i < n; i += panelLanes / 4 {
			src := c.q[16*(w0+i)*c.words+at*panelBytes:][:have*panelBytes]
			d.kern.turn(dst[i*panelBytes:][:turnBytes], src)
		}
		return &dst[0]
	}
}

// turnBytes is a block of 32 rows and 32 columns.
const turnBytes = panelLanes * panelLanes

// turnGo writes 32 rows of 4·n columns, words [n][32][4], as words of four rows,
// [8][32][4]; columns that are not there are zero.
func turnGo(dst, src []int8) {
	clear(dst[:turnBytes])
	for i, v := range src {
		row, col := i/4%panelLanes, i/panelBytes*4+i%4
		dst[row/4*panelBytes+4*col+row%4] = v
	}
}

// rowCodes writes words [w0, w0+n) of the 32 rows from row on, a multiple of 32,
// row by row.
func (c *codes) rowCodes(k *kernels, dst []int8, row, w0, n int) {
	src := c.q[4*row*c.words+w0*panelBytes:][:n*panelBytes]
	k.pack(byLane(asWords(src), panelLanes), asWords(dst), n, 0, n, 0, panelLanes)
}

// row writes row r as float32.
func (c *codes) row(dst []float32, r int) {
	src := c.q[r/panelLanes*panelLanes*4*c.words+r%panelLanes*4:]
	for i := range dst[:c.cols] {
		dst[i] = float32(src[i/4*panelBytes+i%4]) * c.scale[r]
	}
}

// sum fills rowStart and colStart: products with a row of ones.
func (c *codes) sum(d *Device) {
	k, w := d.kern.ints, d.pool.workers[0]
	if !k.offset {
		return
	}
	ones := slices.Repeat([]uint8{1}, panelBytes/panelLanes*wordBlock)
	add := func(start []int32, words int, right intRight) {
		for lane := 0; lane < len(start); lane += panelLanes {
			sums := start[lane:][:panelLanes]
			for w0 := 0; w0 < words; w0 += wordBlock {
				n := min(wordBlock, words-w0)
				w.tile = intTile{a: &ones[0], b: right(w, lane, w0, n), words: n, from: &sums[0], to: &sums[0], rows: 1, lanes: panelLanes}
				k.tile(&w.tile)
			}
			for i := range sums {
				sums[i] *= -128
			}
		}
	}
	add(c.rowStart, c.words, c.panel)
	add(c.colStart, c.depthWords(), d.turned(c))
}

// spreadWords is how many words of 32 rows are put in rows at once.
const spreadWords = 64

// spread writes the codes as float32 panels, as packGo does: rows as lanes, or
// with deep columns. A panel of width lanes lies in one of 32.
func (c *codes) spread(k *kernels, dst []float32, width, l0, lanes, k0, depth int, deep bool) {
	var buf [panelLanes * 4 * spreadWords]int8
	if !deep {
		row := l0 / panelLanes * panelLanes
		for at := 0; at < depth; at += 4 * spreadWords {
			cols := min(4*spreadWords, depth-at)
			n := (cols + 3) / 4
			c.rowCodes(k, buf[:], row, (k0+at)/4, n)
			k.pack(operand{q: buf[:], scale: c.scale[row:], ld: 4 * n}, dst[at*width:], width, l0-row, lanes, 0, cols)
		}
		return
	}
	n := (lanes + 3) / 4
	for at := 0; at < depth; at += panelLanes {
		rows := min(panelLanes, depth-at)
		c.rowCodes(k, buf[:], k0+at, l0/4, n)
		k.pack(operand{q: buf[:], scale: c.scale[k0+at:], ld: 4 * n, deep: true}, dst[at*width:], width, 0, lanes, 0, rows)
	}
}
