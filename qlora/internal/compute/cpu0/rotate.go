package cpu0

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Rotate implements compute.Device.
func (d *Device) Rotate(out compute.Activation, x, r compute.Buffer, n, cols int) {
	o, v, m := fl(out.X), fl(x), fl(r)
	rows(n, 32, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			for b := 0; b < cols; b += 8 {
				p, q := v[t*cols+b:][:8], o[t*cols+b:][:8]
				for i := range 8 {
					row, s := m[b*8+i*8:][:8], float32(0)
					for j, w := range row {
						s += w * p[j]
					}
					q[i] = s
				}
			}
		}
	})
	quantiseRows(out, n)
}

// RotateBackward implements compute.Device. A task owns one block of columns.
func (d *Device) RotateBackward(dx, dr, dout, x, r compute.Buffer, n, cols int) {
	parallel(cols/8, func(b int) {
		m, g := fl(r)[b*64:][:64], fl(dr)[b*64:][:64]
		for t := range n {
			o, v, e := fl(dout)[t*cols+b*8:][:8], fl(x)[t*cols+b*8:][:8], fl(dx)[t*cols+b*8:][:8]
			clear(e)
			for i, go1 := range o {
				for j := range 8 {
					e[j] += m[i*8+j] * go1
					g[i*8+j] += go1 * v[j]
				}
			}
		}
	})
}

type matrix8 [64]float64

func (a *matrix8) mul(b *matrix8) (c matrix8) {
	for i := range 8 {
		for k := range 8 {
			v := a[i*8+k]
			for j := range 8 {
				c[i*8+j] += v * b[k*8+j]
			}
		}
	}
	return c
}

// skew returns θ-θᵀ of a strict upper triangle, and its largest row sum.
func skew(theta []float32) (a matrix8, norm float64) {
	k := 0
	for i := range 8 {
		for j := i + 1; j < 8; j++ {
			v := float64(theta[k])
			a[i*8+j], a[j*8+i] = v, -v
			k++
		}
	}
	for i := range 8 {
		s := 0.0
		for j := range 8 {
			s += math.Abs(a[i*8+j])
		}
		norm = max(norm, s)
	}
	return a, norm
}

// taylorTerms make the series exact to float64 for norms up to 1/2.
const taylorTerms = 14

// squarings brings a norm to at most 1/2.
func squarings(norm float64) int { return max(0, int(math.Ceil(math.Log2(max(norm, 1e-300))))+1) }

// RotationExp implements compute.Device: scaling, Taylor series, squaring, in
// float64 (Higham, Functions of Matrices, 10.3).
func (d *Device) RotationExp(r, theta compute.Buffer, blocks int) {
	parallel(blocks, func(b int) {
		a, norm := skew(fl(theta)[b*28 : (b+1)*28])
		s := squarings(norm)
		for i := range a {
			a[i] = math.Ldexp(a[i], -s)
		}
		x := expSeries(&a)
		for range s {
			x = x.mul(&x)
		}
		for i, v := range x {
			fl(r)[b*64+i] = float32(v)
		}
	})
}

func expSeries(a *matrix8) (x matrix8) {
	var p matrix8
	for i := range 8 {
		x[i*9], p[i*9] = 1, 1
	}
	for k := 1; k <= taylorTerms; k++ {
		p = p.mul(a)
		for i := range p {
			p[i] /= float64(k)
			x[i] += p[i]
		}
	}
	return x
}

// RotationExpBackward implements compute.Device. The adjoint of the derivative
// of exp at A, applied to G, is the derivative at Aᵀ in direction G (Higham,
// 10.6), and Aᵀ = -A.
func (d *Device) RotationExpBackward(dtheta, dr, theta compute.Buffer, blocks int) {
	parallel(blocks, func(b int) {
		a, norm := skew(fl(theta)[b*28 : (b+1)*28])
		s := squarings(norm)
		var g matrix8
		for i := range a {
			a[i] = math.Ldexp(-a[i], -s)
			g[i] = math.Ldexp(float64(fl(dr)[b*64+i]), -s)
		}
		da := expDerivative(&a, &g, s)
		k := b * 28
		for i := range 8 {
			for j := i + 1; j < 8; j++ {
				fl(dtheta)[k] += float32(da[i*8+j] - da[j*8+i])
				k++
			}
		}
	})
}

// expDerivative returns the derivative of exp at 2^s·a in direction 2^s·e.
func expDerivative(a, e *matrix8, s int) matrix8 {
	var x, dx, p, dp matrix8
	for i := range 8 {
		x[i*9], p[i*9] = 1, 1
	}
	for k := 1; k <= taylorTerms; k++ {
		l, r := dp.mul(a), p.mul(e)
		p = p.mul(a)
		for i := range p {
			p[i] /= float64(k)
			dp[i] = (l[i] + r[i]) / float64(k)
			x[i] += p[i]
			dx[i] += dp[i]
		}
	}
	for range s {
		l, r := x.mul(&dx), dx.mul(&x)
		x = x.mul(&x)
		for i := range dx {
			dx[i] = l[i] + r[i]
		}
	}
	return dx
}
