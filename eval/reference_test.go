package eval

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/label"
)

func matrix(t *testing.T, classes int, truth, pred []int) Confusion {
	t.Helper()
	c, err := NewConfusion(classes, truth, pred)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func value(t *testing.T, m Measure) float64 {
	t.Helper()
	v, ok := m.Value()
	if !ok {
		t.Errorf("undefined: %s", m.Reason())
	}
	return v
}

// Examples printed in scikit-learn's documentation.
func TestDocumentedF1(t *testing.T) {
	c := matrix(t, 3, []int{0, 1, 2, 0, 1, 2}, []int{0, 2, 1, 0, 0, 1})
	for k, want := range []float64{.8, 0, 0} {
		within(t, "F1", value(t, c.F1(k)), want, 1e-15)
	}
	within(t, "macro", value(t, c.Macro(c.F1, OverUnion, 0)), .8/3, 1e-15)
	within(t, "micro", value(t, c.Accuracy()), 1./3, 1e-15)
	c = matrix(t, 3, []int{0, 1, 2, 2, 2}, []int{0, 0, 2, 2, 1})
	within(t, "macro", value(t, c.Macro(c.F1, OverUnion, 0)), .49, .005)
	c = matrix(t, 3, []int{0, 0, 0}, []int{0, 0, 1})
	within(t, "macro of labels 1 to 3", value(t, c.Macro(c.F1, OverFixed, 0)), .27, .005)
}

// pytorch/torcheval issue 176: the union of classes and all five differ.
func TestMacroOverUnionAndFixed(t *testing.T) {
	c := matrix(t, 5, []int{2, 1, 0, 4}, []int{2, 1, 0, 1})
	within(t, "union", value(t, c.Macro(c.F1, OverUnion, 0)), 2./3, 1e-15)
	within(t, "fixed", value(t, c.Macro(c.F1, OverFixed, 0)), 8./15, 1e-15)
}

func TestDocumentedMCC(t *testing.T) {
	c := matrix(t, 2, []int{1, 1, 1, 0}, []int{1, 0, 1, 1})
	within(t, "binary", value(t, c.MCC()), -1./3, 1e-15)
	c = matrix(t, 3, []int{2, 1, 0, 0}, []int{2, 1, 0, 1})
	within(t, "three classes", value(t, c.MCC()), .7, 1e-4)
	c = matrix(t, 3, []int{1, 1}, []int{1, 1})
	within(t, "one class", value(t, c.MCC()), 0, 0)
}

// torchmetrics' own examples.
func TestDocumentedCalibrationError(t *testing.T) {
	p := []float64{.25, .20, .55, .55, .05, .40, .10, .30, .60, .90, .05, .05}
	conf, right := TopLabel(p, 3, []int{0, 1, 2, 0})
	bins, err := Bins(conf, right, 3, EqualWidth)
	if err != nil {
		t.Fatal(err)
	}
	e := ErrorOf(bins)
	within(t, "l1", value(t, e.L1), .2, 5e-5)
	within(t, "l2", value(t, e.L2), .2082, 5e-5)
	within(t, "max", value(t, e.Max), .2333, 5e-5)
	bins, _ = Bins([]float64{.25, .25, .55, .75, .75}, []bool{false, false, true, true, true}, 2, EqualWidth)
	e = ErrorOf(bins)
	within(t, "binary l1", value(t, e.L1), .29, 5e-5)
	within(t, "binary l2", value(t, e.L2), .2918, 5e-5)
	within(t, "binary max", value(t, e.Max), .3167, 5e-5)
}

func TestDocumentedBrierAndAP(t *testing.T) {
	p := []float64{.9, .1, .1, .9, .2, .8, .7, .3}
	within(t, "Brier, twice the binary", value(t, Brier(p, 2, []int{0, 1, 1, 0})), 2*.0375, 1e-15)
	r, err := NewRanking([]float64{.1, .4, .35, .8}, []bool{false, false, true, true})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "AP", value(t, r.AveragePrecision()), 5./6, 1e-15)
	within(t, "AUROC", value(t, r.AUROC()), .75, 1e-15)
}

