package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// pair is the checked content of a compute.Adapter.
type pair struct {
	a, b  []float32
	r     int
	scale float32
	drop  float32
	site  uint32
	rnd   *stream // nil when nothing is dropped
	known bool    // the inner vector is there
}

func (c call) pair(ad *compute.Adapter, w *weight, rnd *stream) *pair {
	if ad == nil || w == nil {
		return nil
	}
	if ad.R < 1 || ad.Dropout < 0 || ad.Dropout >= 1 {
		c.failf("adapter of rank %d with dropout %v", ad.R, ad.Dropout)
		return nil
	}
	p := &pair{r: ad.R, scale: ad.Scale, drop: ad.Dropout, site: ad.Site, known: ad.Known}
	p.a, p.b = c.f32("adapter A", ad.A, ad.R*w.cols), c.f32("adapter B", ad.B, w.rows*ad.R)
	if ad.Dropout > 0 {
		p.rnd = rnd
	}
	return p
}

// Linear implements compute.Device.
func (d *Device) Linear(y, residual compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, u compute.Buffer, n int, rnd compute.Random) {
	c := d.call("Linear")
	wt, key := c.weight("w", w), c.random(rnd)
	if !c.ok() {
		return
	}
	in, out, res := c.activation("x", x, n, wt.cols), c.f32("y", y, n*wt.rows), c.maybe("residual", residual, n*wt.rows)
	p := c.pair(ad, wt, key)
	var inner []float32
	if p != nil {
		inner = c.f32("u", u, n*p.r)
	}
	if !c.ok() || n == 0 {
		return
	}
	if res != nil && &res[0] != &out[0] {
		d.pool.rows(n, wt.rows, func(_ *worker, lo, hi int) {
			copy(out[lo*wt.rows:hi*wt.rows], res[lo*wt.rows:])
		})
	}
	left := d.base(out, in, wt, n, res != nil)
	if p != nil {
		d.lowRank(out, inner, in.x, wt, p, n, left)
	}
}

// base computes y = x Wᵀ, or adds it, and returns x as the left side of a product
// if it was one.
func (d *Device) base(y []float32, x activation, w *weight, n int, add bool) (left *leftSide) {
	switch {
	case w.format == compute.FormatInt8:
		d.baseInt8(y, x, w, n, add)
	case n > fewTokens && w.h != nil && w.cols%2 == 0 && d.kern.sweepBF16 != nil:
		d.baseBF16(y, x.x, w, n, add)
	case n <= fewTokens:
		d.baseFew(y, x.x, w, n, add)
	default:
		p := product{m: n, n: w.rows, k: w.cols, a: byLane(x.x, w.cols), b: w.lanes(), c: y, ldc: w.rows, alpha: 1, add: add}
		l := d.leftOf(p)
		d.multiplyLeft(p, l)
		left = &l
	}
	return left
}

// baseFew reads the weight as it lies, once: decoding.
func (d *Device) baseFew(y, x []float32, w *weight, n int, add bool) {
	d.pool.rows(w.rows, n*w.cols, func(wk *worker, lo, hi int) {
		sums, row := wk.scratch.floats(slotTile, hi-lo), wk.scratch.floats(slotN, w.cols)
		for t := range n {
			d.dotRows(sums, x[t*w.cols:(t+1)*w.cols], w, lo, row)
			to := y[t*w.rows+lo : t*w.rows+hi]
			for i, v := range sums {
				if add {
					v += to[i]
				}
				to[i] = v
			}
		}
	})
}

// dotRows multiplies x by consecutive rows of w from lo on.
func (d *Device) dotRows(y, x []float32, w *weight, lo int, widened []float32) {
	at := lo * w.cols
	switch {
	case w.f != nil:
		d.kern.dots(y, x, w.f[at:], w.cols)
	case w.h != nil:
		d.kern.dotsBF16(y, x, w.h[at:])
	case w.n != nil:
		for i := range y {
			w.n.read(widened, lo+i, 0)
			y[i] = d.kern.dot(x, widened)
		}
	default:
		for i := range y {
			y[i] = d.kern.dotI8(x, w.q[at+i*w.cols:][:w.cols]) * w.scale[lo+i]
		}
	}
}

