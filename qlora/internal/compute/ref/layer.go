package ref

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Embed implements compute.Device.
func (d *Device) Embed(h compute.Buffer, table compute.Weight, ids compute.Buffer, n int, _ float32, _ compute.Sequence, _ compute.Random) {
	w := table.(*weight)
	for t := range n {
		copy(fl(h)[t*w.cols:(t+1)*w.cols], w.w[int(in(ids)[t])*w.cols:])
	}
}

// RMSNorm implements compute.Device.
func (d *Device) RMSNorm(out compute.Activation, rstd, x, w compute.Buffer, n int, eps float32) {
	c := w.Len()
	for t := range n {
		row, s := fl(x)[t*c:(t+1)*c], 0.0
		for _, v := range row {
			s += v * v
		}
		r := 1 / math.Sqrt(s/float64(c)+float64(eps))
		fl(rstd)[t] = r
		for k, v := range row {
			fl(out.X)[t*c+k] = v * r * fl(w)[k]
		}
	}
}

// RMSNormBackward implements compute.Device.
func (d *Device) RMSNormBackward(dx, dout, x, w, rstd compute.Buffer, n int) {
	c := w.Len()
	for t := range n {
		r, dot := fl(rstd)[t], 0.0
		for k := range c {
			dot += fl(dout)[t*c+k] * fl(w)[k] * fl(x)[t*c+k]
		}
		for k := range c {
			i := t*c + k
			fl(dx)[i] += r*fl(dout)[i]*fl(w)[k] - r*r*r*dot/float64(c)*fl(x)[i]
		}
	}
}

// matNT adds s·x[n,k]·w[m,k]ᵀ to y[n,m].
func matNT(y, x, w []float64, n, m, k int, s float64) {
	for t := range n {
		for o := range m {
			sum := 0.0
			for j := range k {
				sum += x[t*k+j] * w[o*k+j]
			}
			y[t*m+o] += s * sum
		}
	}
}

// matNN adds s·x[n,m]·w[m,k] to y[n,k].
func matNN(y, x, w []float64, n, m, k int, s float64) {
	for t := range n {
		for o := range m {
			v := s * x[t*m+o]
			for j := range k {
				y[t*k+j] += v * w[o*k+j]
			}
		}
	}
}

// matTN adds s·x[n,m]ᵀ·w[n,k] to y[m,k].
func matTN(y, x, w []float64, n, m, k int, s float64) {
	for t := range n {
		for o := range m {
			v := s * x[t*m+o]
			for j := range k {
				y[o*k+j] += v * w[t*k+j]
			}
		}
	}
}

// Linear implements compute.Device.
func (d *Device) Linear(y, residual compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, u compute.Buffer, n int, _ compute.Random) {
	m, k := w.Rows(), w.Cols()
	out := make([]float64, n*m)
	if residual != nil {
		copy(out, fl(residual)[:n*m])
	}
	matNT(out, fl(x.X), w.(*weight).w, n, m, k, 1)
	if ad != nil {
		if !ad.Known {
			clear(fl(u)[:n*ad.R])
			matNT(fl(u), fl(x.X), fl(ad.A), n, ad.R, k, 1)
		}
		matNT(out, fl(u), fl(ad.B), n, m, ad.R, float64(ad.Scale))
	}
	copy(fl(y), out)
}

// LinearBackward implements compute.Device.
func (d *Device) LinearBackward(dx, dy compute.Buffer, x compute.Activation, w compute.Weight, ad *compute.Adapter, g compute.AdapterGrad, u compute.Buffer, n int, _ compute.Random) {
	m, k := w.Rows(), w.Cols()
	if dx != nil {
		clear(fl(dx)[:n*k])
		matNN(fl(dx), fl(dy), w.(*weight).w, n, m, k, 1)
	}
	if ad == nil {
		return
	}
	s := float64(ad.Scale)
	du := make([]float64, n*ad.R)
	matNN(du, fl(dy), fl(ad.B), n, m, ad.R, s)
	matTN(fl(g.B), fl(dy), fl(u), n, m, ad.R, s)
	matTN(fl(g.A), du, fl(x.X), n, ad.R, k, 1)
	if dx != nil {
		matNN(fl(dx), du, fl(ad.A), n, ad.R, k, 1)
	}
}

// SwiGLU implements compute.Device.
func (d *Device) SwiGLU(out compute.Activation, gu compute.Buffer, n, f int) {
	for t := range n {
		for j := range f {
			g, u := fl(gu)[t*2*f+j], fl(gu)[t*2*f+f+j]
			fl(out.X)[t*f+j] = g / (1 + math.Exp(-g)) * u
		}
	}
}

// SwiGLUBackward implements compute.Device.
func (d *Device) SwiGLUBackward(dgu, dm, gu compute.Buffer, n, f int) {
	for t := range n {
		for j := range f {
			g, u, dv := fl(gu)[t*2*f+j], fl(gu)[t*2*f+f+j], fl(dm)[t*f+j]
			s := 1 / (1 + math.Exp(-g))
			fl(dgu)[t*2*f+j] = dv * u * s * (1 + g*(1-s))
			fl(dgu)[t*2*f+f+j] = dv * g * s
		}
	}
}

// CrossEntropy implements compute.Device.
func (d *Device) CrossEntropy(nll, dh, h compute.Buffer, head compute.Weight, target, wt compute.Buffer, n int) {
	w := head.(*weight)
	for t := range n {
		fl(nll)[t] = 0
		if dh != nil {
			clear(fl(dh)[t*w.cols : (t+1)*w.cols])
		}
		if fl(wt)[t] == 0 {
			continue
		}
		z := make([]float64, w.rows)
		matNT(z, fl(h)[t*w.cols:], w.w, 1, w.rows, w.cols, 1)
		lse, y := logSumExp(z), int(in(target)[t])
		fl(nll)[t] = fl(wt)[t] * (lse - z[y])
		if dh == nil {
			continue
		}
		for i := range z {
			z[i] = fl(wt)[t] * math.Exp(z[i]-lse)
		}
		z[y] -= fl(wt)[t]
		matNN(fl(dh)[t*w.cols:], z, w.w, 1, w.rows, w.cols, 1)
	}
}

func logSumExp(z []float64) float64 {
	top, s := math.Inf(-1), 0.0
	for _, v := range z {
		top = max(top, v)
	}
	for _, v := range z {
		s += math.Exp(v - top)
	}
	return top + math.Log(s)
}
