//go:build !noasm

package cpu

import "unsafe"

// uniforms512 is philoxGo, 64 numbers a turn.
func uniforms512(dst []float32, s *stream, site, first uint32) {
	if keys := s.keys(); len(dst) >= 64 {
		philox512(unsafe.Pointer(&dst[0]), len(dst)/64, &keys, first, s.step[0], s.step[1], site, false)
	}
}

// words512 is wordsGo, 64 words a turn.
func words512(dst []uint32, s *stream, site, first uint32) {
	if keys := s.keys(); len(dst) >= 64 {
		philox512(unsafe.Pointer(&dst[0]), len(dst)/64, &keys, first, s.step[0], s.step[1], site, true)
	}
}

// keys is the key of each round.
func (s *stream) keys() (keys [20]uint32) {
	k := s.key
	for i := 0; i < len(keys); i += 2 {
		keys[i], keys[i+1] = k[0], k[1]
		k[0] += 0x9E3779B9
		k[1] += 0xBB67AE85
	}
	return keys
}

// keepDropped512 is keepGo.
func keepDropped512(dst, src, u []float32, p, factor float32, add bool) {
	if len(u) == 0 {
		return
	}
	_, _ = dst[:len(u)], src[:len(u)]
	keep512(&dst[0], &src[0], &u[0], len(u), p, factor, add)
}

//go:noescape
func philox512(dst unsafe.Pointer, groups int, keys *[20]uint32, counter, step0, step1, site uint32, raw bool)

//go:noescape
func keep512(dst, src, u *float32, n int, p, factor float32, add bool)
