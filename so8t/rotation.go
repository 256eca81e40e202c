package so8t

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Size is the order of a block, Angles its number of free parameters.
const (
	Size   = 8
	Angles = Size * (Size - 1) / 2
)

// skew returns A = θ-θᵀ, where theta lists θ[i,j], i < j, row by row.
func skew(theta []float64) *mat.Dense {
	a, k := mat.NewDense(Size, Size, nil), 0
	for i := range Size {
		for j := i + 1; j < Size; j++ {
			a.Set(i, j, theta[k])
			a.Set(j, i, -theta[k])
			k++
		}
	}
	return a
}

// Rotation returns R = exp(θ-θᵀ), row-major [8,8], by gonum's Padé matrix
// exponential.
func Rotation(theta []float64) []float64 {
	var r mat.Dense
	r.Exp(skew(theta))
	return append([]float64(nil), r.RawMatrix().Data...)
}

// RotationBackward returns dL/dθ [28] for dr = dL/dR [64]. The adjoint of the
// derivative of exp at A is the derivative at Aᵀ, which is the upper right block
// of exp([[Aᵀ, G], [0, Aᵀ]]) (Higham, Functions of Matrices, 2008, sections 3.2
// and 10.6).
func RotationBackward(theta, dr []float64) []float64 {
	a := skew(theta)
	big := mat.NewDense(2*Size, 2*Size, nil)
	big.Slice(0, Size, 0, Size).(*mat.Dense).Copy(a.T())
	big.Slice(Size, 2*Size, Size, 2*Size).(*mat.Dense).Copy(a.T())
	big.Slice(0, Size, Size, 2*Size).(*mat.Dense).Copy(mat.NewDense(Size, Size, dr))
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

// Rotations returns R of every block of theta [blocks, 28] as [blocks, 8, 8].
func Rotations(theta []float32) []float64 {
	out := make([]float64, 0, len(theta)/Angles*Size*Size)
	var block [Angles]float64
	for i := 0; i+Angles <= len(theta); i += Angles {
		for k := range block {
			block[k] = float64(theta[i+k])
		}
		out = append(out, Rotation(block[:])...)
	}
	return out
}

// Distance measures rotations [blocks, 8, 8]: the largest element of |RᵀR - I|
// and the mean of ‖R - I‖_F.
func Distance(rotations []float64) (orthogonality, fromIdentity float64) {
	blocks := len(rotations) / (Size * Size)
	for b := range blocks {
		r := mat.NewDense(Size, Size, rotations[b*Size*Size:(b+1)*Size*Size])
		var g mat.Dense
		g.Mul(r.T(), r)
		sum := 0.0
		for i := range Size {
			for j := range Size {
				want := 0.0
				if i == j {
					want = 1
				}
				orthogonality = max(orthogonality, math.Abs(g.At(i, j)-want))
				sum += (r.At(i, j) - want) * (r.At(i, j) - want)
			}
		}
		fromIdentity += math.Sqrt(sum)
	}
	return orthogonality, fromIdentity / math.Max(1, float64(blocks))
}

// SizeError reports a slice that does not hold whole blocks.
type SizeError struct {
	What      string
	Got, Want int
}

// Error implements error.
func (e *SizeError) Error() string {
	return fmt.Sprintf("so8t: %s has %d values, want %d", e.What, e.Got, e.Want)
}
