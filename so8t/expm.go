package so8t

import "math"

// mat8 is an 8×8 matrix, row-major.
type mat8 [Size * Size]float64

// product sets c to a·b; c must be neither. A row of c stays in registers.
func (c *mat8) product(a, b *mat8) {
	for i := 0; i < Size*Size; i += Size {
		row := (*[Size]float64)(a[i : i+Size])
		var c0, c1, c2, c3, c4, c5, c6, c7 float64
		for k, v := range row {
			r := (*[Size]float64)(b[k*Size : k*Size+Size])
			c0 += v * r[0]
			c1 += v * r[1]
			c2 += v * r[2]
			c3 += v * r[3]
			c4 += v * r[4]
			c5 += v * r[5]
			c6 += v * r[6]
			c7 += v * r[7]
		}
		*(*[Size]float64)(c[i : i+Size]) = [Size]float64{c0, c1, c2, c3, c4, c5, c6, c7}
	}
}

// add adds s·b.
func (a *mat8) add(s float64, b *mat8) {
	for i, v := range b {
		a[i] += s * v
	}
}

// norm1 is the largest column sum of magnitudes.
func (a *mat8) norm1() (top float64) {
	for j := range Size {
		s := 0.0
		for i := j; i < len(a); i += Size {
			s += math.Abs(a[i])
		}
		if !(s <= top) { // NaN wins
			top = s
		}
	}
	return top
}

// dual is a matrix and, when on, its derivative in one direction. The rules of
// the derivative of sums and products turn any polynomial evaluated on duals
// into its Fréchet derivative (Al-Mohy and Higham, SIAM J. Matrix Anal. Appl.
// 30, 2009, section 3).
type dual struct {
	x, l mat8
	on   bool
}

// product sets c to a·b; c must be neither.
func (c *dual) product(a, b *dual) {
	c.on = a.on
	c.x.product(&a.x, &b.x)
	if a.on {
		var right mat8
		c.l.product(&a.l, &b.x)
		right.product(&a.x, &b.l)
		c.l.add(1, &right)
	}
}

func (a *dual) add(s float64, b *dual) {
	a.x.add(s, &b.x)
	if a.on {
		a.l.add(s, &b.l)
	}
}

func (a *dual) scale(s float64) {
	for i := range a.x {
		a.x[i] *= s
	}
	for i := range a.l {
		a.l[i] *= s
	}
}

// taylorNorm is the 1-norm up to which taylor's remainder, below
// 0.25¹³/13! = 2.4e-18 of the result, is lost in rounding.
const taylorNorm = 0.25

// expm replaces a by exp(a), by scaling and squaring: exp(A) = exp(A/2^s)^(2^s)
// (Higham, Functions of Matrices, 2008, section 10.3). s is each matrix's own:
// a common s would square small ones into rounding error.
func (a *dual) expm() {
	s := 0
	switch n := a.x.norm1(); {
	case math.IsNaN(n) || math.IsInf(n, 0):
		for i := range a.x {
			a.x[i], a.l[i] = math.NaN(), math.NaN()
		}
		return
	case n > taylorNorm:
		_, e := math.Frexp(n / taylorNorm)
		s = e
	}
	a.scale(math.Ldexp(1, -s))
	var sum, next dual
	a.taylor(&sum)
	for range s {
		next.product(&sum, &sum)
		sum = next
	}
	*a = sum
}

// taylor sets sum to Σ Aᵏ/k!, k ≤ 12, with five products: powers to A⁴, then
// Horner in A⁴ (Paterson and Stockmeyer, SIAM J. Comput. 2, 1973).
func (a *dual) taylor(sum *dual) {
	var a2, a3, a4, next dual
	a2.product(a, a)
	a3.product(&a2, a)
	a4.product(&a2, &a2)
	// group adds Σ A^j/(first+j)!, j < 4.
	group := func(to *dual, first int) {
		for i := 0; i < len(to.x); i += Size + 1 {
			to.x[i] += inverseFactorial[first]
		}
		for j, p := range [3]*dual{a, &a2, &a3} {
			to.add(inverseFactorial[first+j+1], p)
		}
	}
	sum.on = a.on
	group(sum, 8)
	sum.add(inverseFactorial[12], &a4)
	for _, first := range [2]int{4, 0} {
		next.product(&a4, sum)
		*sum = next
		group(sum, first)
	}
}

var inverseFactorial = [13]float64{
	1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
	1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600,
}
