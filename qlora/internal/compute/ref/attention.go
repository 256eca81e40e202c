package ref

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// rotate turns pairs (i, i+D/2) of every head of row, by the angle or its
// negative.
func rotate(row []float64, heads, d int, cos, sin []float64, sign float64) {
	for h := range heads {
		for i := range d / 2 {
			a, b := &row[h*d+i], &row[h*d+d/2+i]
			x, y := *a, *b
			*a, *b = x*cos[i]-sign*y*sin[i], y*cos[i]+sign*x*sin[i]
		}
	}
}

func (d *Device) rotateAll(qkv []float64, s compute.Heads, rope compute.Rope, row compute.Buffer, n int, sign float64) {
	half := s.D / 2
	for t := range n {
		r := int(in(row)[t]) * half
		rotate(qkv[t*s.QKV():], s.H+s.K, s.D, fl(rope.Cos)[r:r+half], fl(rope.Sin)[r:r+half], sign)
	}
}

// Attention implements compute.Device.
func (d *Device) Attention(out compute.Activation, lse, qkv compute.Buffer, s compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	d.rotateAll(fl(qkv), s, rope, seq.Row, n, 1)
	x := fl(qkv)
	for t := range n {
		for h := range s.H {
			p, l := scores(x, s, t, h, int(in(seq.Start)[t]))
			fl(lse)[t*s.H+h] = l
			o := fl(out.X)[(t*s.H+h)*s.D : (t*s.H+h+1)*s.D]
			clear(o)
			for i, w := range p {
				v := x[(int(in(seq.Start)[t])+i)*s.QKV()+(s.H+s.K+h*s.K/s.H)*s.D:]
				for k := range o {
					o[k] += w * v[k]
				}
			}
		}
	}
}

// scores returns the probabilities of query t, head h, over keys start..t.
func scores(x []float64, s compute.Heads, t, h, start int) (p []float64, lse float64) {
	q := x[t*s.QKV()+h*s.D:]
	for j := start; j <= t; j++ {
		k, dot := x[j*s.QKV()+(s.H+h*s.K/s.H)*s.D:], 0.0
		for i := range s.D {
			dot += q[i] * k[i]
		}
		p = append(p, dot/math.Sqrt(float64(s.D)))
	}
	lse = logSumExp(p)
	for i := range p {
		p[i] = math.Exp(p[i] - lse)
	}
	return p, lse
}

// AttentionBackward implements compute.Device.
func (d *Device) AttentionBackward(dqkv, dout compute.Buffer, out compute.Activation, _, qkv compute.Buffer, s compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	x, g := fl(qkv), fl(dqkv)
	clear(g[:n*s.QKV()])
	scale := 1 / math.Sqrt(float64(s.D))
	for t := range n {
		start := int(in(seq.Start)[t])
		for h := range s.H {
			kv := h * s.K / s.H
			p, _ := scores(x, s, t, h, start)
			do := fl(dout)[(t*s.H+h)*s.D:]
			o, delta := fl(out.X)[(t*s.H+h)*s.D:], 0.0
			for k := range s.D {
				delta += do[k] * o[k]
			}
			for i, w := range p {
				j := (start + i) * s.QKV()
				v, dv := x[j+(s.H+s.K+kv)*s.D:], g[j+(s.H+s.K+kv)*s.D:]
				dp := 0.0
				for k := range s.D {
					dv[k] += w * do[k]
					dp += do[k] * v[k]
				}
				ds := w * (dp - delta) * scale
				for k := range s.D {
					g[t*s.QKV()+h*s.D+k] += ds * x[j+(s.H+kv)*s.D+k]
					g[j+(s.H+kv)*s.D+k] += ds * x[t*s.QKV()+h*s.D+k]
				}
			}
		}
	}
	d.rotateAll(g, s, rope, seq.Row, n, -1)
}

// AttentionCached implements compute.Device.
func (d *Device) AttentionCached(out compute.Activation, qkv compute.Buffer, s compute.Heads, rope compute.Rope, row compute.Buffer, kv compute.Cache, past, n int) {
	d.rotateAll(fl(qkv), s, rope, row, n, 1)
	size := s.K * s.D
	for t := range n {
		copy(fl(kv.K)[(past+t)*size:(past+t+1)*size], fl(qkv)[t*s.QKV()+s.H*s.D:])
		copy(fl(kv.V)[(past+t)*size:(past+t+1)*size], fl(qkv)[t*s.QKV()+(s.H+s.K)*s.D:])
	}
	whole := make([]float64, (past+n)*s.QKV())
	for j := range past + n {
		copy(whole[j*s.QKV()+s.H*s.D:], fl(kv.K)[j*size:(j+1)*size])
		copy(whole[j*s.QKV()+(s.H+s.K)*s.D:], fl(kv.V)[j*size:(j+1)*size])
		if j >= past {
			copy(whole[j*s.QKV():], fl(qkv)[(j-past)*s.QKV():(j-past)*s.QKV()+s.H*s.D])
		}
	}
	for t := range n {
		for h := range s.H {
			p, _ := scores(whole, s, past+t, h, 0)
			o := fl(out.X)[(t*s.H+h)*s.D : (t*s.H+h+1)*s.D]
			clear(o)
			for j, w := range p {
				v := whole[j*s.QKV()+(s.H+s.K+h*s.K/s.H)*s.D:]
				for k := range o {
					o[k] += w * v[k]
				}
			}
		}
	}
}
