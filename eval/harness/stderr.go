package harness

import "math"

// Estimate is the mean of a number of items with its standard error.
type Estimate struct {
	// Value is the mean; 0 when N is 0.
	Value float64 `json:"value"`
	// StdErr is the sample standard deviation over √N; null below two items.
	StdErr *float64 `json:"stderr"`
	// N is the number of items.
	N int `json:"n"`
}

// estimate returns the mean and the standard error of the mean, √(Σ(x−x̄)²/(N−1)/N),
// as lm_eval.api.metrics.mean_stderr does.
func estimate(x []float64) Estimate {
	e := Estimate{N: len(x)}
	if len(x) == 0 {
		return e
	}
	for _, v := range x {
		e.Value += v
	}
	e.Value /= float64(len(x))
	if len(x) < 2 {
		return e
	}
	var ss float64
	for _, v := range x {
		ss += (v - e.Value) * (v - e.Value)
	}
	se := math.Sqrt(ss / float64(len(x)-1) / float64(len(x)))
	e.StdErr = &se
	return e
}
