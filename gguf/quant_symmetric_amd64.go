//go:build !noasm

package gguf

import "unsafe"

// symmetricLanes holds the sub-blocks of a search, element by element. The assembly
// knows its offsets (quant_symmetric_amd64.h).
type symmetricLanes struct {
	x, w, wx [32][laneCount]float32 // w: weights; wx: weights·x
	// The results: x ≈ scale·code, where code = nearest(inv·x).
	scale, inv [laneCount]float32
	top, best  [laneCount]float32 // the element of the largest magnitude; scale·Σwxl
	numerators [19]float32
	half       int
}

// The offsets of quant_symmetric_amd64.h: an index other than 0 does not compile.
var _ = [...]struct{}{
	[1]struct{}{}[unsafe.Offsetof(symmetricLanes{}.w)-4096],
	[1]struct{}{}[unsafe.Offsetof(symmetricLanes{}.wx)-8192],
	[1]struct{}{}[unsafe.Offsetof(symmetricLanes{}.scale)-12288],
	[1]struct{}{}[unsafe.Offsetof(symmetricLanes{}.inv)-12416],
	[1]struct{}{}[unsafe.Offsetof(symmetricLanes{}.top)-12544],
	[1]struct{}{}[unsafe.Offsetof(symmetricLanes{}.best)-12672],
}

// newSymmetricLanes returns lanes on a cache line's boundary for codes from -half to
// half-1.
func newSymmetricLanes(half int) *symmetricLanes {
	s := aligned[symmetricLanes]()
	s.half = half
	s.numerators[0] = float32(-half)
	n := s.numerators[:1]
	for k := -9; k <= 9; k++ {
		if k != 0 {
			n = append(n, -(float32(half) + float32(0.1*float32(k))))
		}
	}
	return s
}

// search fits the first lanes, whose x of n elements is set; w is, too, or the
// weights are x².
func (s *symmetricLanes) search(n, lanes int, squares bool) {
	if chosen == avx512 {
		symmetric512(s, &s.numerators[0], n, float32(s.half), squares, lanes)
		return
	}
	symmetric256(s, &s.numerators[0], n, float32(s.half), squares, lanes)
}

// codes sets the codes that the search found for the elements of a lane.
func (s *symmetricLanes) codes(dst []uint8, x []float32, lane int) {
	if abs32(s.top[lane]) < epsilon {
		clear(dst)
		return
	}
	setSymmetric(s.half, x, dst, s.inv[lane])
}

// vectorQ6K encodes Q6_K if there is assembly for it here: two blocks at a time, one
// sub-block of 16 a lane.
func vectorQ6K(dst []byte, src, imatrix []float32) bool {
	if chosen == portable {
		return false
	}
	s := newSymmetricLanes(32)
	for at := 0; at < len(src); at += 2 * superBlock {
		n := min(2, (len(src)-at)/superBlock)
		for j := range n {
			x, v := src[at+j*superBlock:][:superBlock], columns(imatrix, at+j*superBlock)
			for i := 0; i < 16; i += 8 {
				transpose256(&s.x[0][16*j+i], &x[16*i], 4*laneCount, 64, 16)
				if v != nil {
					transpose256(&s.w[0][16*j+i], &v[16*i], 4*laneCount, 64, 16)
				}
			}
		}
		s.search(16, 16*n, imatrix == nil)
		for j := range n {
			s.finishQ6K(dst[(at/superBlock+j)*210:][:210], src[at+j*superBlock:][:superBlock], j)
		}
	}
	return true
}

// finishQ6K codes block j's scales, its elements with the rounded scales, and packs
// them.
func (s *symmetricLanes) finishQ6K(out []byte, x []float32, j int) {
	var products [16]float32
	if !codeScalesSix256((*[18]byte)(out[192:]), (*[16]float32)(s.scale[16*j:]), &products) {
		clear(out)
		return
	}
	var codes [superBlock]uint8
	recodeSix256(&codes, &x[0], &products)
	for i, scale := range products {
		if scale == 0 {
			s.codes(codes[16*i:16*i+16], x[16*i:16*i+16], 16*j+i)
		}
	}
	packSix256(&out[0], &codes)
}

//go:noescape
func symmetric256(s *symmetricLanes, numerators *float32, n int, half float32, squares bool, lanes int)

//go:noescape
func symmetric512(s *symmetricLanes, numerators *float32, n int, half float32, squares bool, lanes int)

//go:noescape
func codeScalesSix256(out *[18]byte, scales, products *[16]float32) bool

//go:noescape
func recodeSix256(codes *[256]uint8, x *float32, scales *[16]float32)

//go:noescape
func packSix256(dst *byte, codes *[256]uint8)
