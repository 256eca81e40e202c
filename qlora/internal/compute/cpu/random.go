package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// stream is the key and step part of the counter; see compute.Philox.
type stream struct{ key, step [2]uint32 }

// uniform calls f with the uniform numbers of elements [lo, hi) of a site.
func (s *stream) uniform(site uint32, lo, hi int, f func(i int, u float32)) {
	for i := lo; i < hi; {
		w := compute.Philox([4]uint32{uint32(i / 4), s.step[0], s.step[1], site}, s.key)
		for ; i < hi; i++ {
			f(i, compute.Uniform(w[i%4]))
			if i%4 == 3 {
				i++
				break
			}
		}
	}
}

// dropout writes dst = src with each element zeroed with probability p and the
// others divided by 1-p, for elements [lo, hi) of a matrix.
func (s *stream) dropout(site uint32, p float32, dst, src []float32, lo, hi int) {
	keep := 1 / (1 - p)
	s.uniform(site, lo, hi, func(i int, u float32) {
		if u < p {
			dst[i] = 0
		} else {
			dst[i] = src[i] * keep
		}
	})
}
