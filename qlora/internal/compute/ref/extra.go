package ref

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Rotate implements compute.Device.
func (d *Device) Rotate(out compute.Activation, x, r compute.Buffer, n, cols int) {
	row := make([]float64, cols)
	for t := range n {
		copy(row, fl(x)[t*cols:])
		for c := range cols {
			b, i, s := c/8, c%8, 0.0
			for j := range 8 {
				s += fl(r)[b*64+i*8+j] * row[b*8+j]
			}
			fl(out.X)[t*cols+c] = s
		}
	}
}

// RotateBackward implements compute.Device.
func (d *Device) RotateBackward(dx, dr, dout, x, r compute.Buffer, n, cols int) {
	clear(fl(dx)[:n*cols])
	for t := range n {
		for c := range cols {
			b, i, g := c/8, c%8, fl(dout)[t*cols+c]
			for j := range 8 {
				fl(dx)[t*cols+b*8+j] += fl(r)[b*64+i*8+j] * g
				fl(dr)[b*64+i*8+j] += g * fl(x)[t*cols+b*8+j]
			}
		}
	}
}

// skew returns A = θ-θᵀ for the strict upper triangle theta.
func skew(theta []float64) (a [64]float64) {
	k := 0
	for i := range 8 {
		for j := i + 1; j < 8; j++ {
			a[i*8+j], a[j*8+i] = theta[k], -theta[k]
			k++
		}
	}
	return a
}

func mul(a, b [64]float64) (c [64]float64) {
	for i := range 8 {
		for k := range 8 {
			for j := range 8 {
				c[i*8+j] += a[i*8+k] * b[k*8+j]
			}
		}
	}
	return c
}

// expDiff returns exp(A) and its derivative in direction e, by scaling by 2^-10
// and a Taylor series, then squaring both (Higham, Functions of Matrices, 10.6).
func expDiff(a, e [64]float64) (x, dx [64]float64) {
	const squarings, terms = 10, 12
	for i := range a {
		a[i] /= 1 << squarings
		e[i] /= 1 << squarings
	}
	var p, dp [64]float64
	for i := range 8 {
		p[i*9], x[i*9] = 1, 1
	}
	for k := 1; k <= terms; k++ {
		np, l, r := mul(p, a), mul(dp, a), mul(p, e)
		for i := range np {
			dp[i] = (l[i] + r[i]) / float64(k)
			p[i] = np[i] / float64(k)
			x[i] += p[i]
			dx[i] += dp[i]
		}
	}
	for range squarings {
		l, r := mul(x, dx), mul(dx, x)
		x = mul(x, x)
		for i := range dx {
			dx[i] = l[i] + r[i]
		}
	}
	return x, dx
}

// RotationExp implements compute.Device.
func (d *Device) RotationExp(r, theta compute.Buffer, blocks int) {
	for b := range blocks {
		x, _ := expDiff(skew(fl(theta)[b*28:(b+1)*28]), [64]float64{})
		copy(fl(r)[b*64:], x[:])
	}
}

// RotationExpBackward implements compute.Device.
func (d *Device) RotationExpBackward(dtheta, dr, theta compute.Buffer, blocks int) {
	for b := range blocks {
		a := skew(fl(theta)[b*28 : (b+1)*28])
		for k := range 28 {
			var unit [28]float64
			unit[k] = 1
			_, dx := expDiff(a, skew(unit[:]))
			for i, v := range dx {
				fl(dtheta)[b*28+k] += v * fl(dr)[b*64+i]
			}
		}
	}
}

// Gather implements compute.Device.
func (d *Device) Gather(out, x, index compute.Buffer, n, cols int) {
	for i := range n {
		copy(fl(out)[i*cols:(i+1)*cols], fl(x)[int(in(index)[i])*cols:])
	}
}

// ScatterAdd implements compute.Device.
func (d *Device) ScatterAdd(dx, din, index compute.Buffer, n, cols int) {
	for i := range n {
		for k := range cols {
			fl(dx)[int(in(index)[i])*cols+k] += fl(din)[i*cols+k]
		}
	}
}

// MeanPool implements compute.Device.
func (d *Device) MeanPool(out, h, offset compute.Buffer, batch, cols int) {
	clear(fl(out)[:batch*cols])
	for b := range batch {
		lo, hi := int(in(offset)[b]), int(in(offset)[b+1])
		for t := lo; t < hi; t++ {
			for k := range cols {
				fl(out)[b*cols+k] += fl(h)[t*cols+k] / float64(hi-lo)
			}
		}
	}
}

// MeanPoolBackward implements compute.Device.
func (d *Device) MeanPoolBackward(dh, dout, offset compute.Buffer, batch, cols int) {
	for b := range batch {
		lo, hi := int(in(offset)[b]), int(in(offset)[b+1])
		for t := lo; t < hi; t++ {
			for k := range cols {
				fl(dh)[t*cols+k] += fl(dout)[b*cols+k] / float64(hi-lo)
			}
		}
	}
}

// PET implements compute.Device.
func (d *Device) PET(loss, dh, h compute.Buffer, seq compute.Sequence, coef compute.Buffer, delta float32, n, cols int) {
	c, huber := fl(coef)[0], float64(delta)
	for t := 0; t+2 < n; t++ {
		if in(seq.Start)[t] != in(seq.Start)[t+2] {
			continue
		}
		for k := range cols {
			a, b, e := t*cols+k, (t+1)*cols+k, (t+2)*cols+k
			x := fl(h)[e] - 2*fl(h)[b] + fl(h)[a]
			v, g := x*x, 2*x
			if huber > 0 {
				v, g = x*x/2, x
				if math.Abs(x) > huber {
					v, g = huber*(math.Abs(x)-huber/2), math.Copysign(huber, x)
				}
			}
			fl(loss)[0] += c * v
			if dh != nil {
				fl(dh)[a] += c * g
				fl(dh)[b] -= 2 * c * g
				fl(dh)[e] += c * g
			}
		}
	}
}

// SumSquares implements compute.Device.
func (d *Device) SumSquares(acc, x compute.Buffer) {
	for _, v := range fl(x) {
		fl(acc)[0] += v * v
	}
}

// ClipScale implements compute.Device.
func (d *Device) ClipScale(hyper, acc compute.Buffer, limit float32) {
	fl(hyper)[compute.HyperClip] = 1
	if norm := math.Sqrt(fl(acc)[0]); limit > 0 && norm > float64(limit) {
		fl(hyper)[compute.HyperClip] = float64(limit) / norm
	}
}

// AdamW implements compute.Device.
func (d *Device) AdamW(p, g compute.Buffer, m compute.Moments, hyper compute.Buffer, a compute.Adam) {
	if m.AbsM != nil {
		d.err = fmt.Errorf("ref: 8-bit moments: %w", compute.ErrUnsupported)
		return
	}
	h := fl(hyper)
	lr := h[compute.HyperLR] * float64(a.LRScale)
	for i := range fl(p) {
		x := fl(g)[i] * h[compute.HyperClip]
		mi := float64(a.Beta1)*fl(m.M)[i] + (1-float64(a.Beta1))*x
		vi := float64(a.Beta2)*fl(m.V)[i] + (1-float64(a.Beta2))*x*x
		fl(m.M)[i], fl(m.V)[i] = mi, vi
		step := mi / h[compute.HyperBias1] / (math.Sqrt(vi/h[compute.HyperBias2]) + float64(a.Eps))
		fl(p)[i] -= lr * (step + float64(a.WeightDecay)*fl(p)[i])
	}
}