// lowRank computes u = dropout(x) Aᵀ, unless it is known, and adds scale·u Bᵀ to y. left is x, or nil.
func (d *Device) lowRank(y, u, x []float32, w *weight, p *pair, n int, left *leftSide) {
	down := product{m: n, n: p.r, k: w.cols, b: byLane(p.a, w.cols), c: u, ldc: p.r, alpha: 1}
	switch {
	case p.known:
	case left == nil || p.rnd != nil:
		down.a = byLane(d.dropped(x, w.cols, p, n), w.cols)
		d.multiply(down)
	default:
		d.multiplyLeft(down, *left)
	}
	d.multiply(product{m: n, n: w.rows, k: p.r, a: byLane(u, p.r), b: byLane(p.b, p.r), c: y, ldc: w.rows, alpha: p.scale, add: true})
}

// dropped returns x itself or its copy with the adapter's dropout applied.
func (d *Device) dropped(x []float32, cols int, p *pair, n int) []float32 {
	if p.rnd == nil {
		return x
	}
	dst := d.scratch.floats(slotX, n*cols)
	d.pool.rows(n, 4*cols, func(_ *worker, lo, hi int) {
		d.drop(p, dst, x, lo*cols, hi*cols, false)
	})
	return dst
}

// LinearBackward implements compute.Device.
func (d *Device) LinearBackward(dx, dy compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, g compute.AdapterGrad, u compute.Buffer, n int, rnd compute.Random) {
	c := d.call("LinearBackward")
	wt, key := c.weight("w", w), c.random(rnd)
	if !c.ok() {
		return
	}
	gout, gin := c.f32("dy", dy, n*wt.rows), c.maybe("dx", dx, n*wt.cols)
	p := c.pair(ad, wt, key)
	var in, inner, ga, gb []float32
	if p != nil {
		in, inner = c.f32("x.X", x.X, n*wt.cols), c.f32("u", u, n*p.r)
		ga, gb = c.f32("gradient of A", g.A, p.r*wt.cols), c.f32("gradient of B", g.B, wt.rows*p.r)
	}
	if !c.ok() || n == 0 {
		return
	}
	if gin == nil && p == nil {
		return
	}
	down := product{m: n, n: wt.cols, k: wt.rows, a: byLane(gout, wt.rows), b: wt.depth(), c: gin, ldc: wt.cols, alpha: 1}
	left := d.leftOf(down)
	switch {
	case gin != nil && wt.codes != nil && d.intGrad:
		var site uint32
		if p != nil {
			site = p.site
		}
		d.requantised(gin, gout, wt.codes, n, key, site)
	case gin != nil:
		d.multiplyLeft(down, left)
	}
	if p != nil {
		d.lowRankBackward(gin, gout, in, inner, ga, gb, wt, p, n, left)
	}
}

// lowRankBackward adds to the adapter's gradients and, unless dx is nil, to dx:
// with s the scale, dB += s dyᵀu, du = s dy B, dA += duᵀ dropout(x),
// dx += dropout'(du A). left is dy.
func (d *Device) lowRankBackward(dx, dy, x, u, ga, gb []float32, w *weight, p *pair, n int, left leftSide) {
	du := d.scratch.floats(slotU, n*p.r)
	d.multiplyLeft(product{m: n, n: p.r, k: w.rows, b: byDepth(p.b, p.r), c: du, ldc: p.r, alpha: p.scale}, left)
	d.multiply(product{m: w.rows, n: p.r, k: n, a: byDepth(dy, w.rows), b: byDepth(u, p.r), c: gb, ldc: p.r, alpha: p.scale, add: true})
	in := d.dropped(x, w.cols, p, n)
	d.multiply(product{m: p.r, n: w.cols, k: n, a: byDepth(du, p.r), b: byDepth(in, w.cols), c: ga, ldc: w.cols, alpha: 1, add: true})
	if dx == nil {
		return
	}
	back := product{m: n, n: w.cols, k: p.r, a: byLane(du, p.r), b: byDepth(p.a, w.cols), c: dx, ldc: w.cols, alpha: 1, add: true}
	if p.rnd == nil {
		d.multiply(back)
		return
	}
	back.c, back.add = d.scratch.floats(slotX, n*w.cols), false
	d.multiply(back)
	d.pool.rows(n, 4*w.cols, func(_ *worker, lo, hi int) {
		d.drop(p, dx, back.c, lo*w.cols, hi*w.cols, true)
	})
}
