package gguf

// encodeQ2K codes 16 sub-blocks of 16: scales and mins of 4 bits, codes of 2.
func encodeQ2K(dst []byte, src, imatrix []float32) {
	eachBlock(dst, src, imatrix, 84, func(out []byte, x, v []float32) {
		var b affineBlock
		b.fit(affine{3, -0.5, 0.1, 15, true, false}, 1, x, v, 16, absoluteWeights)
		d, m := b.codeScales(16, 15, v != nil)
		putF16(out[80:], d)
		putF16(out[82:], m)
		for j := range 16 {
			out[j] = b.ls[j] | b.lm[j]<<4
		}
		b.recode(x, 16, 3, getF16(out[80:]), getF16(out[82:]))
		packPairs(out[16:80], &b.codes)
	})
}

// packPairs stores codes of two bits: per 128 codes, byte l holds codes l, l+32,
// l+64 and l+96.
func packPairs(b []byte, codes *[superBlock]uint8) {
	for i := range 64 {
		q := codes[i/32*128+i%32:]
		b[i] = q[0]&3 | q[32]&3<<2 | q[64]&3<<4 | q[96]&3<<6
	}
}

func decodeQ2K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[superBlock:], src[84:] {
		d, m := getF16(src[80:]), getF16(src[82:])
		for i := range superBlock {
			sc := src[i/16]
			scale, low := float32(d*float32(sc&15)), float32(m*float32(sc>>4))
			dst[i] = float32(scale*float32(pairAt(src[16:80], i))) - low
		}
	}
}

func pairAt(b []byte, i int) uint8 { return b[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3 }

// encodeQ3K codes 16 sub-blocks of 16: signed scales of 6 bits, codes of 3.
func encodeQ3K(dst []byte, src, imatrix []float32) {
	eachBlock(dst, src, imatrix, 110, func(out []byte, x, v []float32) {
		var codes [superBlock]uint8
		var ls [16]int
		clear(out)
		putF16(out[108:], fitQ3K(x, v, &codes, &ls))
		packSignedScales(out[96:108], &ls)
		recodeQ3K(x, getF16(out[108:]), &codes, &ls)
		for i, c := range codes {
			out[i%32] |= c >> 2 << (i / 32)
		}
		packPairs(out[32:96], &codes)
	})
}

// fitQ3K searches scales and codes, codes the scales in -32..31 and returns the
// block's scale.
func fitQ3K(x, v []float32, codes *[superBlock]uint8, ls *[16]int) float32 {
	var scales, sums [16]float32
	var w [16]float32
	sigma2 := float32(float32(2*sumSquares(x)) / superBlock)
	for j := range scales {
		sx, sc := x[j*16:(j+1)*16], codes[j*16:(j+1)*16]
		if v == nil {
			scales[j] = searchRefined(4, sx, sc)
			continue
		}
		sums[j] = importanceWeights(w[:], sx, v[j*16:], sigma2)
		scales[j] = searchSymmetric(4, sx, w[:], sc)
	}
	if v != nil {
		var lc [16]uint8
		d := searchSymmetric(32, scales[:], sums[:], lc[:])
		for j, c := range lc {
			ls[j] = int(c) - 32
		}
		return d
	}
	top := signedAbsMax(scales[:])
	if top == 0 {
		for j := range ls {
			ls[j] = -32
		}
		return 0
	}
	inv := -32 / top
	for j, s := range scales {
		ls[j] = clampSymmetric(32, float32(inv*s))
	}
	return 1 / inv
}

func recodeQ3K(x []float32, d float32, codes *[superBlock]uint8, ls *[16]int) {
	for j, l := range ls {
		scale := float32(d * float32(l))
		if scale == 0 {
			continue
		}
		for i, f := range x[j*16 : (j+1)*16] {
			codes[j*16+i] = uint8(clampSymmetric(4, f/scale) + 4)
		}
	}
}

// packSignedScales stores 16 scales of 6 bits, offset by 32, in 12 bytes: low
// nibbles in 0-7, high pairs in 8-11.
func packSignedScales(b []byte, ls *[16]int) {
	for j, l := range ls {
		c := uint8(l + 32)
		b[j%8] |= c & 15 << (j / 8 * 4)
		b[8+j%4] |= c >> 4 << (j / 4 * 2)
	}
}

func signedScale(b []byte, j int) int {
	low := b[j%8] >> (j / 8 * 4) & 15
	return int(low|b[8+j%4]>>(j/4*2)&3<<4) - 32
}

func decodeQ3K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[superBlock:], src[110:] {
		d := getF16(src[108:])
		for i := range superBlock {
			scale := float32(d * float32(signedScale(src[96:108], i/16)))
			q := int(pairAt(src[32:96], i))
			if src[i%32]>>(i/32)&1 == 0 {
				q -= 4
			}
			dst[i] = float32(scale * float32(q))
		}
	}
}
