package classifier

import "math"

// adam is AdamW (arXiv 1711.05101) in float64 on float32 parameters.
type adam struct {
	M, V []float64
	T    int
}

func newAdam(n int) *adam { return &adam{M: make([]float64, n), V: make([]float64, n)} }

func (a *adam) step(p []float32, g []float64, lr, decay float64) {
	const beta1, beta2, eps = 0.9, 0.999, 1e-8
	a.T++
	b1, b2 := 1-math.Pow(beta1, float64(a.T)), 1-math.Pow(beta2, float64(a.T))
	for i := range p {
		a.M[i] = beta1*a.M[i] + (1-beta1)*g[i]
		a.V[i] = beta2*a.V[i] + (1-beta2)*g[i]*g[i]
		x := float64(p[i])
		x -= lr * decay * x
		x -= lr * (a.M[i] / b1) / (math.Sqrt(a.V[i]/b2) + eps)
		p[i] = float32(x)
	}
}
