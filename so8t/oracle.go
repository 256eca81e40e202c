package so8t

import "gonum.org/v1/gonum/mat"

// Oracle returns what Rotation returns, by gonum's Padé matrix exponential: an
// independent and slower computation to hold others against.
func Oracle(theta []float64) []float64 {
	a := skew(theta)
	var r mat.Dense
	r.Exp(mat.NewDense(Size, Size, a[:]))
	return append([]float64(nil), r.RawMatrix().Data...)
}

// OracleBackward returns what RotationBackward returns. The derivative of exp at
// Aᵀ in direction dr is the upper right block of exp([[Aᵀ, dr], [0, Aᵀ]]) (Higham,
// Functions of Matrices, 2008, section 3.1, equation 3.16).
func OracleBackward(theta, dr []float64) []float64 {
	a := skew(theta)
	at := mat.NewDense(Size, Size, a[:]).T()
	big := mat.NewDense(2*Size, 2*Size, nil)
	big.Slice(0, Size, 0, Size).(*mat.Dense).Copy(at)
	big.Slice(Size, 2*Size, Size, 2*Size).(*mat.Dense).Copy(at)
	big.Slice(0, Size, Size, 2*Size).(*mat.Dense).Copy(mat.NewDense(Size, Size, append([]float64(nil), dr...)))
	var e mat.Dense
	e.Exp(big)
	out, k := make([]float64, Angles), 0
	for i := range Size {
		for j := i + 1; j < Size; j++ {
			out[k] = e.At(i, Size+j) - e.At(j, Size+i)
			k++
		}
	}
	return out
}
