package eval

import (
	"fmt"
	"math"
	"slices"
)

// Temperature is the result of temperature scaling (Guo et al. 2017,
// arXiv:1706.04599): probabilities softmax(z/T). The order of classes is unchanged.
type Temperature struct {
	// T divides the logits, between MinTemperature and MaxTemperature.
	T float64 `json:"temperature"`
	// Before and After are the mean negative log-likelihood at 1 and at T.
	Before float64 `json:"nll_before"`
	After  float64 `json:"nll_after"`
	// AtBound says that the optimum lies outside the range: the samples are separable
	// (T would go to 0) or worse than chance (T would be infinite or negative).
	AtBound bool `json:"at_bound"`
}

// Range of temperatures.
const (
	MinTemperature = 0.01
	MaxTemperature = 100
)

// FitTemperature minimises the negative log-likelihood of logits [N, classes] over
// 1/T, in which it is convex. Fit on validation samples, never on those tested. ln p
// serves as logits where only probabilities are at hand.
func FitTemperature(logits []float64, classes int, truth []int) (Temperature, error) {
	if classes < 2 || len(truth) == 0 || len(logits) != classes*len(truth) {
		return Temperature{}, fmt.Errorf("%w: %d logits for %d samples of %d classes", ErrShape, len(logits), len(truth), classes)
	}
	for i, z := range logits {
		if math.IsNaN(z) || math.IsInf(z, 0) {
			return Temperature{}, &ValueError{i / classes, fmt.Sprintf("logit %v", z)}
		}
	}
	for i, y := range truth {
		if y < 0 || y >= classes {
			return Temperature{}, &ValueError{i, fmt.Sprintf("class %d", y)}
		}
	}
	beta, atBound := minimise(func(beta float64) float64 { _, d := scaledNLL(logits, classes, truth, beta); return d })
	t := Temperature{T: 1 / beta, AtBound: atBound}
	t.Before, _ = scaledNLL(logits, classes, truth, 1)
	t.After, _ = scaledNLL(logits, classes, truth, beta)
	return t, nil
}

// minimise finds the zero of a rising derivative by bisection to the last bit.
func minimise(derivative func(beta float64) float64) (beta float64, atBound bool) {
	lo, hi := 1.0/MaxTemperature, 1.0/MinTemperature
	if derivative(lo) >= 0 {
		return lo, true
	}
	if derivative(hi) <= 0 {
		return hi, true
	}
	for {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			return mid, false
		}
		if derivative(mid) < 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// scaledNLL is the mean NLL of softmax(βz) and its derivative, mean(E_p[z] − z_y).
func scaledNLL(logits []float64, classes int, truth []int, beta float64) (nll, derivative float64) {
	for i, y := range truth {
		z := logits[i*classes : (i+1)*classes]
		top := slices.Max(z)
		var sum, mean float64
		for _, v := range z {
			e := math.Exp(beta * (v - top))
			sum, mean = sum+e, mean+e*v
		}
		nll += math.Log(sum) - beta*(z[y]-top)
		derivative += mean/sum - z[y]
	}
	n := float64(len(truth))
	return nll / n, derivative / n
}
