package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// requantised computes dx = dy W of an int8 weight as an int8 product: the
// weight's scales are folded into dy, which is quantised a token, and W is turned
// on the way. Rounding is stochastic where there is a stream, as unbiased
// gradients need (arXiv 2306.11987), and to nearest else.
func (d *Device) requantised(dx, dy []float32, c *codes, n int, rnd *stream, site uint32) {
	k, wide := d.kern.ints, 4*c.depthWords()
	ld := k.apart(wide)
	a, s := d.scratch.raised((n+k.mr)*ld), d.scratch.floats(slotD, n)
	d.pool.rows(n, 4*c.rows, func(w *worker, lo, hi int) {
		q := w.scratch.bytes(wide)
		for t := lo; t < hi; t++ {
			s[t] = d.foldCodes(q[:c.rows], dy[t*c.rows:(t+1)*c.rows], c.scale, rnd, site|compute.SiteRounding, t*c.rows)
			d.kern.raise(a[t*ld:t*ld+wide], q, k.mask())
		}
	})
	d.multiplyInt8(intProduct{
		m: n, lanes: c.cols, words: c.depthWords(), a: a, lda: ld, right: d.turned(c), start: c.colStart, s: s, y: dx,
	})
}

// foldCodes writes the codes of x·scale, whose first element has index first in its
// matrix, and returns their scale.
func (d *Device) foldCodes(q []int8, x, scale []float32, rnd *stream, site uint32, first int) float32 {
	m := math.Float32frombits(d.kern.foldMax(x, scale))
	inv, ok := inverse(m)
	switch {
	case !ok:
		clear(q)
	case rnd == nil:
		d.kern.foldRound(q, x, scale, inv, nil, 0)
	default:
		var random [roundSpan/2 + 64]uint32
		for i := 0; i < len(q); i += roundSpan {
			j, skip := min(i+roundSpan, len(q)), (first+i)%8
			words := random[:roundUp((j-i+skip+1)/2, 64)]
			d.kern.words(words, rnd, site, uint32((first+i)/8))
			d.kern.foldRound(q[i:j], x[i:j], scale[i:j], inv, words, skip)
		}
	}
	return m / 127
}

// roundSpan is how many numbers are rounded with one batch of random words.
const roundSpan = 1024

// foldMaxGo is the largest magnitude of x·scale, as its bits.
func foldMaxGo(x, scale []float32) (top uint32) {
	for i, v := range x {
		top = max(top, math.Float32bits(v*scale[i])&^(1<<31))
	}
	return top
}

// foldRoundGo writes x·scale·inv rounded: to nearest, or up with the probability of
// the fraction, number i by half word skip+i of random.
func foldRoundGo(q []int8, x, scale []float32, inv float32, random []uint32, skip int) {
	for i, v := range x {
		r := float32(float32(v*scale[i]) * inv)
		if random == nil {
			q[i] = int8(math.RoundToEven(float64(r)))
			continue
		}
		at := skip + i
		u := float32((float32(random[at/2]>>(16*(at%2))&0xffff) + 0.5) * (1.0 / 65536))
		q[i] = int8(max(-128, min(127, math.Floor(float64(r+u)))))
	}
}
