package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// sumSpan is the number of squares that one task adds up, in float64.
const sumSpan = 16384

// SumSquares implements compute.Device: sums of spans, added in order.
func (d *Device) SumSquares(acc, x compute.Buffer) {
	c := d.call("SumSquares")
	in, to := c.f32("x", x, c.buffer("x", x).n), c.f32("acc", acc, 1)
	if !c.ok() {
		return
	}
	part := make([]float64, (len(in)+sumSpan-1)/sumSpan)
	d.pool.run(len(part), func(_ *worker, i int) {
		s := in[i*sumSpan : min(len(in), (i+1)*sumSpan)]
		part[i] = dotGo(s, s)
	})
	s := 0.0
	for _, v := range part {
		s += v
	}
	to[0] = float32(float64(to[0]) + s)
}

// ClipScale implements compute.Device.
func (d *Device) ClipScale(hyper, acc compute.Buffer, limit float32) {
	c := d.call("ClipScale")
	h, a := c.f32("hyper", hyper, compute.HyperCount), c.f32("acc", acc, 1)
	if !c.ok() {
		return
	}
	h[compute.HyperClip] = 1
	if norm := math.Sqrt(float64(a[0])); limit > 0 && norm > float64(limit) {
		h[compute.HyperClip] = float32(float64(limit) / norm)
	}
}

// adamStep is the constants of one update.
type adamStep struct {
	b1, b2, eps, lr, decay, bias1, bias2, clip float32
}

func newAdamStep(a compute.Adam, h []float32) adamStep {
	return adamStep{
		b1: a.Beta1, b2: a.Beta2, eps: a.Eps, lr: h[compute.HyperLR] * a.LRScale, decay: a.WeightDecay,
		bias1: h[compute.HyperBias1], bias2: h[compute.HyperBias2], clip: h[compute.HyperClip],
	}
}

// update returns the new parameter and moments of one element (Kingma and Ba,
// arXiv 1412.6980, algorithm 1; decoupled decay, arXiv 1711.05101). Products are
// rounded before they are added, so that every processor gives the same bits.
func (s adamStep) update(p, g, m, v float32) (np, nm, nv float32) {
	g = float32(g * s.clip)
	nm = float32(s.b1*m) + float32((1-s.b1)*g)
	nv = float32(s.b2*v) + float32((1-s.b2)*float32(g*g))
	step := nm / s.bias1 / (sqrt32(nv/s.bias2) + s.eps)
	return p - float32(s.lr*(step+float32(s.decay*p))), nm, nv
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// AdamW implements compute.Device.
func (d *Device) AdamW(p, g compute.Buffer, m compute.Moments, hyper compute.Buffer, a compute.Adam) {
	c := d.call("AdamW")
	n := c.buffer("p", p).n
	x, gr, h := c.f32("p", p, n), c.f32("g", g, n), c.f32("hyper", hyper, compute.HyperCount)
	if m.AbsM != nil || m.AbsV != nil {
		blocks := (n + adamBlock - 1) / adamBlock
		cm, cv := c.u8("M", m.M, n), c.u8("V", m.V, n)
		am, av := c.f32("AbsM", m.AbsM, blocks), c.f32("AbsV", m.AbsV, blocks)
		if c.ok() {
			d.adam8(x, gr, cm, cv, am, av, newAdamStep(a, h))
		}
		return
	}
	mm, vv := c.f32("M", m.M, n), c.f32("V", m.V, n)
	if !c.ok() {
		return
	}
	s := newAdamStep(a, h)
	d.pool.rows(n, 1, func(_ *worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			x[i], mm[i], vv[i] = s.update(x[i], gr[i], mm[i], vv[i])
		}
	})
}