func TestZeroMissesNeedManySamples(t *testing.T) {
	for n, limit := range map[int]float64{299: .01, 2995: .001} {
		if UpperBound(0, n, .95) > limit || UpperBound(0, n-1, .95) <= limit {
			t.Errorf("%d samples do not bound %g", n, limit)
		}
	}
	if UpperBound(20, 2995, .95) > .01 || UpperBound(21, 2995, .95) <= .01 {
		t.Error("20 misses of 2,995 are the most that bound 1 %")
	}
}

func TestBinEdges(t *testing.T) {
	for bins := 1; bins <= 60; bins++ {
		for k := range bins {
			edge := float64(k) / float64(bins)
			if got := widthBin(edge, bins); got != k {
				t.Errorf("%d of %d bins: edge in bin %d", k, bins, got)
			}
			if below := math.Nextafter(edge, -1); k > 0 && widthBin(below, bins) != k-1 {
				t.Errorf("%d of %d bins: below the edge in bin %d", k, bins, widthBin(below, bins))
			}
		}
		if widthBin(1, bins) != bins-1 {
			t.Errorf("%d bins: confidence 1 is in bin %d", bins, widthBin(1, bins))
		}
	}
}

func TestMassBinsDoNotSplitTies(t *testing.T) {
	conf := []float64{.5, .2, .5, .5, .9, .2, .5, .5}
	right := []bool{true, false, false, true, true, true, false, true}
	bins, err := Bins(conf, right, 4, EqualMass)
	if err != nil {
		t.Fatal(err)
	}
	want := []Bin{{.2, .2, 2, .2, .5}, {.5, .5, 5, .5, .6}, {.9, .9, 1, .9, 1}}
	if len(bins) != len(want) {
		t.Fatal(bins)
	}
	for i, b := range bins {
		if b != want[i] {
			t.Errorf("bin %d: %+v, want %+v", i, b, want[i])
		}
	}
	uniform := make([]float64, 100)
	for i := range uniform {
		uniform[i] = float64(i) / 100
	}
	bins, _ = Bins(uniform, make([]bool, 100), 7, EqualMass)
	for _, b := range bins {
		if b.N < 14 || b.N > 15 {
			t.Errorf("bin of %d", b.N)
		}
	}
}

