package gguf

// The types of 256 weights a block ("K types"). Layouts and searches:
// ggml-quants.c, quantize_row_q4_K_ref and its neighbours.

const superBlock = 256

// affineBlock is the state of a block whose sub-blocks have a scale and a minimum.
type affineBlock struct {
	codes        [superBlock]uint8
	scales, mins [16]float32 // mins with the sign turned
	sums         [16]float32 // of the weights, for the scales' own search
	ls, lm       [16]uint8   // coded scales and mins
}

// fit searches every sub-block of size elements. sigma is the factor of the mean
// square under an importance matrix (ggml-quants.c: 2, but 1 for Q2_K).
func (b *affineBlock) fit(plain affine, sigma float32, x, v []float32, size int, weigh func(x, w []float32)) {
	var w [32]float32
	sigma2 := float32(0)
	if v != nil {
		sigma2 = scaledMean(sigma, sumSquares(x))
		plain = importance(plain.top)
	}
	for j := range superBlock / size {
		sx, sw := x[j*size:(j+1)*size], w[:size]
		if v == nil {
			weigh(sx, sw)
		} else {
			b.sums[j] = importanceWeights(sw, sx, v[j*size:], sigma2)
		}
		b.scales[j], b.mins[j] = searchAffine(plain, sx, sw, b.codes[j*size:(j+1)*size])
	}
}

// scaledMean is factor times the mean of a block's squares. (The compiler makes a
// product of a division by a power of two, hence the conversion.)
func scaledMean(factor, squares float32) float32 {
	return float32(float32(factor*squares) / superBlock)
}

func importanceWeights(w, x, v []float32, sigma2 float32) (sum float32) {
	for i, f := range x {
		w[i] = float32(v[i] * sqrt32(sigma2+float32(f*f)))
		sum += w[i]
	}
	return sum
}

// magnitudeWeights is Q4_K's and Q5_K's weight without importance.
func magnitudeWeights(x, w []float32) {
	mean := sqrt32(sumSquares(x) / float32(len(x)))
	for i, v := range x {
		w[i] = mean + abs32(v)
	}
}

// absoluteWeights is Q2_K's weight without importance.
func absoluteWeights(x, w []float32) {
	for i, v := range x {
		w[i] = abs32(v)
	}
}

// codeScales codes n scales and mins in 0..top and returns the block's two
// scales, not yet rounded to float16.
func (b *affineBlock) codeScales(n, top int, weighted bool) (d, m float32) {
	if weighted {
		d = searchPositive(top, b.scales[:n], b.sums[:n], b.ls[:n])
		m = searchPositive(top, b.mins[:n], b.sums[:n], b.lm[:n])
		return d, m
	}
	return codePositive(top, b.scales[:n], b.ls[:n]), codePositive(top, b.mins[:n], b.lm[:n])
}

func codePositive(top int, s []float32, codes []uint8) float32 {
	high := float32(0)
	for _, v := range s {
		high = max(high, v)
	}
	inv := float32(0)
	if high > 0 {
		inv = float32(top) / high
	}
	for i, v := range s {
		codes[i] = uint8(min(top, nearest(float32(inv*v))))
	}
	return high / float32(top)
}

// recode codes the elements again with the rounded scales d and m.
func (b *affineBlock) recode(x []float32, size, top int, d, m float32) {
	for j := range superBlock / size {
		scale := float32(d * float32(b.ls[j]))
		if scale == 0 {
			continue
		}
		low := float32(m * float32(b.lm[j]))
		for i, v := range x[j*size : (j+1)*size] {
			b.codes[j*size+i] = uint8(max(0, min(top, nearest((v+low)/scale))))
		}
	}
}

// A scaledType is Q4_K or Q5_K: 8 sub-blocks of 32, 6-bit scales and mins.
type scaledType struct {
	bytes int
	grid  affine
	pack  func(b []byte, codes *[superBlock]uint8)
}

var (
	scaledQ4K = scaledType{144, affine{15, -1, 0.1, 20, false, false}, packNibbles}
	scaledQ5K = scaledType{176, affine{31, -0.5, 0.1, 15, false, false}, packFive}
)

