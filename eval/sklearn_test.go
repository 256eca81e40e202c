package eval

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// vectors.json was made by testdata/make_vectors.py with scikit-learn 1.9.1, SciPy
// 1.17.1 and statsmodels 0.15.0.
type vectors struct {
	Cases []struct {
		Truth, Pred                           []int
		Prob, Logits                          []float64
		Confusion                             Confusion
		Accuracy, MCC, Brier, NLL             float64
		PerClass                              [3][4]*float64 `json:"per_class"`
		Union, Fixed, Fixed1, Omit, Supported averages
		AUROC, AP                             [4]*float64
		TemperatureNLL                        float64 `json:"temperature_nll"`
		Temperature                           float64
	}
	Bounds    [][5]float64
	McNemar   [][3]float64
	Bootstrap struct{ X, Dist, BCa, Percentile []float64 }
	Holm      struct{ P, Adjusted []float64 }
}

type averages struct{ Macro, Weighted, Micro [3]*float64 }

func load(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// same wants m within 1e-12 of want, undefined for nil.
func same(t *testing.T, what string, m Measure, want *float64) {
	t.Helper()
	v, ok := m.Value()
	switch {
	case ok != (want != nil):
		t.Errorf("%s = %v, want defined: %t", what, m, want != nil)
	case ok && !(math.Abs(v-*want) <= 1e-12):
		t.Errorf("%s = %.17g, want %.17g", what, v, *want)
	}
}

func within(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.17g, want %.17g", what, got, want)
	}
}

func TestAgreementEqualsSklearn(t *testing.T) {
	for _, v := range load(t).Cases {
		c, err := NewConfusion(4, v.Truth, v.Pred)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "accuracy", c.Accuracy(), &v.Accuracy)
		same(t, "MCC", c.MCC(), &v.MCC)
		metrics := [3]func(int) Measure{c.Precision, c.Recall, c.F1}
		for i, f := range metrics {
			for k := range 4 {
				same(t, "per class", f(k), v.PerClass[i][k])
			}
			same(t, "macro union", c.Macro(f, OverUnion, 0), v.Union.Macro[i])
			same(t, "macro fixed", c.Macro(f, OverFixed, 0), v.Fixed.Macro[i])
			same(t, "macro fixed, 1", c.Macro(f, OverFixed, 1), v.Fixed1.Macro[i])
			same(t, "macro, omitted", c.Macro(f, OverFixed, Omit), v.Omit.Macro[i])
			same(t, "macro supported", c.Macro(f, OverSupported, 0), v.Supported.Macro[i])
			same(t, "weighted", c.Weighted(f), v.Fixed.Weighted[i])
		}
		for i, row := range v.Confusion {
			for j, n := range row {
				if c[i][j] != n {
					t.Errorf("confusion %v, want %v", c, v.Confusion)
				}
			}
		}
	}
}

func TestProbabilitiesEqualSklearn(t *testing.T) {
	for _, v := range load(t).Cases {
		same(t, "Brier", Brier(v.Prob, 4, v.Truth), &v.Brier)
		same(t, "NLL", NLL(v.Prob, 4, v.Truth), &v.NLL)
		for k := range 4 {
			r, err := NewRanking(OneVsRest(v.Prob, 4, v.Truth, k))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "AUROC", r.AUROC(), v.AUROC[k])
			same(t, "AP", r.AveragePrecision(), v.AP[k])
		}
	}
}

func TestTemperatureEqualsScipy(t *testing.T) {
	for _, v := range load(t).Cases {
		fit, err := FitTemperature(v.Logits, 4, v.Truth)
		if err != nil || fit.AtBound {
			t.Fatal(fit, err)
		}
		within(t, "temperature", fit.T, v.Temperature, 1e-6)
		within(t, "NLL", fit.After, v.TemperatureNLL, 1e-12)
		within(t, "NLL at 1", fit.Before, v.NLL, 1e-12)
	}
}

func TestBoundsEqualScipy(t *testing.T) {
	for _, b := range load(t).Bounds {
		r := NewRate(int(b[0]), int(b[1]), .95)
		same(t, "lower", r.Lower, &b[2])
		same(t, "upper", r.Upper, &b[3])
		same(t, "one-sided upper", r.UpperOneSided, &b[4])
	}
}

func TestMcNemarAndHolmEqualScipyAndStatsmodels(t *testing.T) {
	v := load(t)
	for _, m := range v.McNemar {
		within(t, "McNemar", McNemar(int(m[0]), int(m[1])), m[2], 1e-12)
	}
	for i, p := range Holm(v.Holm.P) {
		within(t, "Holm", p, v.Holm.Adjusted[i], 1e-15)
	}
}

// SciPy's replicates, our intervals.
func TestBCaEqualsScipy(t *testing.T) {
	b := load(t).Bootstrap
	mean := func(idx []int) Measure {
		var sum float64
		for _, i := range idx {
			sum += b.X[i]
		}
		return Defined(sum / float64(len(idx)))
	}
	s := samples{statistic: mean}
	for i := range b.X {
		s.clusters = append(s.clusters, []int{i})
	}
	estimate, _ := s.drawn(ones(len(b.X))).Value()
	got := bca(b.Dist, estimate, defined(s.without()), .025)
	same(t, "BCa low", got[0], &b.BCa[0])
	same(t, "BCa high", got[1], &b.BCa[1])
	within(t, "percentile low", quantile(b.Dist, .025), b.Percentile[0], 1e-12)
	within(t, "percentile high", quantile(b.Dist, .975), b.Percentile[1], 1e-12)
	// Our own replicates give about the same interval.
	iv := Bootstrap(s.clusters, mean, .95, BootstrapOptions{Replicates: 4000, Seed: 1})
	for i, m := range iv.BCa {
		v, _ := m.Value()
		within(t, "own BCa", v, b.BCa[i], .08)
	}
}
