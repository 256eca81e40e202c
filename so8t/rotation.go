package so8t

import (
	"fmt"
	"math"
)

// Size is the order of a block, Angles its number of free parameters.
const (
	Size   = 8
	Angles = Size * (Size - 1) / 2
)

// skew returns A = θ-θᵀ, where theta lists θ[i,j], i < j, row by row.
func skew[T float32 | float64](theta []T) (a mat8) {
	k := 0
	for i := range Size {
		for j := i + 1; j < Size; j++ {
			a[i*Size+j], a[j*Size+i] = float64(theta[k]), -float64(theta[k])
			k++
		}
	}
	return a
}

// Rotation returns R = exp(θ-θᵀ), row-major [8,8], of 28 angles.
func Rotation(theta []float64) []float64 {
	d := dual{x: skew(theta)}
	d.expm()
	return d.x[:]
}

// RotationBackward returns dL/dθ [28] for dr = dL/dR [64]. The adjoint of the
// derivative of exp at A is the derivative at Aᵀ (Higham, Functions of Matrices,
// 2008, section 3.2): with G = L(Aᵀ, dr), dL/dθ[i,j] = G[i,j] - G[j,i].
func RotationBackward(theta, dr []float64) []float64 {
	out := make([]float64, Angles)
	backward(out, skew(theta), dr)
	return out
}

func backward(out []float64, a mat8, dr []float64) {
	d := dual{on: true, l: mat8(dr)}
	for i, v := range a {
		d.x[i] = -v // Aᵀ = -A
	}
	d.expm()
	k := 0
	for i := range Size {
		for j := i + 1; j < Size; j++ {
			out[k] = d.l[i*Size+j] - d.l[j*Size+i]
			k++
		}
	}
}

// Rotations returns R of every block of theta [blocks, 28] as [blocks, 8, 8].
func Rotations(theta []float32) []float64 {
	blocks := len(theta) / Angles
	out := make([]float64, 0, blocks*Size*Size)
	for b := range blocks {
		d := dual{x: skew(theta[b*Angles : (b+1)*Angles])}
		d.expm()
		out = append(out, d.x[:]...)
	}
	return out
}

// RotationsBackward returns dL/dθ [blocks, 28] for theta [blocks, 28] and
// dr = dL/dR [blocks, 8, 8].
func RotationsBackward(theta []float32, dr []float64) ([]float64, error) {
	blocks := len(theta) / Angles
	if len(theta)%Angles != 0 {
		return nil, &SizeError{"theta", len(theta), blocks * Angles}
	}
	if len(dr) != blocks*Size*Size {
		return nil, &SizeError{"dr", len(dr), blocks * Size * Size}
	}
	out := make([]float64, len(theta))
	for b := range blocks {
		at := b * Angles
		backward(out[at:at+Angles], skew(theta[at:at+Angles]), dr[b*Size*Size:(b+1)*Size*Size])
	}
	return out, nil
}

// Distance measures rotations [blocks, 8, 8]: the largest element of |RᵀR - I|
// and the mean of ‖R - I‖_F. NaN in a rotation gives NaN.
func Distance(rotations []float64) (orthogonality, fromIdentity float64) {
	blocks := len(rotations) / (Size * Size)
	for b := range blocks {
		r := rotations[b*Size*Size : (b+1)*Size*Size]
		sum := 0.0
		for i := range Size {
			for j := range Size {
				want, g := 0.0, 0.0
				if i == j {
					want = 1
				}
				for k := range Size {
					g += r[k*Size+i] * r[k*Size+j]
				}
				orthogonality = max(orthogonality, math.Abs(g-want))
				sum += (r[i*Size+j] - want) * (r[i*Size+j] - want)
			}
		}
		fromIdentity += math.Sqrt(sum)
	}
	return orthogonality, fromIdentity / math.Max(1, float64(blocks))
}

// SizeError reports a slice that does not have the length that its shape takes.
type SizeError struct {
	What      string
	Got, Want int
}

// Error implements error.
func (e *SizeError) Error() string {
	return fmt.Sprintf("so8t: %s has %d values, want %d", e.What, e.Got, e.Want)
}
