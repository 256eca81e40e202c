package gguf

// encodeQ6K codes 16 sub-blocks of 16 with signed 8-bit scales.
func encodeQ6K(dst []byte, src, imatrix []float32) {
	if !vectorQ6K(dst, src, imatrix) {
		eachBlock(dst, src, imatrix, 210, encodeBlockQ6K)
	}
}

func encodeBlockQ6K(out []byte, x, v []float32) {
	var codes [superBlock]uint8
	var scales [16]float32
	for j := range scales {
		var w []float32
		if v != nil {
			w = v[j*16 : (j+1)*16]
		}
		scales[j] = searchSymmetric(32, x[j*16:(j+1)*16], w, codes[j*16:(j+1)*16])
	}
	clear(out)
	top := signedAbsMax(scales[:])
	if abs32(top) < epsilon {
		return
	}
	inv := -128 / top
	putF16(out[208:], 1/inv)
	for j, s := range scales {
		out[192+j] = byte(int8(min(127, nearest(float32(inv*s)))))
	}
	d := getF16(out[208:])
	for j := range scales {
		scale := float32(d * float32(int8(out[192+j])))
		if scale == 0 {
			continue
		}
		for i, f := range x[j*16 : (j+1)*16] {
			codes[j*16+i] = uint8(clampSymmetric(32, f/scale) + 32)
		}
	}
	packQ6K(out, &codes)
}

// packQ6K stores low nibbles in bytes 0-127 and high bits in 128-191: per 128
// codes, bytes l hold codes l, l+32, l+64 and l+96.
func packQ6K(out []byte, codes *[superBlock]uint8) {
	for half := range 2 {
		q, low, high := codes[half*128:], out[half*64:], out[128+half*32:]
		for l := range 32 {
			low[l] = q[l]&15 | q[l+64]<<4
			low[l+32] = q[l+32]&15 | q[l+96]<<4
			high[l] = q[l]>>4 | q[l+32]>>4<<2 | q[l+64]>>4<<4 | q[l+96]>>4<<6
		}
	}
}

func decodeQ6K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[superBlock:], src[210:] {
		d := getF16(src[208:])
		for i := range superBlock {
			half, part, l := i/128, i/32%4, i%32
			low := src[half*64+part%2*32+l] >> (part / 2 * 4) & 15
			high := src[128+half*32+l] >> (part * 2) & 3
			scale := float32(d * float32(int8(src[192+i/16])))
			dst[i] = float32(scale * float32(int(low|high<<4)-32))
		}
	}
}
