package classifier

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// The softmax case was worked out by hand and with finite differences.
func TestFocalKnownCase(t *testing.T) {
	f := FocalLoss{Gamma: 2, Weights: []float64{1, 3, 5, 5}}
	z, grad := []float64{2, .5, -1, 0}, make([]float64, 4)
	l, err := f.Hard(z, 4, []int{0}, ReduceSum, grad)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", l.Value, .02877176, 5e-9)
	for k, want := range []float64{-.06522545, .03564893, .00795435, .02162217} {
		near(t, "gradient", grad[k], want, 5e-9)
	}
	l, _ = f.Hard(z, 4, []int{2}, ReduceSum, nil)
	near(t, "loss of class 2", l.Value, 15.5509884, 5e-8)
}

// The fact that p must come from the unweighted softmax: taking it from weighted
// cross-entropy would give 5.483.
func TestFocalWeightIsOutsideTheProbability(t *testing.T) {
	f := FocalLoss{Gamma: 2, Weights: []float64{1, 3, 5, 5}}
	l, err := f.Hard([]float64{2, .5, -1, 0}, 4, []int{1}, ReduceMean, nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", l.Value, 3.914, 5e-4)
}

// fvcore's sigmoid focal loss is the two-class softmax one with logits (0, x); its
// published identity is the ratio to cross-entropy α(1−p)^γ.
func TestFocalAgainstFvcore(t *testing.T) {
	want := map[float64]float64{.95: 6.412e-5, .9: 5.268e-4, .6: .040866, .3: .294973}
	f := FocalLoss{Gamma: 2, Weights: []float64{.5, .5}}
	for p, w := range want {
		l, err := f.Hard([]float64{0, math.Log(p / (1 - p))}, 2, []int{1}, ReduceSum, nil)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "loss", l.Value, w, w*2e-4)
	}
	p := []float64{.05, .9, .52, .45, .89, .8, .39, .5}
	y := []int{1, 0, 1, 0, 1, 1, 0, 1}
	z := make([]float64, 16)
	for i, v := range p {
		z[2*i+1] = math.Log(v / (1 - v))
	}
	l, err := FocalLoss{}.Hard(z, 2, y, ReduceMean, nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mean of γ 0", l.Value, 1.00965, 5e-6)
}

func randomCase(r *rand.Rand, n, k int) (z []float64, y []int, q []float64) {
	for range n {
		var sum float64
		row := make([]float64, k)
		for j := range row {
			z = append(z, r.NormFloat64()*3)
			row[j] = r.Float64()
			sum += row[j]
		}
		for j := range row {
			q = append(q, row[j]/sum)
		}
		y = append(y, r.IntN(k))
	}
	return z, y, q
}

func TestFocalGradientIsTheDerivative(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, gamma := range []float64{0, .3, 1, 2, 5} {
		for _, smoothing := range []float64{0, .1} {
			for _, red := range []Reduction{ReduceSum, ReduceMean, ReduceWeightedMean} {
				f := FocalLoss{Gamma: gamma, Weights: []float64{1, 3, 0, 5}, Smoothing: smoothing}
				z, y, q := randomCase(r, 5, 4)
				y[3] = Ignore
				hard := func(grad []float64) float64 { l, _ := f.Hard(z, 4, y, red, grad); return l.Value }
				soft := func(grad []float64) float64 { l, _ := f.Soft(z, 4, q, red, grad); return l.Value }
				checkDerivative(t, z, hard)
				checkDerivative(t, z, soft)
			}
		}
	}
}

func checkDerivative(t *testing.T, z []float64, value func(grad []float64) float64) {
	t.Helper()
	grad := make([]float64, len(z))
	value(grad)
	const h = 1e-5
	for i := range z {
		was := z[i]
		z[i] = was + h
		up := value(nil)
		z[i] = was - h
		down := value(nil)
		z[i] = was
		near(t, "gradient", grad[i], (up-down)/(2*h), 2e-8)
	}
	for i := 0; i < len(z); i += 4 {
		near(t, "sum of a row's gradient", grad[i]+grad[i+1]+grad[i+2]+grad[i+3], 0, 1e-14)
	}
}

// bigCrossEntropy is ln Σ exp(z_k − z_y) in 200 bits, by exp through its series.
func bigCrossEntropy(z []float64, y int) float64 {
	sum := new(big.Float).SetPrec(200)
	for _, v := range z {
		d := new(big.Float).SetPrec(200).Sub(big.NewFloat(v).SetPrec(200), big.NewFloat(z[y]))
		term, e := big.NewFloat(1).SetPrec(200), big.NewFloat(1).SetPrec(200)
		for k := 1; k < 400; k++ {
			term.Mul(term, d)
			term.Quo(term, big.NewFloat(float64(k)))
			e.Add(e, term)
		}
		sum.Add(sum, e)
	}
	// ln by Newton on exp: one correction of float64's ln doubles its digits.
	sum.Sub(sum, big.NewFloat(1))
	rest, _ := sum.Float64()
	return math.Log1p(rest)
}

func TestFocalGammaZeroIsCrossEntropy(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	f := FocalLoss{}
	for range 2000 {
		z, y, _ := randomCase(r, 1, 4)
		l, err := f.Hard(z, 4, y, ReduceSum, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := bigCrossEntropy(z, y[0])
		// Three rounded exponentials, sums and one logarithm: a few units in the last place.
		if rel := math.Abs(l.Value-want) / want; rel > 8*0x1p-53 {
			t.Fatalf("z %v, y %d: %.17g, want %.17g (%.1f ulp)", z, y[0], l.Value, want, rel/0x1p-53)
		}
	}
}

func TestFocalAtTheEnds(t *testing.T) {
	f := FocalLoss{Gamma: 2}
	grad := make([]float64, 2)
	for _, c := range []struct {
		name     string
		gamma    float64
		z        []float64
		y        int
		loss, dy float64
	}{
		{"p to 0", 2, []float64{0, 800}, 0, 800, -1},
		{"p to 1 underflows", 2, []float64{800, 0}, 0, 0, 0},
		{"p to 1, γ 0", 0, []float64{800, 0}, 0, 0, 0},
		// u = e^−40: L = u²·u to first order, dL/dz_y = −3u³.
		{"p close to 1", 2, []float64{40, 0}, 0, math.Exp(-120), -3 * math.Exp(-120)},
		// cross-entropy must not be 0 where 1 − p rounds to 0: −ln p = u.
		{"p close to 1, γ 0", 0, []float64{40, 0}, 0, math.Exp(-40), -math.Exp(-40)},
		{"shifted by a large number", 2, []float64{1e6, 1e6}, 0, .25 * math.Ln2, 0.25 * (2*.5*math.Log(.5)/.5 - 1) * .5},
	} {
		f.Gamma = c.gamma
		l, err := f.Hard(c.z, 2, []int{c.y}, ReduceSum, grad)
		if err != nil {
			t.Fatal(c.name, err)
		}
		near(t, c.name+": loss", l.Value, c.loss, 1e-12*math.Abs(c.loss))
		near(t, c.name+": gradient", grad[c.y], c.dy, 1e-12*math.Abs(c.dy))
	}
}

func TestFocalReductions(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	z, y, _ := randomCase(r, 6, 4)
	y[1], y[4] = Ignore, Ignore
	f := DefaultOptions().Loss
	none, err := f.Hard(z, 4, y, ReduceNone, nil)
	if err != nil {
		t.Fatal(err)
	}
	if none.Value != 0 || none.Samples != 4 || none.PerSample[1] != 0 {
		t.Errorf("none: %+v", none)
	}
	var sum, weight float64
	for i, v := range none.PerSample {
		sum += v
		if y[i] != Ignore {
			weight += f.Weights[y[i]]
		}
	}
	for red, norm := range map[Reduction]float64{ReduceSum: 1, ReduceMean: 4, ReduceWeightedMean: weight} {
		l, _ := f.Hard(z, 4, y, red, nil)
		near(t, string(red), l.Value, sum/norm, 0)
	}
}

func TestFocalNothingCounts(t *testing.T) {
	for _, red := range []Reduction{ReduceNone, ReduceSum, ReduceMean, ReduceWeightedMean} {
		f := DefaultOptions().Loss
		grad := []float64{9, 9, 9, 9}
		l, err := f.Hard([]float64{1, 2, 3, 4}, 4, []int{Ignore}, red, grad)
		if err != nil || !l.Empty || l.Value != 0 || grad[0] != 0 {
			t.Errorf("%s, ignored: %+v, %v, %v", red, l, grad, err)
		}
		if l, err = f.Hard(nil, 4, nil, red, nil); err != nil || !l.Empty || l.Value != 0 {
			t.Errorf("%s, no samples: %+v, %v", red, l, err)
		}
		f.Weights = make([]float64, 4)
		if l, err = f.Hard([]float64{1, 2, 3, 4}, 4, []int{1}, red, grad); err != nil || !l.Empty || l.Value != 0 || grad[1] != 0 {
			t.Errorf("%s, weights 0: %+v, %v, %v", red, l, grad, err)
		}
	}
}

func TestFocalSoftOneHotIsHard(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	z, y, _ := randomCase(r, 4, 4)
	q := make([]float64, 16)
	for i, k := range y {
		q[4*i+k] = 1
	}
	for _, smoothing := range []float64{0, .2} {
		f := DefaultOptions().Loss
		f.Smoothing = smoothing
		a, b := make([]float64, 16), make([]float64, 16)
		h, _ := f.Hard(z, 4, y, ReduceMean, a)
		s, err := f.Soft(z, 4, q, ReduceMean, b)
		if err != nil || h.Value != s.Value {
			t.Errorf("hard %v, soft %v, %v", h.Value, s.Value, err)
		}
		for i := range a {
			near(t, "gradient", b[i], a[i], 0)
		}
	}
}

func TestFocalBadInput(t *testing.T) {
	f := DefaultOptions().Loss
	var row *LossError
	var opt *OptionError
	hard := func(f FocalLoss, z []float64, k int, y []int) error {
		_, err := f.Hard(z, k, y, ReduceMean, nil)
		return err
	}
	soft := func(z, q []float64) error { _, err := f.Soft(z, 4, q, ReduceMean, nil); return err }
	z := []float64{1, 2, 3, 4}
	for name, err := range map[string]error{
		"NaN": hard(f, []float64{1, 2, math.NaN(), 4}, 4, []int{0}), "infinite": hard(f, []float64{1, 2, math.Inf(-1), 4}, 4, []int{0}),
		"target": hard(f, z, 4, []int{4}), "negative label": soft(z, []float64{-1, 2, 0, 0}),
		"sum": soft(z, []float64{.5, .4, 0, 0}), "NaN label": soft(z, []float64{math.NaN(), 0, 0, 0}),
	} {
		if !errors.As(err, &row) || row.Row != 0 || err.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Hard(z, 4, []int{0}, "", nil); !errors.As(err, &opt) {
		t.Errorf("reduction: %v", err)
	}
	for name, change := range map[string]func(*FocalLoss){
		"gamma":   func(f *FocalLoss) { f.Gamma = math.NaN() },
		"weights": func(f *FocalLoss) { f.Weights = []float64{1} }, "weight": func(f *FocalLoss) { f.Weights = []float64{1, 1, 1, -1} },
		"smoothing": func(f *FocalLoss) { f.Smoothing = 1 },
	} {
		f := DefaultOptions().Loss
		change(&f)
		if err := hard(f, z, 4, []int{0}); !errors.As(err, &opt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !errors.Is(hard(f, z, 4, []int{0, 1}), ErrShape) || !errors.Is(soft(z, []float64{1}), ErrShape) {
		t.Error("wrong shapes are accepted")
	}
}

func TestBalancedWeights(t *testing.T) {
	w, err := BalancedWeights([]int{100, 10, 1, 1000}, .99)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for k, n := range []int{100, 10, 1, 1000} {
		sum += w[k]
		near(t, "ratio", w[k]/w[2], .01/(1-math.Pow(.99, float64(n))), 1e-12)
	}
	near(t, "sum", sum, 4, 1e-14)
	if w, _ = BalancedWeights([]int{3, 9}, 0); w[0] != 1 || w[1] != 1 {
		t.Error(w)
	}
	w, _ = BalancedWeights([]int{3, 9}, 1)
	near(t, "1/n", w[0], 1.5, 1e-15)
	if _, err = BalancedWeights([]int{3, 0}, .9); !errors.Is(err, ErrNoSamples) {
		t.Error(err)
	}
}

// A zero weight of the hard target leaves what smoothing gives to the other classes.
func TestFocalSmoothingOverZeroWeight(t *testing.T) {
	f := FocalLoss{Weights: []float64{0, 1}, Smoothing: .2}
	z, grad := []float64{0, 0}, make([]float64, 2)
	l, err := f.Hard(z, 2, []int{0}, ReduceMean, grad)
	if err != nil || l.Empty {
		t.Fatal(l, err)
	}
	near(t, "loss", l.Value, .1*math.Ln2, 1e-15)
	l, err = f.Hard(z, 2, []int{0}, ReduceWeightedMean, grad)
	if err != nil || !l.Empty || l.Value != 0 || grad[0] != 0 {
		t.Errorf("%+v, %v, %v", l, grad, err)
	}
}
