package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Embed implements compute.Device. Element (t, k) of the noise is t·C+k.
func (d *Device) Embed(h compute.Buffer, table compute.Weight, ids compute.Buffer, n int, alpha float32, seq compute.Sequence, rnd compute.Random) {
	c := d.call("Embed")
	w, key := c.weight("table", table), c.random(rnd)
	if !c.ok() {
		return
	}
	out, id := c.f32("h", h, n*w.cols), c.indices("ids", ids, n, w.rows)
	var length []int32
	if alpha > 0 && key != nil {
		length = documents(c.starts(seq, n))
	}
	if !c.ok() {
		return
	}
	d.pool.rows(n, w.cols, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			w.row(out[t*w.cols:(t+1)*w.cols], int(id[t]))
			if length == nil {
				continue
			}
			a := alpha / float32(math.Sqrt(float64(length[t])*float64(w.cols)))
			d.uniform(key, compute.SiteNEFTune, t*w.cols, (t+1)*w.cols, func(lo, _ int, u []float32) {
				for i, v := range u {
					out[lo+i] += float32(a * (2*v - 1))
				}
			})
		}
	})
}

// starts returns seq.Start, checked: a token begins a document or continues that
// of the token before.
func (c call) starts(seq compute.Sequence, n int) []int32 {
	s := c.i32("seq.Start", seq.Start, n)
	for t, v := range s {
		if int(v) != t && (t == 0 || v != s[t-1]) {
			c.failf("seq.Start[%d] is %d: neither a new document nor that of the token before", t, v)
			return nil
		}
	}
	return s
}

// documents returns the length of each token's document.
func documents(start []int32) []int32 {
	length := make([]int32, len(start))
	for t := len(start) - 1; t >= 0; t-- {
		if t+1 < len(start) && start[t+1] == start[t] {
			length[t] = length[t+1]
		} else {
			length[t] = int32(t) - start[t] + 1
		}
	}
	return length
}

// RMSNorm implements compute.Device.
func (d *Device) RMSNorm(out compute.Activation, rstd, x, w compute.Buffer, n int, eps float32) {
	c := d.call("RMSNorm")
	gain := c.buffer("w", w)
	cols := gain.n
	g, in, r, y := c.f32("w", w, cols), c.f32("x", x, n*cols), c.f32("rstd", rstd, n), c.activation("out", out, n, cols)
	if !c.ok() {
		return
	}
	d.pool.rows(n, cols, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			row, dst := in[t*cols:(t+1)*cols], y.x[t*cols:(t+1)*cols]
			s := 1 / math.Sqrt(dotGo(row, row)/float64(cols)+float64(eps))
			r[t] = float32(s)
			for k, v := range row {
				dst[k] = v * r[t] * g[k]
			}
		}
		d.quantise(y, cols, lo, hi)
	})
}

// dotGo sums in float64, in four interleaved parts.
func dotGo(a, b []float32) float64 {
	var s [4]float64
	n := len(a) &^ 3
	for i := 0; i < n; i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s[0] += float64(x[0]) * float64(y[0])
		s[1] += float64(x[1]) * float64(y[1])
		s[2] += float64(x[2]) * float64(y[2])
		s[3] += float64(x[3]) * float64(y[3])
	}
	for i := n; i < len(a); i++ {
		s[i-n] += float64(a[i]) * float64(b[i])
	}
	return s[0] + s[1] + s[2] + s[3]
}

// RMSNormBackward implements compute.Device: with g = dout·w,
// dx += rstd·g - rstd³/C·x·Σ g x.
func (d *Device) RMSNormBackward(dx, dout, x, w, rstd compute.Buffer, n int) {
	c := d.call("RMSNormBackward")
	cols := c.buffer("w", w).n
	gain, in, r := c.f32("w", w, cols), c.f32("x", x, n*cols), c.f32("rstd", rstd, n)
	gout, gin := c.f32("dout", dout, n*cols), c.f32("dx", dx, n*cols)
	if !c.ok() {
		return
	}
	d.pool.rows(n, 2*cols, func(w *worker, lo, hi int) {
		g := w.scratch.floats(slotTile, cols)
		for t := lo; t < hi; t++ {
			row, to := in[t*cols:(t+1)*cols], gin[t*cols:(t+1)*cols]
			for k, v := range gout[t*cols : (t+1)*cols] {
				g[k] = v * gain[k]
			}
			s := float64(r[t])
			f := float32(s * s * s * dotGo(g, row) / float64(cols))
			for k, v := range g {
				to[k] += r[t]*v - f*row[k]
			}
		}
	})
}

// SwiGLU implements compute.Device.
func (d *Device) SwiGLU(out compute.Activation, gu compute.Buffer, n, f int) {
	c := d.call("SwiGLU")
	in, y := c.f32("gu", gu, 2*n*f), c.activation("out", out, n, f)
	if !c.ok() {
		return
	}
	d.pool.rows(n, 2*f, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			row := in[2*t*f : 2*(t+1)*f]
			d.kern.swiglu(y.x[t*f:(t+1)*f], row[:f], row[f:])
		}
		d.quantise(y, f, lo, hi)
	})
}

// SwiGLUBackward implements compute.Device.
func (d *Device) SwiGLUBackward(dgu, dm, gu compute.Buffer, n, f int) {
	c := d.call("SwiGLUBackward")
	in, g, out := c.f32("gu", gu, 2*n*f), c.f32("dm", dm, n*f), c.f32("dgu", dgu, 2*n*f)
	if !c.ok() {
		return
	}
	d.pool.rows(n, 4*f, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			row, to := in[2*t*f:2*(t+1)*f], out[2*t*f:2*(t+1)*f]
			d.kern.swigluBack(to[:f], to[f:], g[t*f:(t+1)*f], row[:f], row[f:])
		}
	})
}
