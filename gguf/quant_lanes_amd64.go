//go:build !noasm

package gguf

import "unsafe"

// laneCount is the number of sub-blocks searched side by side: two groups of 16 in
// AVX-512, four of 8 in AVX2.
const laneCount = 32

// affineLanes holds the sub-blocks of a search, element by element. The assembly
// knows its offsets (quant_affine_amd64.h).
type affineLanes struct {
	x, w, trial [32][laneCount]float32 // w: importances, then weights
	// The results: x ≈ scale·code + low, where code = nearest(inv·(x-base)).
	scale, low, inv, base [laneCount]float32
	sumW, sumX            [laneCount]float32 // of w and w·x
	best                  [laneCount]float32 // least error
	high, least           [laneCount]float32 // extremes of x
	live, fits, bad       [laneCount]uint32  // masks
	sigma                 [laneCount]float32 // mean squares, with importance
	top                   int
	numerators            [40]float32 // of the candidates' inverse scales
	candidates            int
}

// newAffineLanes returns lanes on a cache line's boundary for a grid.
func newAffineLanes(g affine) *affineLanes {
	b := make([]struct {
		affineLanes
		_ [64]byte
	}, 1)
	s := &b[0].affineLanes
	if r := uintptr(unsafe.Pointer(s)) % 64; r != 0 {
		s = (*affineLanes)(unsafe.Add(unsafe.Pointer(s), 64-r))
	}
	s.top = g.top
	for k := range g.steps + 1 {
		s.numerators[k] = g.start + float32(g.step*float32(k)) + float32(g.top)
	}
	s.candidates = g.steps + 1
	return s
}

// search fits the first n lanes, whose x and, with importance, w and sigma are set.
// It returns the set of lanes that must go the portable way.
func (s *affineLanes) search(n int, importance bool) (bad uint32) {
	if importance {
		weighImportance256(s, n)
	} else {
		weighMagnitude256(s, n)
	}
	return affine256(s, &s.numerators[0], s.candidates, float32(s.top), n)
}

// vectorScaled encodes Q4_K or Q5_K if there is assembly for it here.
func vectorScaled(t *scaledType, dst []byte, src, imatrix []float32) bool {
	if chosen == portable {
		return false
	}
	s := newAffineLanes(t.candidates(imatrix != nil))
	for at := 0; at < len(src); at += 4 * superBlock {
		t.encodeLanes(s, dst[at/superBlock*t.bytes:], src, imatrix, at)
	}
	return true
}

// encodeLanes encodes the up to four blocks from element at.
func (t *scaledType) encodeLanes(s *affineLanes, dst []byte, src, imatrix []float32, at int) {
	n := min(4, (len(src)-at)/superBlock)
	for j := range n {
		x := src[at+j*superBlock:][:superBlock]
		transpose256(&s.x[0][8*j], &x[0], 4*laneCount, 128, 32)
		if imatrix == nil {
			continue
		}
		v := imatrix[(at+j*superBlock)%len(imatrix):][:superBlock]
		transpose256(&s.w[0][8*j], &v[0], 4*laneCount, 128, 32)
	}
	if imatrix != nil {
		s.setSigma(src[at:], n)
	}
	bad := s.search(8*n, imatrix != nil)
	for j := range n {
		x, out := src[at+j*superBlock:][:superBlock], dst[j*t.bytes:][:t.bytes]
		if bad>>(8*j)&255 != 0 {
			t.encodeBlock(out, x, columns(imatrix, at+j*superBlock))
			continue
		}
		t.finishLanes(s, out, x, j, imatrix != nil)
	}
}

// setSigma sets twice the mean square of each of n blocks for its lanes.
func (s *affineLanes) setSigma(x []float32, n int) {
	var sums [4]float32
	if n == 4 {
		sumSquares256(&sums, &x[0], superBlock)
	} else {
		for j := range n {
			sums[j] = sumSquares(x[j*superBlock : (j+1)*superBlock])
		}
	}
	for i := range 8 * n {
		s.sigma[i] = scaledMean(2, sums[i/8])
	}
}

// finishLanes encodes block j of the lanes from what the search found.
func (t *scaledType) finishLanes(s *affineLanes, out []byte, x []float32, j int, weighted bool) {
	var b affineBlock
	for i := range 8 {
		b.scales[i], b.mins[i], b.sums[i] = s.scale[8*j+i], -s.low[8*j+i], 0+s.sumW[8*j+i]
	}
	d, m := t.putScales(&b, out, weighted)
	var scale, low [8]float32
	for i := range scale {
		scale[i], low[i] = float32(d*float32(b.ls[i])), float32(m*float32(b.lm[i]))
	}
	recodeAffine256(&b.codes, &x[0], &scale, &low, uint8(s.top))
	for i, v := range scale {
		if v == 0 {
			quantizeCodes(b.codes[32*i:32*i+32], x[32*i:32*i+32], s.inv[8*j+i], s.base[8*j+i], s.top)
		}
	}
	if t.grid.top == 31 {
		packFive256(&out[16], &b.codes)
	} else {
		packFour256(&out[16], &b.codes)
	}
}

//go:noescape
func affine256(s *affineLanes, numerators *float32, n int, top float32, lanes int) (bad uint32)

//go:noescape
func weighMagnitude256(s *affineLanes, lanes int)

//go:noescape
func weighImportance256(s *affineLanes, lanes int)

//go:noescape
func transpose256(dst, src *float32, to, from, n int)

//go:noescape
func sumSquares256(sums *[4]float32, x *float32, n int)

//go:noescape
func recodeAffine256(codes *[256]uint8, x *float32, scale, low *[8]float32, top uint8)

//go:noescape
func packFour256(dst *byte, codes *[256]uint8)

//go:noescape
func packFive256(dst *byte, codes *[256]uint8)

//go:noescape
func maxMagnitude256(x *float32, n int) (bits uint32)
