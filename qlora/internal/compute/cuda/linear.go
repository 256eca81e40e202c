//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// pair is the checked content of a compute.Adapter.
type pair struct {
	a, b  uint64 // F32 [r, in], [out, r]
	r     int
	scale float32
	drop  float32
	site  uint32
	state uint64 // 0 when nothing is dropped
	known bool   // the inner vector is there
}

func (c call) pair(ad *compute.Adapter, w *weight, state uint64) *pair {
	if ad == nil || !c.ok() {
		return nil
	}
	if ad.R < 1 || ad.Dropout < 0 || ad.Dropout >= 1 {
		c.failf("adapter of rank %d with dropout %v", ad.R, ad.Dropout)
		return nil
	}
	p := &pair{r: ad.R, scale: ad.Scale, drop: ad.Dropout, site: ad.Site, known: ad.Known}
	p.a, p.b = c.f32("adapter A", ad.A, ad.R*w.cols), c.f32("adapter B", ad.B, w.rows*ad.R)
	if ad.Dropout > 0 {
		p.state = state
	}
	return p
}

// factor returns f·m as Real in scratch memory, transposed if asked.
func (c call) factor(m uint64, rows, cols int, f float32, transposed bool) uint64 {
	d := c.d
	out := d.temporary(rows * cols * d.real.Size())
	a := &driver.Args{}
	if transposed {
		d.launch(typed("cast_transposed", d.real), driver.Grid{X: ceil(cols, 32), Y: ceil(rows, 32), Z: 1}, 256, 0,
			a.Ptr(out).Ptr(m).Int(rows, cols).Float(f))
		return out
	}
	d.flat(typed("cast", d.real), rows*cols, a.Ptr(out).Ptr(m).Ptr(uint64(rows*cols)).Float(f))
	return out
}

// dropped returns x itself or its copy with the adapter's dropout applied.
func (c call) dropped(x uint64, n, cols int, p *pair) uint64 {
	if p.state == 0 {
		return x
	}
	out := c.d.temporary(n * cols * c.d.real.Size())
	c.d.drop(out, x, n*cols, p, false)
	return out
}

func (d *Device) drop(out, x uint64, n int, p *pair, add bool) {
	a := &driver.Args{}
	a.Ptr(out).Ptr(x).Ptr(uint64(n)).Ptr(p.state).Int(int(int32(p.site))).Float(p.drop).Float(1 / (1 - p.drop)).Int(flag(add))
	d.flat(typed("drop", d.real), ceil(n, 4), a)
}

// Linear implements compute.Device. The adapter's second product is part of the
// base product's last step where the kernels allow.
func (d *Device) Linear(y, residual compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, u compute.Buffer, n int, rnd compute.Random) {
	c := d.call("Linear")
	wt, state := c.weight("w", w), c.random(rnd)
	if !c.ok() {
		return
	}
	in := c.activation("x", x, n, wt.cols)
	p := left{y: c.real("y", y, n*wt.rows), typ: d.real, residual: c.maybe("residual", residual, n*wt.rows), m: n, n: wt.rows, k: wt.cols}
	ap := c.pair(ad, wt, state)
	if ap != nil {
		p.u, p.r = c.real("u", u, n*ap.r), ap.r
	}
	if !c.ok() || n == 0 {
		return
	}
	if wt.format != compute.FormatInt8 {
		d.expect(wt, d.wideBytes(wt), ap, n)
	}
	if ap != nil {
		if !ap.known {
			c.inner(p.u, in.x, wt, ap, n)
		}
		p.v = c.factor(ap.b, wt.rows, ap.r, ap.scale, false)
	}
	if wt.format == compute.FormatInt8 {
		in = c.coded(in, n, wt.cols)
		p.x = in.q
		d.productInt8(p, in.s, wt.w, wt.scale)
		return
	}
	p.x, p.ld = in.x, wt.cols
	d.productNT(p, c.wide(wt))
}

// inner computes u = dropout(x) Aᵀ.
func (c call) inner(u, x uint64, w *weight, p *pair, n int) {
	d := c.d
	defer d.scratch.back(d.scratch.depth())
	a := c.factor(p.a, p.r, w.cols, 1, false)
	d.productNT(left{y: u, typ: d.real, x: c.dropped(x, n, w.cols, p), ld: w.cols, m: n, n: p.r, k: w.cols}, a)
}

// expect prepares scratch memory for most bytes and what an adapter takes beside.
func (d *Device) expect(w *weight, most int, p *pair, n int) {
	if p != nil {
		most += (n + w.rows + w.cols) * p.r * d.real.Size()
	}
	d.run(d.scratch.expect(most + 8*n))
}

// coded returns x with its codes, made in scratch memory where it has none.
func (c call) coded(x activation, n, cols int) activation {
	if x.q != 0 {
		return x
	}
	x.q, x.s = c.d.temporary(n*cols), c.d.temporary(4*n)
	c.d.rows(typed("quantise", c.d.real), n, (&driver.Args{}).Ptr(x.q).Ptr(x.s).Ptr(x.x).Int(cols, vec(cols, x.q, x.x)))
	return x
}

