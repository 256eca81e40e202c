package cpu0

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// RMSNorm implements compute.Device.
func (d *Device) RMSNorm(out compute.Activation, rstd, x, w compute.Buffer, n int, eps float32) {
	c := w.Len()
	o, r, v, g := fl(out.X), fl(rstd), fl(x), fl(w)
	rows(n, 32, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			row := v[t*c : (t+1)*c]
			s := 1 / float32(math.Sqrt(float64(d.k.dot(row, row)/float32(c)+eps)))
			r[t] = s
			for k, a := range row {
				o[t*c+k] = a * s * g[k]
			}
		}
	})
	quantiseRows(out, n)
}

// RMSNormBackward implements compute.Device.
func (d *Device) RMSNormBackward(dx, dout, x, w, rstd compute.Buffer, n int) {
	c := w.Len()
	rows(n, 32, func(lo, hi int) {
		gw := make([]float32, c)
		for t := lo; t < hi; t++ {
			row, g, out := fl(x)[t*c:(t+1)*c], fl(dout)[t*c:(t+1)*c], fl(dx)[t*c:(t+1)*c]
			for k, v := range g {
				gw[k] = v * fl(w)[k]
			}
			r := fl(rstd)[t]
			f := r * r * r * d.k.dot(gw, row) / float32(c)
			for k := range out {
				out[k] += r*gw[k] - f*row[k]
			}
		}
	})
}

// SwiGLU implements compute.Device.
func (d *Device) SwiGLU(out compute.Activation, gu compute.Buffer, n, f int) {
	o, v := fl(out.X), fl(gu)
	rows(n, 16, func(lo, hi int) {
		e := make([]float32, f)
		for t := lo; t < hi; t++ {
			gate, up := v[t*2*f:t*2*f+f], v[t*2*f+f:(t+1)*2*f]
			d.sigmoid(e, gate)
			for j, s := range e {
				o[t*f+j] = gate[j] * s * up[j]
			}
		}
	})
	quantiseRows(out, n)
}

// sigmoid writes 1/(1+e^-x), computed from e^-|x| so that nothing overflows.
func (d *Device) sigmoid(dst, x []float32) {
	for j, v := range x {
		dst[j] = min(v, -v)
	}
	d.k.expSum(dst, dst, 0)
	for j, e := range dst {
		if x[j] >= 0 {
			dst[j] = 1 / (1 + e)
		} else {
			dst[j] = e / (1 + e)
		}
	}
}

// SwiGLUBackward implements compute.Device.
func (d *Device) SwiGLUBackward(dgu, dm, gu compute.Buffer, n, f int) {
	rows(n, 16, func(lo, hi int) {
		e := make([]float32, f)
		for t := lo; t < hi; t++ {
			v, g := fl(gu)[t*2*f:(t+1)*2*f], fl(dgu)[t*2*f:(t+1)*2*f]
			d.sigmoid(e, v[:f])
			for j, s := range e {
				grad := fl(dm)[t*f+j]
				g[j] = grad * v[f+j] * s * (1 + v[j]*(1-s))
				g[f+j] = grad * v[j] * s
			}
		}
	})
}
