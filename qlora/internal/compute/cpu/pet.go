package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// PET implements compute.Device. Each task sums one token's row in float64; the
// sums meet in token order.
func (d *Device) PET(loss, dh, h compute.Buffer, seq compute.Sequence, coef compute.Buffer, delta float32, n, cols int) {
	c := d.call("PET")
	total, in, g := c.f32("loss", loss, 1), c.f32("h", h, n*cols), c.maybe("dh", dh, n*cols)
	start, k := c.starts(seq, n), c.f32("coef", coef, 1)
	if !c.ok() || n < 3 {
		return
	}
	p := petPass{h: in, dh: g, start: start, coef: k[0], delta: delta, n: n, cols: cols}
	sums := make([]float64, n-2)
	d.pool.rows(n-2, cols, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			sums[t] = p.loss(t)
		}
	})
	if g != nil {
		d.pool.rows(n, 3*cols, func(_ *worker, lo, hi int) {
			for t := lo; t < hi; t++ {
				p.gradient(t)
			}
		})
	}
	s := 0.0
	for _, v := range sums {
		s += v
	}
	total[0] += float32(float64(k[0]) * s)
}

type petPass struct {
	h, dh       []float32
	start       []int32
	coef, delta float32
	n, cols     int
}

// inside reports whether tokens t..t+2 are a triple of one document.
func (p petPass) inside(t int) bool {
	return t >= 0 && t+2 < p.n && p.start[t] == p.start[t+2]
}

func (p petPass) second(t, k int) float32 {
	i := t*p.cols + k
	return p.h[i+2*p.cols] - 2*p.h[i+p.cols] + p.h[i]
}

func (p petPass) loss(t int) (s float64) {
	if !p.inside(t) {
		return 0
	}
	for k := range p.cols {
		s += huber(float64(p.second(t, k)), float64(p.delta))
	}
	return s
}

// huber is e², or with delta > 0 Huber's function (Annals of Mathematical
// Statistics 35, 1964).
func huber(e, delta float64) float64 {
	switch a := math.Abs(e); {
	case delta <= 0:
		return e * e
	case a <= delta:
		return e * e / 2
	default:
		return delta * (a - delta/2)
	}
}

// slope is the derivative of huber.
func (p petPass) slope(t, k int) float32 {
	e := p.second(t, k)
	if p.delta <= 0 {
		return 2 * e
	}
	return min(max(e, -p.delta), p.delta)
}

// gradient adds what the three triples that token t is part of give to its row.
func (p petPass) gradient(t int) {
	for i, f := range [3]float32{1, -2, 1} {
		if !p.inside(t - i) {
			continue
		}
		for k := range p.cols {
			p.dh[t*p.cols+k] += p.coef * f * p.slope(t-i, k)
		}
	}
}
