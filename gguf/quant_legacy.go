package gguf

import "encoding/binary"

// The types of 32 weights a block. Layouts and searches: ggml-quants.c,
// quantize_row_q4_0_ref and its neighbours.

// encodeQ8_0 stores d = amax/127 and x/d rounded half away from zero. An
// importance matrix has no effect, as in the reference.
func encodeQ8_0(dst []byte, src, _ []float32) {
	if vectorQ8_0(dst, src) {
		return
	}
	for ; len(src) > 0; src, dst = src[32:], dst[34:] {
		x := src[:32]
		d := abs32(signedAbsMax(x)) / 127
		id := inverse(d)
		putF16(dst, d)
		for i, v := range x {
			dst[2+i] = byte(roundAway(float32(v*id), id))
		}
	}
}

// roundAway rounds v half away from zero. Where the inverse scale overflowed the
// reference's conversion gives 0 on x86.
func roundAway(v, id float32) int8 {
	if isInf(id) {
		return 0
	}
	t := int32(v)
	switch diff := v - float32(t); {
	case diff >= 0.5:
		t++
	case diff <= -0.5:
		t--
	}
	return int8(t)
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
		d := getF16(src)
		for i, q := range src[2:34] {
			dst[i] = float32(float32(int8(q)) * d)
		}
	}
}

// An oldType is Q4_0 or Q5_0, coding x as d·(q-half) with the element of the largest
// magnitude at q = 0, or, with half 0, Q4_1 or Q5_1, coding x as d·q + min.
type oldType struct{ bytes, top, half int }

var (
	oldQ4_0 = oldType{18, 15, 8}
	oldQ4_1 = oldType{20, 15, 0}
	oldQ5_0 = oldType{22, 31, 16}
	oldQ5_1 = oldType{24, 31, 0}
)

func encodeQ4_0(dst []byte, src, imatrix []float32) { oldQ4_0.encode(dst, src, imatrix) }
func encodeQ4_1(dst []byte, src, imatrix []float32) { oldQ4_1.encode(dst, src, imatrix) }
func encodeQ5_0(dst []byte, src, imatrix []float32) { oldQ5_0.encode(dst, src, imatrix) }
func encodeQ5_1(dst []byte, src, imatrix []float32) { oldQ5_1.encode(dst, src, imatrix) }

func (t oldType) encode(dst []byte, src, imatrix []float32) {
	if vectorOld(t, dst, src, imatrix) {
		return
	}
	sigma2 := rowSquares(src, len(imatrix))
	var buf [32]float32
	for i := 0; i < len(src); i += 32 {
		var w []float32
		if imatrix != nil {
			w = buf[:]
			oldWeights(w, src[i:], imatrix[i%len(imatrix):], sigma2[i/len(imatrix)])
		}
		t.encodeBlock(dst[i/32*t.bytes:][:t.bytes], src[i:i+32], w)
	}
}

// rowSquares returns the mean square of each row, none for rows of 0.
func rowSquares(x []float32, row int) []float32 {
	if row == 0 {
		return nil
	}
	means := make([]float32, 0, len(x)/row)
	for ; len(x) > 0; x = x[row:] {
		means = append(means, sumSquares(x[:row])/float32(row))
	}
	return means
}

// oldWeights sets an element's weight to v·sqrt(σ²+x²), v its column's importance, σ²
// the mean square of the row.
func oldWeights(w, x, v []float32, sigma2 float32) {
	for j := range w {
		w[j] = float32(v[j] * sqrt32(sigma2+float32(x[j]*x[j])))
	}
}

// encodeBlock encodes 32 elements. w is nil without importance.
func (t oldType) encodeBlock(b []byte, x, w []float32) {
	var codes [32]uint8
	if t.half != 0 {
		t.encodeSymmetric(b, x, w, &codes)
		packLegacy(b[2:], &codes)
		return
	}
	t.encodeAffine(b, x, w, &codes)
	packLegacy(b[4:], &codes)
}

func (t oldType) encodeSymmetric(b []byte, x, w []float32, codes *[32]uint8) {
	if w != nil {
		putF16(b, searchSymmetric(t.half, x, w, codes[:]))
		return
	}
	d := signedAbsMax(x) / float32(-t.half)
	putF16(b, d)
	id := inverse(d)
	for j, v := range x {
		codes[j] = truncated(float32(v*id)+(float32(t.half)+0.5), t.top, id)
	}
}

func (t oldType) encodeAffine(b []byte, x, w []float32, codes *[32]uint8) {
	if w != nil {
		d, m := searchAffine(importance(t.top), x, w, codes[:])
		putF16(b, d)
		putF16(b[2:], -m)
		return
	}
	lo, hi := minMax(x)
	d := (hi - lo) / float32(t.top)
	putF16(b, d)
	putF16(b[2:], lo)
	id := inverse(d)
	for j, v := range x {
		codes[j] = truncated(float32((v-lo)*id)+0.5, t.top, id)
	}
}

// truncated converts to an integer of at most top. Where the inverse scale
// overflowed the reference's conversion gives 0 on x86.
func truncated(v float32, top int, id float32) uint8 {
	if isInf(id) {
		return 0
	}
	return uint8(min(top, int(v)))
}

func minMax(x []float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

// packLegacy stores the low nibbles, element j low and j+16 high in byte j, behind
// the fifth bits where b has room for them.
func packLegacy(b []byte, codes *[32]uint8) {
	if len(b) == 20 {
		var high uint32
		for j, c := range codes {
			high |= uint32(c>>4&1) << j
		}
		binary.LittleEndian.PutUint32(b, high)
		b = b[4:]
	}
	for j := range 16 {
		b[j] = codes[j]&15 | codes[j+16]<<4
	}
}

func unpackLegacy(b []byte) (codes [32]uint8) {
	var high uint32
	if len(b) == 20 {
		high = binary.LittleEndian.Uint32(b)
		b = b[4:]
	}
	for j := range 16 {
		codes[j] = b[j]&15 | uint8(high>>j&1)<<4
		codes[j+16] = b[j]>>4 | uint8(high>>(j+16)&1)<<4
	}
	return codes
}

func decodeQ4_0(dst []float32, src []byte) { decodeSymmetric(dst, src, 18, 8) }
func decodeQ5_0(dst []float32, src []byte) { decodeSymmetric(dst, src, 22, 16) }
func decodeQ4_1(dst []float32, src []byte) { decodeAffine(dst, src, 20) }
func decodeQ5_1(dst []float32, src []byte) { decodeAffine(dst, src, 24) }

func decodeSymmetric(dst []float32, src []byte, size, half int) {
	for ; len(dst) > 0; dst, src = dst[32:], src[size:] {
		d := getF16(src)
		for j, c := range unpackLegacy(src[2:size]) {
			dst[j] = float32(float32(int(c)-half) * d)
		}
	}
}

func decodeAffine(dst []float32, src []byte, size int) {
	for ; len(dst) > 0; dst, src = dst[32:], src[size:] {
		d, m := getF16(src), getF16(src[2:])
		for j, c := range unpackLegacy(src[4:size]) {
			dst[j] = float32(float32(c)*d) + m
		}
	}
}
