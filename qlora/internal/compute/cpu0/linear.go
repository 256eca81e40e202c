package cpu0

import "github.com/borea-go/borea/qlora/internal/compute"

// gemvRows is the token count up to which dot products beat packing.
const gemvRows = 4

// Linear implements compute.Device.
func (d *Device) Linear(y, residual compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, u compute.Buffer, n int, rnd compute.Random) {
	wt, out := w.(*weight), fl(y)[:n*w.Rows()]
	add := residual != nil
	if add && residual != y {
		copy(out, fl(residual))
	}
	switch {
	case wt.format == compute.FormatInt8 && x.Q != nil:
		d.int8Product(out, x, wt, n, add)
	case n <= gemvRows:
		d.gemv(out, fl(x.X), wt, n, add)
	default:
		d.k.gemm(out, wt.rows, byLine{fl(x.X), wt.cols}, weightLines{wt}, n, wt.rows, wt.cols, add)
	}
	if ad != nil {
		d.adapt(out, fl(x.X), ad, fl(u), n, wt, rnd)
	}
}

// gemv computes each output row as a dot product with the stored weight.
func (d *Device) gemv(out, x []float32, w *weight, n int, add bool) {
	rows(w.rows, 64, func(lo, hi int) {
		s := scratchPool.Get().(*scratch)
		defer scratchPool.Put(s)
		s.t = grow(s.t, w.cols)
		for r := lo; r < hi; r++ {
			line := s.t
			if w.f != nil {
				line = w.f[r*w.cols : (r+1)*w.cols]
			} else {
				w.row(line, r)
			}
			for t := range n {
				put(&out[t*w.rows+r], d.k.dot(x[t*w.cols:(t+1)*w.cols], line), add)
			}
		}
	})
}

func put(dst *float32, v float32, add bool) {
	if add {
		v += *dst
	}
	*dst = v
}

// adapt adds scale·B(A dropout(x)) and leaves A dropout(x) in u.
func (d *Device) adapt(out, x []float32, ad *compute.Adapter, u []float32, n int, w *weight, rnd compute.Random) {
	x = dropout(x[:n*w.cols], ad, rnd)
	d.k.gemm(u, ad.R, byLine{x, w.cols}, byLine{fl(ad.A), w.cols}, n, ad.R, w.cols, false)
	d.k.gemm(out, w.rows, scaledLines{u, ad.R, ad.Scale}, byLine{fl(ad.B), ad.R}, n, w.rows, ad.R, true)
}

// scaledLines is byLine times a factor.
type scaledLines struct {
	x  []float32
	ld int
	s  float32
}

func (o scaledLines) pack(dst []float32, r0, n, p0, kc, w int) {
	for r := range n {
		for p, v := range o.x[(r0+r)*o.ld+p0:][:kc] {
			dst[p*w+r] = v * o.s
		}
	}
	padLines(dst, n, kc, w)
}

// LinearBackward implements compute.Device.
func (d *Device) LinearBackward(dx, dy compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, g compute.AdapterGrad, u compute.Buffer, n int, rnd compute.Random) {
	wt := w.(*weight)
	m, k := wt.rows, wt.cols
	if dx != nil {
		d.k.gemm(fl(dx), k, byLine{fl(dy), m}, weightDepth{wt}, n, k, m, false)
	}
	if ad == nil {
		return
	}
	du := make([]float32, n*ad.R)
	d.k.gemm(du, ad.R, scaledLines{fl(dy), m, ad.Scale}, byDepth{fl(ad.B), ad.R}, n, ad.R, m, false)
	d.k.gemm(fl(g.B), ad.R, scaledDepth{fl(dy), m, ad.Scale}, byDepth{fl(u), ad.R}, m, ad.R, n, true)
	xs := dropout(fl(x.X)[:n*k], ad, rnd)
	d.k.gemm(fl(g.A), k, byDepth{du, ad.R}, byDepth{xs, k}, ad.R, k, n, true)
	if dx == nil {
		return
	}
	if !dropping(ad, rnd) {
		d.k.gemm(fl(dx), k, byLine{du, ad.R}, byDepth{fl(ad.A), k}, n, k, ad.R, true)
		return
	}
	through := make([]float32, n*k)
	d.k.gemm(through, k, byLine{du, ad.R}, byDepth{fl(ad.A), k}, n, k, ad.R, false)
	through = dropout(through, ad, rnd)
	rows(n*k, 1<<15, func(lo, hi int) {
		mergeRow(fl(dx)[lo:hi], through[lo:hi], true)
	})
}

// scaledDepth is byDepth times a factor.
type scaledDepth struct {
	x  []float32
	ld int
	s  float32
}

func (o scaledDepth) pack(dst []float32, r0, n, p0, kc, w int) {
	for p := range kc {
		line := dst[p*w : (p+1)*w]
		for r, v := range o.x[(p0+p)*o.ld+r0:][:n] {
			line[r] = v * o.s
		}
		clear(line[n:])
	}
}
