//go:build !noasm

package gguf

func vectorQ8_0(dst []byte, src []float32) bool {
	if chosen == portable || len(src) == 0 {
		return false
	}
	encodeEight256(&dst[0], &src[0], len(src)/32)
	return true
}

// vectorOld encodes a type of 32 weights a block if there is assembly for it here:
// block after block, or with importance 32 blocks at a time, one a lane.
func vectorOld(t oldType, dst []byte, src, imatrix []float32) bool {
	switch {
	case chosen == portable || len(src) == 0:
		return false
	case imatrix != nil:
		t.encodeWeighed(dst, src, imatrix)
	case t.half != 0:
		encodeSymmetric256(&dst[0], &src[0], len(src)/32, float32(t.half))
	default:
		encodeAffine256(&dst[0], &src[0], len(src)/32, float32(t.top))
	}
	return true
}

// A batch is up to 32 blocks of 32 elements with their weights.
type batch struct{ x, w [32 * laneCount]float32 }

func (t oldType) encodeWeighed(dst []byte, src, imatrix []float32) {
	sigma2 := wideRowSquares(src, len(imatrix))
	b := new(batch)
	search := t.searcher()
	for at := 0; at < len(src); at += len(b.x) {
		n := copy(b.x[:], src[at:]) / 32
		for j := range n {
			i := at + 32*j
			weights256(&b.w[32*j], &b.x[32*j], &imatrix[i%len(imatrix)], sigma2[i/len(imatrix)])
		}
		search(b, n, dst[at/32*t.bytes:])
	}
}

// wideRowSquares is rowSquares with four rows side by side.
func wideRowSquares(x []float32, row int) (means []float32) {
	for ; len(x) >= 4*row; x = x[4*row:] {
		var sums [4]float32
		sumSquares256(&sums, &x[0], row)
		for _, s := range sums {
			means = append(means, s/float32(row))
		}
	}
	return append(means, rowSquares(x, row)...)
}

// searcher returns a function that encodes n blocks of a batch.
func (t oldType) searcher() func(b *batch, n int, dst []byte) {
	if t.half != 0 {
		s := newSymmetricLanes(t.half)
		return func(b *batch, n int, dst []byte) { t.fitSymmetric(s, b, n, dst) }
	}
	s := newAffineLanes(importance(t.top))
	return func(b *batch, n int, dst []byte) { t.fitAffine(s, b, n, dst) }
}

func (t oldType) fitSymmetric(s *symmetricLanes, b *batch, n int, dst []byte) {
	for j := 0; j < n; j += 8 {
		transpose256(&s.x[0][j], &b.x[32*j], 4*laneCount, 128, 32)
		transpose256(&s.w[0][j], &b.w[32*j], 4*laneCount, 128, 32)
	}
	s.search(32, n, false)
	for j := range n {
		out, x := dst[j*t.bytes:][:t.bytes], &b.x[32*j]
		putF16(out, s.scale[j])
		if abs32(s.top[j]) < epsilon {
			clear(out[2:])
			continue
		}
		packRun256(&out[2], x, s.inv[j], 0, int32(t.half), int32(t.top))
	}
}

func (t oldType) fitAffine(s *affineLanes, b *batch, n int, dst []byte) {
	for j := 0; j < n; j += 8 {
		transpose256(&s.x[0][j], &b.x[32*j], 4*laneCount, 128, 32)
		transpose256(&s.w[0][j], &b.w[32*j], 4*laneCount, 128, 32)
	}
	weighed256(s, n)
	bad := s.fit(n)
	for j := range n {
		out, x := dst[j*t.bytes:][:t.bytes], b.x[32*j:32*j+32]
		if bad>>j&1 != 0 {
			t.encodeBlock(out, x, b.w[32*j:32*j+32])
			continue
		}
		putF16(out, s.scale[j])
		putF16(out[2:], s.low[j])
		packRun256(&out[4], &x[0], s.inv[j], s.base[j], 0, int32(t.top))
	}
}

//go:noescape
func encodeEight256(dst *byte, x *float32, blocks int)

//go:noescape
func encodeSymmetric256(dst *byte, x *float32, blocks int, half float32)

//go:noescape
func encodeAffine256(dst *byte, x *float32, blocks int, top float32)

//go:noescape
func packRun256(dst *byte, x *float32, inv, base float32, half, top int32)

//go:noescape
func weights256(w, x, v *float32, sigma float32)
