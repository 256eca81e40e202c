package classifier

import (
	"errors"
	"fmt"
	"math"
)

// ErrNoSamples says that a class has no samples, so no weight follows from counts.
var ErrNoSamples = errors.New("classifier: class without samples")

// BalancedWeights returns weights (1−β)/(1−β^n_k) scaled to sum to the number of
// classes (Cui et al. 2019, arXiv:1901.05555, eq. 4). beta is in [0, 1]: 0 weighs all
// classes alike, 1 is the limit 1/n_k.
func BalancedWeights(counts []int, beta float64) ([]float64, error) {
	if !(beta >= 0 && beta <= 1) {
		return nil, &OptionError{"beta", beta, "0 to 1"}
	}
	w, sum := make([]float64, len(counts)), 0.0
	for k, n := range counts {
		switch {
		case n < 1:
			return nil, fmt.Errorf("%w: class %d", ErrNoSamples, k)
		case beta == 1:
			w[k] = 1 / float64(n)
		case beta == 0:
			w[k] = 1
		default:
			// β^n = exp(n ln β); expm1 keeps 1−β^n for β close to 1.
			w[k] = (1 - beta) / -math.Expm1(float64(n)*math.Log(beta))
		}
		sum += w[k]
	}
	for k := range w {
		w[k] *= float64(len(w)) / sum
	}
	return w, nil
}
