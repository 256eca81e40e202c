//go:build !noasm

package gguf

import (
	"encoding/binary"
	"unsafe"
)

// laneCount is the number of sub-blocks searched side by side: two groups of 16 in
// AVX-512, four of 8 in AVX2.
const laneCount = 32

// affineLanes holds the sub-blocks of a search, element by element. The assembly
// knows its offsets (quant_affine_amd64.h).
type affineLanes struct {
	x, w [32][laneCount]float32 // w: weights
	// A store of trial[i] has the low 12 address bits of x[i-1] and w[i-1]: with
	// those of a later load it would hold that load up.
	_     [31][laneCount]float32
	trial [32][laneCount]float32
	// The results: x ≈ scale·code + low, where code = nearest(inv·(x-base)).
	scale, low, inv, base [laneCount]float32
	sumW, sumX            [laneCount]float32 // of w and w·x
	best                  [laneCount]float32 // least error
	high, least           [laneCount]float32 // extremes of x
	live, fits, bad       [laneCount]uint32  // masks
	top                   int
	numerators            [40]float32 // of the candidates' inverse scales
	candidates, free      int         // the first free ones need no clamp above
}

// The offsets of quant_affine_amd64.h: an index other than 0 does not compile.
var _ = [...]struct{}{
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.w)-4096],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.trial)-12160],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.scale)-16256],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.low)-16384],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.inv)-16512],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.base)-16640],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.sumW)-16768],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.sumX)-16896],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.best)-17024],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.high)-17152],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.least)-17280],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.live)-17408],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.fits)-17536],
	[1]struct{}{}[unsafe.Offsetof(affineLanes{}.bad)-17664],
}

// newAffineLanes returns lanes on a cache line's boundary for a grid.
func newAffineLanes(g affine) *affineLanes {
	s := aligned[affineLanes]()
	s.top = g.top
	for k := range g.steps + 1 {
		s.numerators[k] = g.start + float32(g.step*float32(k)) + float32(g.top)
	}
	s.candidates = g.steps + 1
	for s.free < s.candidates && s.numerators[s.free] < float32(g.top)+0.4999 {
		s.free++
	}
	return s
}

// aligned returns a zero T, which holds no pointers, on a cache line's boundary.
func aligned[T any]() *T {
	b := make([]struct {
		t T
		_ [64]byte
	}, 1)
	p := unsafe.Pointer(&b[0])
	return (*T)(unsafe.Add(p, -uintptr(p)%64))
}

// fit searches the first n lanes, whose x and weights are set, and returns the set of
// lanes that must go the portable way.
func (s *affineLanes) fit(n int) (bad uint32) {
	if chosen == avx512 {
		return affine512(s, &s.numerators[0], s.candidates, s.free, float32(s.top))
	}
	return affine256(s, &s.numerators[0], s.candidates, s.free, float32(s.top), n)
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
		transpose256(&s.x[0][8*j], &src[at+j*superBlock], 4*laneCount, 128, 32)
	}
	if imatrix == nil {
		weighMagnitude256(s, 8*n)
	} else {
		s.weigh(src, imatrix, at, n)
		weighed256(s, 8*n)
	}
	bad := s.fit(8 * n)
	c := s.codeScales(imatrix != nil)
	for j := range n {
		x, out := src[at+j*superBlock:][:superBlock], dst[j*t.bytes:][:t.bytes]
		if bad>>(8*j)&255 != 0 {
			t.encodeBlock(out, x, columns(imatrix, at+j*superBlock))
			continue
		}
		c.putScales(out, j)
		t.finishLanes(s, &c, out, x, j)
	}
}

// weigh sets the weights by importance of the n blocks from element at.
func (s *affineLanes) weigh(src, imatrix []float32, at, n int) {
	var sums [4]float32
	if n == 4 {
		sumSquares256(&sums, &src[at], superBlock)
	}
	var w [superBlock]float32
	for j := range n {
		x, v := src[at+j*superBlock:][:superBlock], columns(imatrix, at+j*superBlock)
		if n < 4 {
			sums[j] = sumSquares(x)
		}
		sigma := scaledMean(2, sums[j])
		for i := 0; i < superBlock; i += 32 {
			weights256(&w[i], &x[i], &v[i], sigma)
		}
		transpose256(&s.w[0][8*j], &w[0], 4*laneCount, 128, 32)
	}
}

