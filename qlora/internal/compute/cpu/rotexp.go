package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

type mat8 [64]float64

// triangle is the number of parameters of a block: 8·7/2.
const triangle = 28

// skew returns θ-θᵀ for the strict upper triangle.
func skew(theta []float32) (a mat8) {
	k := 0
	for i := range side {
		for j := i + 1; j < side; j++ {
			a[i*side+j], a[j*side+i] = float64(theta[k]), -float64(theta[k])
			k++
		}
	}
	return a
}

func (a *mat8) mul(b *mat8) (c mat8) {
	for i := range side {
		for k := range side {
			v := a[i*side+k]
			for j := range side {
				c[i*side+j] += v * b[k*side+j]
			}
		}
	}
	return c
}

func (a *mat8) axpy(s float64, b *mat8) {
	for i, v := range b {
		a[i] += s * v
	}
}

// norm1 is the largest column sum of magnitudes.
func (a *mat8) norm1() (top float64) {
	for j := range side {
		s := 0.0
		for i := range side {
			s += math.Abs(a[i*side+j])
		}
		top = max(top, s)
	}
	return top
}

// taylorTerms of a matrix whose norm is at most 1/2 leave less than 1e-17.
const taylorTerms = 14

// expm returns exp(A) and its Fréchet derivative in direction e, by scaling,
// Taylor's series and squaring (Higham, Functions of Matrices, 2008, sections
// 10.3 and 10.6): exp(A) = exp(A/2^s)^(2^s), L' = X L + L X at each squaring.
func expm(a, e mat8) (x, l mat8) {
	s := 0
	if n := a.norm1(); n > 0.5 && !math.IsInf(n, 0) {
		s = int(math.Ceil(math.Log2(n))) + 1
	}
	scale := math.Ldexp(1, -s)
	for i := range a {
		a[i] *= scale
		e[i] *= scale
	}
	var p, dp mat8
	for i := range side {
		p[i*9], x[i*9] = 1, 1
	}
	for k := 1; k <= taylorTerms; k++ {
		next := dp.mul(&a)
		pe := p.mul(&e)
		next.axpy(1, &pe)
		p = p.mul(&a)
		dp = next
		for i := range p {
			p[i] /= float64(k)
			dp[i] /= float64(k)
		}
		x.axpy(1, &p)
		l.axpy(1, &dp)
	}
	for range s {
		left, right := x.mul(&l), l.mul(&x)
		left.axpy(1, &right)
		l = left
		x = x.mul(&x)
	}
	return x, l
}

// RotationExp implements compute.Device.
func (d *Device) RotationExp(r, theta compute.Buffer, blocks int) {
	c := d.call("RotationExp")
	out, in := c.f32("r", r, blocks*64), c.f32("theta", theta, blocks*triangle)
	if !c.ok() {
		return
	}
	d.pool.rows(blocks, 8192, func(_ *worker, lo, hi int) {
		for b := lo; b < hi; b++ {
			x, _ := expm(skew(in[b*triangle:]), mat8{})
			for i, v := range x {
				out[b*64+i] = float32(v)
			}
		}
	})
}

// RotationExpBackward implements compute.Device. The adjoint of the derivative
// at A is the derivative at Aᵀ, so G = L(Aᵀ, dr) and dθ[i,j] = G[i,j] - G[j,i].
func (d *Device) RotationExpBackward(dtheta, dr, theta compute.Buffer, blocks int) {
	c := d.call("RotationExpBackward")
	out, g, in := c.f32("dtheta", dtheta, blocks*triangle), c.f32("dr", dr, blocks*64), c.f32("theta", theta, blocks*triangle)
	if !c.ok() {
		return
	}
	d.pool.rows(blocks, 16384, func(_ *worker, lo, hi int) {
		for b := lo; b < hi; b++ {
			at, dir := skew(in[b*triangle:]), mat8{}
			for i := range at {
				at[i], dir[i] = -at[i], float64(g[b*64+i])
			}
			_, l := expm(at, dir)
			k := b * triangle
			for i := range side {
				for j := i + 1; j < side; j++ {
					out[k] += float32(l[i*side+j] - l[j*side+i])
					k++
				}
			}
		}
	})
}
