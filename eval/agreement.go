package eval

import "math"

// Over says which classes a macro average runs over.
type Over string

// Averages over classes.
const (
	OverUnion     Over = "union"     // classes in truth or prediction: scikit-learn's default
	OverFixed     Over = "fixed"     // all classes, seen or not
	OverSupported Over = "supported" // classes that have true samples
)

// Omit, as the value for an undefined ratio, leaves the class out of the average.
var Omit = math.NaN()

// Precision is TP/(TP+FP) of class k.
func (c Confusion) Precision(k int) Measure {
	return ratio(float64(c[k][k]), float64(c.Predicted(k)), "the class was never predicted")
}

// Recall is TP/(TP+FN) of class k.
func (c Confusion) Recall(k int) Measure {
	return ratio(float64(c[k][k]), float64(c.Support(k)), "no sample of the class")
}

// F1 is 2TP/(2TP+FP+FN) of class k.
func (c Confusion) F1(k int) Measure {
	return ratio(2*float64(c[k][k]), float64(c.Predicted(k)+c.Support(k)), "the class is neither in truth nor in prediction")
}

// Accuracy is the share of correct samples.
func (c Confusion) Accuracy() Measure {
	return ratio(float64(c.Correct()), float64(c.Total()), "no samples")
}

// Macro is the unweighted mean of metric over classes. zero stands for an undefined
// ratio, as scikit-learn's zero_division: 0, 1 or Omit.
func (c Confusion) Macro(metric func(k int) Measure, over Over, zero float64) Measure {
	var sum, n float64
	for k := range c {
		if !c.included(k, over) {
			continue
		}
		v, ok := metric(k).Value()
		if !ok {
			v = zero
		}
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	return ratio(sum, n, "no class to average over")
}

func (c Confusion) included(k int, over Over) bool {
	switch over {
	case OverUnion:
		return c.Support(k)+c.Predicted(k) > 0
	case OverSupported:
		return c.Support(k) > 0
	}
	return true
}

// Weighted is the mean of metric weighted by support; an undefined ratio counts 0.
func (c Confusion) Weighted(metric func(k int) Measure) Measure {
	var sum float64
	for k := range c {
		if v, ok := metric(k).Value(); ok {
			sum += v * float64(c.Support(k))
		}
	}
	return ratio(sum, float64(c.Total()), "no samples")
}

// MCC is Matthews' correlation coefficient for any number of classes,
// (cs−Σp_k t_k)/√((s²−Σp_k²)(s²−Σt_k²)) (Gorodkin 2004), with c correct of s samples,
// p_k predicted and t_k true. A zero denominator, one class only on either side, gives
// 0, as scikit-learn has it; without samples it is undefined.
func (c Confusion) MCC() Measure {
	s := float64(c.Total())
	if s == 0 {
		return Undefined("no samples")
	}
	var pt, pp, tt float64
	for k := range c {
		p, t := float64(c.Predicted(k)), float64(c.Support(k))
		pt, pp, tt = pt+p*t, pp+p*p, tt+t*t
	}
	d := math.Sqrt(s*s-pp) * math.Sqrt(s*s-tt)
	if d == 0 {
		return Defined(0)
	}
	return Defined((float64(c.Correct())*s - pt) / d)
}
