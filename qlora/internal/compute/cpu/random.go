package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// stream is the key and step part of the counter; see compute.Philox.
type stream struct{ key, step [2]uint32 }

// philoxGo fills dst with the uniform numbers of counters from first on, four
// each; len(dst) is a multiple of 64.
func philoxGo(dst []float32, s *stream, site, first uint32) {
	for i := 0; i < len(dst); i += 4 {
		w := s.words(site, first+uint32(i/4))
		for j, v := range w {
			dst[i+j] = compute.Uniform(v)
		}
	}
}

// words is the random words of one counter.
func (s *stream) words(site, counter uint32) [4]uint32 {
	return compute.Philox([4]uint32{counter, s.step[0], s.step[1], site}, s.key)
}

// wordsGo fills dst with the words of counters from first on; len(dst) is a
// multiple of 64.
func wordsGo(dst []uint32, s *stream, site, first uint32) {
	for i := 0; i < len(dst); i += 4 {
		w := s.words(site, first+uint32(i/4))
		copy(dst[i:], w[:])
	}
}

// keepGo writes, or adds, src·factor where u >= p, 0 elsewhere.
func keepGo(dst, src, u []float32, p, factor float32, add bool) {
	for i, v := range u {
		x := float32(0)
		if v >= p {
			x = float32(src[i] * factor)
		}
		if add {
			x += dst[i]
		}
		dst[i] = x
	}
}

// uniformSpan is how many numbers are made at once.
const uniformSpan = 1024

// uniform calls f with spans of the uniform numbers of elements [lo, hi).
func (d *Device) uniform(s *stream, site uint32, lo, hi int, f func(lo, hi int, u []float32)) {
	var buf [uniformSpan + 64]float32
	for lo < hi {
		n := min(uniformSpan, hi-lo)
		skip := lo % 4
		d.kern.philox(buf[:roundUp(n+skip, 64)], s, site, uint32(lo/4))
		f(lo, lo+n, buf[skip:skip+n])
		lo += n
	}
}

// drop writes, or adds, src with each element zeroed with probability p and the
// others divided by 1-p, for elements [lo, hi) of a matrix.
func (d *Device) drop(p *pair, dst, src []float32, lo, hi int, add bool) {
	d.uniform(p.rnd, p.site, lo, hi, func(lo, hi int, u []float32) {
		d.kern.keep(dst[lo:hi], src[lo:hi], u, p.drop, 1/(1-p.drop), add)
	})
}
