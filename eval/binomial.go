package eval

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Rate is a proportion K of N with exact (Clopper–Pearson) bounds.
type Rate struct {
	// K of N samples.
	K int `json:"k"`
	N int `json:"n"`
	// Rate is K/N; undefined for N = 0, as are the bounds.
	Rate Measure `json:"rate"`
	// Lower and Upper are the two-sided interval.
	Lower Measure `json:"lower"`
	Upper Measure `json:"upper"`
	// UpperOneSided is the one-sided upper bound: for a rate of errors, the one to quote.
	UpperOneSided Measure `json:"upper_one_sided"`
	// Confidence of the bounds, 0.95 for example.
	Confidence float64 `json:"confidence"`
	// Method names the bounds.
	Method string `json:"method"`
}

// NewRate returns k of n at a confidence in (0, 1).
func NewRate(k, n int, confidence float64) Rate {
	r := Rate{K: k, N: n, Confidence: confidence, Method: "clopper-pearson"}
	if n == 0 {
		none := Undefined("no samples to count over")
		r.Rate, r.Lower, r.Upper, r.UpperOneSided = none, none, none, none
		return r
	}
	tail := (1 - confidence) / 2
	r.Rate = Defined(float64(k) / float64(n))
	r.Lower = Defined(LowerBound(k, n, 1-tail))
	r.Upper = Defined(UpperBound(k, n, 1-tail))
	r.UpperOneSided = Defined(UpperBound(k, n, confidence))
	return r
}

// UpperBound is the one-sided Clopper–Pearson upper bound of k successes in n ≥ 1
// trials: the p with P(X ≤ k) = 1−confidence. Without successes it is 1−(1−confidence)^(1/n).
func UpperBound(k, n int, confidence float64) float64 {
	switch {
	case k >= n:
		return 1
	case k == 0:
		return -math.Expm1(math.Log1p(-confidence) / float64(n))
	}
	return betaQuantile(float64(k)+1, float64(n-k), confidence)
}

// LowerBound is the one-sided Clopper–Pearson lower bound.
func LowerBound(k, n int, confidence float64) float64 {
	switch {
	case k <= 0:
		return 0
	case k >= n:
		return math.Exp(math.Log1p(-confidence) / float64(n))
	}
	return betaQuantile(float64(k), float64(n-k)+1, 1-confidence)
}

// betaQuantile inverts the regularised incomplete beta function by bisection to the
// last bit: slow, and without the lost digits of a quick inverse in the tails.
func betaQuantile(a, b, p float64) float64 {
	lo, hi := 0.0, 1.0
	for {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			return mid
		}
		if mathext.RegIncBeta(a, b, mid) < p {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// McNemar is the exact two-sided test of two classifiers on the same samples, of
// which b were right under the first only and c under the second only:
// p = min(1, 2·P(X ≤ min(b, c))), X binomial with b+c trials and ½.
func McNemar(b, c int) (p float64) {
	n, k := b+c, min(b, c)
	if n == 0 || b == c {
		return 1
	}
	return min(1, 2*mathext.RegIncBeta(float64(n-k), float64(k)+1, 0.5))
}

// Holm adjusts p-values of several tests so that the chance of any false rejection
// stays below the level (Holm 1979): sorted ascending, p_(i)·(m−i+1), made monotone.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out, floor := make([]float64, len(p)), 0.0
	for rank, i := range order {
		floor = max(floor, min(1, p[i]*float64(len(p)-rank)))
		out[i] = floor
	}
	return out
}