// candidates returns the grid to search.
func (t *scaledType) candidates(weighted bool) affine {
	if weighted {
		return importance(t.grid.top)
	}
	return t.grid
}

func encodeQ4K(dst []byte, src, imatrix []float32) { scaledQ4K.encode(dst, src, imatrix) }
func encodeQ5K(dst []byte, src, imatrix []float32) { scaledQ5K.encode(dst, src, imatrix) }

func (t *scaledType) encode(dst []byte, src, imatrix []float32) {
	if !vectorScaled(t, dst, src, imatrix) {
		eachBlock(dst, src, imatrix, t.bytes, t.encodeBlock)
	}
}

func (t *scaledType) encodeBlock(out []byte, x, v []float32) {
	var b affineBlock
	b.fit(t.grid, 2, x, v, 32, magnitudeWeights)
	d, m := t.putScales(&b, out, v != nil)
	b.recode(x, 32, t.grid.top, d, m)
	t.pack(out[16:], &b.codes)
}

// putScales codes and stores scales and mins and returns the block's two scales
// as stored.
func (t *scaledType) putScales(b *affineBlock, out []byte, weighted bool) (d, m float32) {
	d, m = b.codeScales(8, 63, weighted)
	putF16(out, d)
	putF16(out[2:], m)
	packScales(out[4:16], b.ls[:8], b.lm[:8])
	return getF16(out), getF16(out[2:])
}

// packFive stores the fifth bits, bit j of byte i that of code 32j+i, and nibbles.
func packFive(b []byte, codes *[superBlock]uint8) {
	high := b[:32]
	clear(high)
	for i, c := range codes {
		high[i%32] |= c >> 4 << (i / 32)
	}
	packNibbles(b[32:], codes)
}

func eachBlock(dst []byte, src, imatrix []float32, size int, f func(out []byte, x, v []float32)) {
	for i := 0; i < len(src); i += superBlock {
		f(dst[i/superBlock*size:][:size], src[i:i+superBlock], columns(imatrix, i))
	}
}

// columns returns the importances of the block that starts at element i of whole
// rows, nil for none.
func columns(imatrix []float32, i int) []float32 {
	if imatrix == nil {
		return nil
	}
	return imatrix[i%len(imatrix):][:superBlock]
}

// packScales stores 8 scales and 8 mins of 6 bits in 12 bytes.
func packScales(b []byte, ls, lm []uint8) {
	for j := range 4 {
		b[j] = ls[j] | ls[j+4]>>4<<6
		b[j+4] = lm[j] | lm[j+4]>>4<<6
		b[j+8] = ls[j+4]&15 | lm[j+4]<<4
	}
}

func unpackScales(b []byte) (ls, lm [8]uint8) {
	for j := range 4 {
		ls[j], lm[j] = b[j]&63, b[j+4]&63
		ls[j+4] = b[j+8]&15 | b[j]>>6<<4
		lm[j+4] = b[j+8]>>4 | b[j+4]>>6<<4
	}
	return ls, lm
}

// packNibbles stores, per 64 codes, the first 32 low and the second 32 high.
func packNibbles(b []byte, codes *[superBlock]uint8) {
	for i := range 128 {
		at := i/32*64 + i%32
		b[i] = codes[at]&15 | codes[at+32]<<4
	}
}

func decodeQ4K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[superBlock:], src[144:] {
		decodeScaled(dst, src, nil, src[16:144])
	}
}

func decodeQ5K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[superBlock:], src[176:] {
		decodeScaled(dst, src, src[16:48], src[48:176])
	}
}

func decodeScaled(dst []float32, src, high, low []byte) {
	d, m := getF16(src), getF16(src[2:])
	ls, lm := unpackScales(src[4:16])
	for j := range 8 {
		scale, least := float32(d*float32(ls[j])), float32(m*float32(lm[j]))
		nibbles, out := low[j/2*32:][:32], dst[j*32:][:32]
		for i, c := range nibbles {
			q := c >> (j % 2 * 4) & 15
			if high != nil {
				q |= high[i] >> j & 1 << 4
			}
			out[i] = float32(scale*float32(q)) - least
		}
	}
}