// scaleLanes codes the scales and mins of four blocks: lane j is block j's scales,
// lane 4+j its mins. The assembly knows its offsets (quant_scales256_amd64.s).
type scaleLanes struct {
	s, weights [8][8]float32 // [sub-block][lane]
	codes      [8][8]uint32
	products   [8][8]float32 // of d, as rounded to float16, and codes
	half       [8]uint16     // d as float16
}

// The offsets of quant_scales256_amd64.s.
var _ = [...]struct{}{
	[1]struct{}{}[unsafe.Offsetof(scaleLanes{}.weights)-256],
	[1]struct{}{}[unsafe.Offsetof(scaleLanes{}.codes)-512],
	[1]struct{}{}[unsafe.Offsetof(scaleLanes{}.products)-768],
	[1]struct{}{}[unsafe.Offsetof(scaleLanes{}.half)-1024],
}

// scaleNumerators are those of the inverse scales that searchPositive tries.
var scaleNumerators = func() (n [9]float32) {
	n[0] = 63
	for i, k := range []float32{-4, -3, -2, -1, 1, 2, 3, 4} {
		n[i+1] = float32(0.1*k) + 63
	}
	return n
}()

func (s *affineLanes) codeScales(weighted bool) (c scaleLanes) {
	transpose256(&c.s[0][0], &s.scale[0], 32, 32, 8) // the lows follow
	if !weighted {
		codeScales256(&c)
		return c
	}
	transpose256(&c.weights[0][0], &s.sumW[0], 32, 32, 8)
	searchScales256(&c, &scaleNumerators)
	return c
}

// putScales stores the scales and mins of block j.
func (c *scaleLanes) putScales(out []byte, j int) {
	binary.LittleEndian.PutUint16(out, c.half[j])
	binary.LittleEndian.PutUint16(out[2:], c.half[4+j])
	var ls, lm [8]uint8
	for i := range ls {
		ls[i], lm[i] = uint8(c.codes[i][j]), uint8(c.codes[i][4+j])
	}
	packScales(out[4:16], ls[:], lm[:])
}

// finishLanes codes block j's elements with the rounded scales and packs them. A
// sub-block whose scale is rounded to 0 keeps the search's codes.
func (t *scaledType) finishLanes(s *affineLanes, c *scaleLanes, out []byte, x []float32, j int) {
	var codes [superBlock]uint8
	recodeAffine256(&codes, &x[0], &c.products[0][j], &c.products[0][4+j], uint8(s.top))
	for i := range 8 {
		if c.products[i][j] == 0 {
			quantizeCodes(codes[32*i:32*i+32], x[32*i:32*i+32], s.inv[8*j+i], s.base[8*j+i], s.top)
		}
	}
	if t.grid.top == 31 {
		packFive256(&out[16], &codes)
	} else {
		packFour256(&out[16], &codes)
	}
}

//go:noescape
func affine256(s *affineLanes, numerators *float32, n, free int, top float32, lanes int) (bad uint32)

//go:noescape
func affine512(s *affineLanes, numerators *float32, n, free int, top float32) (bad uint32)

//go:noescape
func weighMagnitude256(s *affineLanes, lanes int)

//go:noescape
func weighed256(s *affineLanes, lanes int)

//go:noescape
func transpose256(dst, src *float32, to, from, n int)

//go:noescape
func sumSquares256(sums *[4]float32, x *float32, n int)

//go:noescape
func recodeAffine256(codes *[256]uint8, x *float32, scale, low *float32, top uint8)

//go:noescape
func codeScales256(s *scaleLanes)

//go:noescape
func searchScales256(s *scaleLanes, numerators *[9]float32)

//go:noescape
func packFour256(dst *byte, codes *[256]uint8)

//go:noescape
func packFive256(dst *byte, codes *[256]uint8)

//go:noescape
func maxMagnitude256(x *float32, n int) (bits uint32)
