package cpu

// nf4Block is the number of weights of a row that share an absmax; the last
// block of a row may be shorter.
const nf4Block = 64

// nf4Levels are the quantiles of the normal distribution that the codes stand
// for, with an exact 0, as in QLoRA (Dettmers et al., arXiv 2305.14314, appendix
// E).
var nf4Levels = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
	-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// nf4 is a matrix of 4-bit codes, two a byte, the earlier in the low half. Rows
// start on a byte.
type nf4 struct {
	codes  []uint8
	absmax []float32
	bytes  int // of a row
	blocks int // of a row
}

func newNF4(p *pages, rows, cols int) (m *nf4, err error) {
	m = &nf4{bytes: (cols + 1) / 2, blocks: (cols + nf4Block - 1) / nf4Block}
	if m.codes, err = taken[uint8](p, rows*m.bytes); err == nil {
		m.absmax, err = taken[float32](p, rows*m.blocks)
	}
	return m, err
}

// store quantises row r: the level nearest to x/absmax, the lower of two.
func (m *nf4) store(r int, src []float32) {
	for b := range m.blocks {
		part := src[b*nf4Block : min(len(src), (b+1)*nf4Block)]
		var top float32
		for _, v := range part {
			top = max(top, v, -v)
		}
		m.absmax[r*m.blocks+b] = top
		for i, v := range part {
			k := b*nf4Block + i
			m.codes[r*m.bytes+k/2] |= nf4Code(v, top) << (4 * (k % 2))
		}
	}
}

func nf4Code(v, top float32) uint8 {
	if top == 0 {
		return 7
	}
	x, c := v/top, uint8(0)
	for c < 15 && x > (nf4Levels[c]+nf4Levels[c+1])/2 {
		c++
	}
	return c
}

// read writes elements [k0, k0+len(dst)) of row r.
func (m *nf4) read(dst []float32, r, k0 int) {
	codes, abs := m.codes[r*m.bytes:(r+1)*m.bytes], m.absmax[r*m.blocks:(r+1)*m.blocks]
	for i := range dst {
		k := k0 + i
		dst[i] = nf4Levels[codes[k/2]>>(4*(k%2))&15] * abs[k/nf4Block]
	}
}

// pack is operand.fill for a matrix of codes; the piece of a row goes through a
// buffer on the stack.
func (m *nf4) pack(dst []float32, width, l0, lanes, k0, k int, deep bool) {
	var buf [depthBlock]float32
	if deep {
		for p := range k {
			m.read(dst[p*width:p*width+lanes], k0+p, l0)
		}
		return
	}
	for l := range lanes {
		for p0 := 0; p0 < k; p0 += depthBlock {
			part := buf[:min(depthBlock, k-p0)]
			m.read(part, l0+l, k0+p0)
			for i, v := range part {
				dst[(p0+i)*width+l] = v
			}
		}
	}
}