func TestAbsentClassIsUndefined(t *testing.T) {
	c := matrix(t, 4, []int{0, 0, 1}, []int{0, 1, 1})
	for name, m := range map[string]Measure{"precision": c.Precision(2), "recall": c.Recall(3), "F1": c.F1(2),
		"accuracy of nothing": (Confusion{{0}}).Accuracy(), "MCC of nothing": (Confusion{{0}}).MCC(), "NaN": Defined(math.NaN())} {
		if v, ok := m.Value(); ok || !math.IsNaN(v) || m.Reason() == "" {
			t.Errorf("%s: %v", name, m)
		}
	}
	s, err := NewSafety(c, .95, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.FalseAllow.Rate.Value(); ok || s.FalseAllow.N != 0 {
		t.Errorf("false-allow rate without unsafe samples: %+v", s.FalseAllow)
	}
	r, _ := NewRanking([]float64{.1, .2}, []bool{true, true})
	if _, ok := r.AUROC().Value(); ok {
		t.Error("AUROC without negatives")
	}
}

func TestSafetyRates(t *testing.T) {
	c := Confusion{{8, 1, 1, 0}, {2, 5, 0, 3}, {1, 2, 6, 1}, {0, 3, 4, 3}}
	cost := [][]float64{{0, 1, 2, 2}, {3, 0, 1, 1}, {10, 1, 0, 0}, {10, 1, 0, 0}}
	s, err := NewSafety(c, .95, cost)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct {
		r    Rate
		k, n int
	}{"false allow": {s.FalseAllow, 1, 20}, "escalation allowed": {s.EscalationAllowed, 2, 10}, "swapped": {s.Swapped, 5, 20},
		"over-refusal": {s.OverRefusal, 1, 10}, "load": {s.EscalationLoad, 11, 40}} {
		if w.r.K != w.k || w.r.N != w.n {
			t.Errorf("%s: %d of %d, want %d of %d", name, w.r.K, w.r.N, w.k, w.n)
		}
	}
	within(t, "cost", value(t, s.Cost), (1+2+6+3+10+2+3)/40., 1e-15)
}

func TestTemperatureRecoversTheScale(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var z []float64
	var y []int
	for range 20000 {
		row, u, sum := make([]float64, 4), r.Float64(), 0.0
		var e [4]float64
		for k := range row {
			row[k] = 2 * r.NormFloat64()
			e[k] = math.Exp(row[k])
			sum += e[k]
		}
		k := 0
		for u -= e[0] / sum; u > 0 && k < 3; u -= e[k] / sum {
			k++
		}
		for _, v := range row {
			z = append(z, 3*v)
		}
		y = append(y, k)
	}
	fit, err := FitTemperature(z, 4, y)
	if err != nil || fit.AtBound {
		t.Fatal(fit, err)
	}
	within(t, "temperature", fit.T, 3, .1)
	if fit, _ = FitTemperature([]float64{1, 0, 0, 1}, 2, []int{0, 1}); !fit.AtBound || fit.T != MinTemperature {
		t.Errorf("separable: %+v", fit)
	}
	if fit, _ = FitTemperature([]float64{1, 0, 0, 1}, 2, []int{1, 0}); !fit.AtBound || fit.T != MaxTemperature {
		t.Errorf("always wrong: %+v", fit)
	}
	var ve *ValueError
	if _, err := FitTemperature([]float64{1, math.NaN()}, 2, []int{1}); !errors.As(err, &ve) {
		t.Error(err)
	}
}

func TestCertifiedThreshold(t *testing.T) {
	for _, c := range []struct {
		name     string
		method   Certificate
		n        int
		alpha    float64
		feasible bool
	}{
		{"risk, 98", ConformalRisk, 98, .01, false}, {"risk, 99", ConformalRisk, 99, .01, true},
		{"risk, 998", ConformalRisk, 998, .001, false}, {"risk, 999", ConformalRisk, 999, .001, true},
		{"test, 298", LearnThenTest, 298, .01, false}, {"test, 299", LearnThenTest, 299, .01, true},
		{"test, 2994", LearnThenTest, 2994, .001, false}, {"test, 2995", LearnThenTest, 2995, .001, true},
		{"risk, none", ConformalRisk, 0, .01, false}, {"test, none", LearnThenTest, 0, .01, false},
	} {
		scores := make([]float64, c.n)
		for i := range scores {
			scores[i] = float64(i) / 4000
		}
		got, err := CertifyAllow(scores, c.method, c.alpha, .05)
		if err != nil || got.Feasible != c.feasible || (got.Reason == "") != c.feasible {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if c.feasible && (got.Misses != 0 || got.Tau != scores[c.n-1]) {
			t.Errorf("%s: %+v, want the largest score and no miss", c.name, got)
		}
		if !c.feasible && got.Apply(label.Allow, 1) != label.Escalation {
			t.Errorf("%s: an infeasible threshold allows", c.name)
		}
	}
}

func TestThresholdSpendsItsMisses(t *testing.T) {
	// 2,995 samples at 1 % and 95 % may miss 20, so τ is the 21st largest score.
	scores := make([]float64, 2995)
	for i := range scores {
		scores[i] = float64(i) / 3000
	}
	got, err := CertifyAllow(scores, LearnThenTest, .01, .05)
	if err != nil || got.Misses != 20 || got.Tau != scores[2995-21] {
		t.Errorf("%+v, %v", got, err)
	}
	// Ties stay together; −1 marks what is never allowed.
	got, _ = CertifyAllow([]float64{.9, .9, .9, .5, -1, -1, -1, -1, -1, -1}, ConformalRisk, .3, 0)
	if got.Tau != .9 || got.Misses != 0 {
		t.Errorf("%+v", got)
	}
	got, _ = CertifyAllow([]float64{.9, .8, -1, -1, -1, -1, -1, -1, -1, -1}, ConformalRisk, .3, 0)
	if got.Tau != 0 || got.Misses != 2 || !got.Feasible {
		t.Errorf("%+v", got)
	}
	got, _ = CertifyAllow([]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, ConformalRisk, .3, 0)
	if got.Feasible || got.Tau != 1 || got.Reason == "" {
		t.Errorf("%+v", got)
	}
}

// Over fresh calibration sets the true rate at τ exceeds α in at most a share δ
// (Learn-then-Test), and its mean is at most α (risk control).
func TestCertificatesHold(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	const trials, n, alpha, delta = 2000, 400, .05, .1
	var over, mean float64
	scores := make([]float64, n)
	for range trials {
		for i := range scores {
			scores[i] = r.Float64()
		}
		ltt, _ := CertifyAllow(scores, LearnThenTest, alpha, delta)
		if 1-ltt.Tau > alpha { // scores are uniform: the true rate is 1 − τ
			over++
		}
		crc, _ := CertifyAllow(scores, ConformalRisk, alpha, 0)
		mean += (1 - crc.Tau) / trials
	}
	if over/trials > delta+.02 || over == 0 {
		t.Errorf("exceeded in %g of sets, want up to %g", over/trials, delta)
	}
	if mean > alpha+.001 || mean < alpha-.005 {
		t.Errorf("mean rate %g, want about %g", mean, alpha)
	}
}

func TestThresholdOnlyAddsRefusals(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 10000 {
		th := Threshold{Tau: r.Float64(), Feasible: r.IntN(4) > 0}
		class, _ := label.FromIndex(r.IntN(4))
		got := th.Apply(class, r.Float64())
		if got != class && !(class == label.Allow && got == label.Escalation) {
			t.Fatalf("%v became %v", class, got)
		}
	}
	if (Threshold{Feasible: true, Tau: .5}).Apply(label.Allow, math.NaN()) != label.Escalation {
		t.Error("NaN is allowed")
	}
}

func TestBadValues(t *testing.T) {
	var ve *ValueError
	var oe *OptionError
	check := func(name string, err error, as any) {
		t.Helper()
		if !errors.As(err, as) || err.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := NewConfusion(2, []int{0, 2}, []int{0, 0})
	check("class", err, &ve)
	_, err = NewRanking([]float64{math.NaN()}, []bool{true})
	check("NaN score", err, &ve)
	_, err = Bins([]float64{1.5}, []bool{true}, 3, EqualWidth)
	check("confidence", err, &ve)
	check("sum", CheckProbabilities([]float64{.5, .4}, 2), &ve)
	_, err = CertifyAllow([]float64{2}, ConformalRisk, .1, 0)
	check("score", err, &ve)
	_, err = CertifyAllow(nil, "magic", .1, 0)
	check("method", err, &oe)
	_, err = CertifyAllow(nil, ConformalRisk, 0, 0)
	check("alpha", err, &oe)
	_, err = CertifyAllow(nil, LearnThenTest, .1, 1)
	check("delta", err, &oe)
	_, err = NewSafety(Confusion{{1}}, .95, nil)
	check("classes", err, &oe)
	if _, err = NewConfusion(2, []int{0}, nil); !errors.Is(err, ErrShape) {
		t.Error(err)
	}
}