// LinearBackward implements compute.Device: with s the scale, dB += s dyᵀu,
// du = s dy B, dA += duᵀ dropout(x), dx = dy W + dropout'(du A).
func (d *Device) LinearBackward(dx, dy compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, g compute.AdapterGrad, u compute.Buffer, n int, rnd compute.Random) {
	c := d.call("LinearBackward")
	wt, state := c.weight("w", w), c.random(rnd)
	if !c.ok() {
		return
	}
	p := left{y: c.maybe("dx", dx, n*wt.cols), typ: d.real, x: c.real("dy", dy, n*wt.rows), ld: wt.rows, m: n, n: wt.cols, k: wt.rows}
	ap := c.pair(ad, wt, state)
	site := uint32(compute.SiteRounding)
	if d.canRequantise(wt) {
		d.expect(wt, wt.rows*(n+wt.cols), ap, n)
	} else {
		d.expect(wt, d.wideBytes(wt), ap, n)
	}
	if ap != nil {
		site |= ap.site
		du := c.adapterBackward(p.x, x, wt, ap, g, u, n)
		if ap.state == 0 {
			p.u, p.r = du, ap.r
		} else if p.y != 0 {
			defer c.throughDropout(p.y, du, wt, ap, n)
		}
	}
	if !c.ok() || n == 0 || p.y == 0 {
		return
	}
	if p.r > 0 {
		p.v = c.factor(ap.a, ap.r, wt.cols, 1, true)
	}
	if d.canRequantise(wt) && aligned(p.x, p.y) && p.r%8 == 0 && p.r <= 64 {
		c.requantised(p, wt, state, site)
		return
	}
	d.productNN(p, c.wide(wt))
}

// adapterBackward adds to the adapter's gradients and returns du.
func (c call) adapterBackward(dy uint64, x compute.Activation, w *weight, p *pair, g compute.AdapterGrad, u compute.Buffer, n int) uint64 {
	d := c.d
	in, inner := c.real("x.X", x.X, n*w.cols), c.real("u", u, n*p.r)
	ga, gb := c.f32("gradient of A", g.A, p.r*w.cols), c.f32("gradient of B", g.B, w.rows*p.r)
	if !c.ok() || n == 0 {
		return 0
	}
	du := d.temporary(n * p.r * d.real.Size())
	defer d.scratch.back(d.scratch.depth())
	b := c.factor(p.b, w.rows, p.r, p.scale, true)
	d.productNT(left{y: du, typ: d.real, x: dy, ld: w.rows, m: n, n: p.r, k: w.rows}, b)
	c.addOuter(gb, dy, inner, w.rows, p.r, n, p.scale)
	c.addOuter(ga, du, c.dropped(in, n, w.cols, p), p.r, w.cols, n, 1)
	return du
}

// throughDropout adds dropout'(du A) to dx.
func (c call) throughDropout(dx, du uint64, w *weight, p *pair, n int) {
	d := c.d
	if !c.ok() {
		return
	}
	t := d.temporary(n * w.cols * d.real.Size())
	a := c.factor(p.a, p.r, w.cols, 1, true)
	d.productNT(left{y: t, typ: d.real, x: du, ld: p.r, m: n, n: w.cols, k: p.r}, a)
	d.drop(dx, t, n*w.cols, p, true)
}

// canRequantise reports whether an int8 weight can carry a gradient in int8.
func (d *Device) canRequantise(w *weight) bool {
	unit := 16
	if d.hopper {
		unit = 128
	}
	return d.real == compute.BF16 && d.opts.InputGrad == "int8" && w.format == compute.FormatInt8 &&
		w.rows%unit == 0 && w.cols%unit == 0 && w.rows <= 16384
}

// requantised computes p.y = dy W + ..., p.x being dy: the weight's scales are
// folded into dy, which is quantised a token, and W is transposed in scratch.
func (c call) requantised(p left, w *weight, random uint64, site uint32) {
	d := c.d
	defer d.scratch.back(d.scratch.depth())
	q, s := d.temporary(p.m*p.k), d.temporary(4*p.m)
	wt := d.temporary(w.rows * w.cols)
	fold := (&driver.Args{}).Ptr(p.x).Ptr(w.scale).Ptr(q).Ptr(s).Int(p.m, p.k).Ptr(random).Int(int(int32(site)))
	across := driver.Grid{X: ceil(w.cols, 128), Y: ceil(w.rows, 128), Z: 1}
	d.rows("fold_quantise", p.m, fold)
	if d.hopper {
		d.launch("gemm_transpose_s8", across, 256, 0, (&driver.Args{}).Ptr(w.w).Ptr(wt).Int(w.rows, w.cols))
	} else {
		d.launch("transpose_i8", across, 256, 0, (&driver.Args{}).Ptr(wt).Ptr(w.w).Int(w.rows, w.cols))
	}
	p.x = q
	d.productInt8(p, s, wt, 0)
}
