package classifier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/label"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.10g, want %.10g", what, got, want)
	}
}

// The expected values were computed by finite differences outside this package.
func TestFocalLossReferenceValues(t *testing.T) {
	f, z := FocalLoss{Gamma: 2, Weights: []float64{1, 3, 5, 5}}, []float64{2, .5, -1, 0}
	loss, grad, err := f.Mean(z, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", loss, .02877176, 1e-8)
	for i, want := range []float64{-.06522545, .03564893, .00795435, .02162217} {
		near(t, "gradient", grad[i], want, 1e-8)
	}
	loss, _, err = f.Mean(z, []int{2})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", loss, 15.5509884, 1e-6)
}

func TestFocalGradientMatchesCentralDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f := FocalLoss{Gamma: 3 * rng.Float64(), Weights: []float64{1, 3, 5, 5}, Smoothing: 0.2 * rng.Float64()}
		z, y := make([]float64, 8), []int{rng.IntN(4), rng.IntN(4)}
		for i := range z {
			z[i] = 4 * rng.NormFloat64()
		}
		for name, reduce := range map[string]func([]float64, []int) (float64, []float64, error){"mean": f.Mean, "weighted": f.WeightedMean} {
			_, grad, err := reduce(z, y)
			if err != nil {
				t.Fatal(err)
			}
			for i := range z {
				const h = 1e-5
				v := z[i]
				z[i] = v + h
				up, _, _ := reduce(z, y)
				z[i] = v - h
				down, _, _ := reduce(z, y)
				z[i] = v
				near(t, name, grad[i], (up-down)/(2*h), 1e-6)
			}
		}
	}
}

func TestFocalLossWithoutFocusIsCrossEntropy(t *testing.T) {
	z := []float64{0.3, -2, 5, 1}
	loss, grad, err := FocalLoss{}.Mean(z, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", loss, -logSoftmax(z)[1], 1e-15)
	sum := 0.0
	for _, g := range grad {
		sum += g
	}
	near(t, "sum of the gradient", sum, 0, 1e-15)
}

func TestFocalLossAtTheEnds(t *testing.T) {
	f := FocalLoss{Gamma: 2}
	for _, z := range [][]float64{{800, 0, 0, 0}, {-800, 0, 0, 0}, {1e308, -1e308, 0, 0}} {
		loss, grad, err := f.Mean(z, []int{0})
		if err != nil || math.IsNaN(loss) || math.IsInf(loss, 0) && z[0] > -1e300 && z[0] > 0 {
			t.Errorf("%v: loss %v, %v", z, loss, err)
		}
		for _, g := range grad {
			if math.IsNaN(g) {
				t.Errorf("%v: gradient %v", z, grad)
			}
		}
	}
}

func TestFocalLossRefusesBadInput(t *testing.T) {
	for name, f := range map[string]func() error{
		"NaN logit":      func() error { _, _, err := FocalLoss{}.Mean([]float64{math.NaN(), 0}, []int{0}); return err },
		"unknown target": func() error { _, _, err := FocalLoss{}.Mean([]float64{1, 0}, []int{2}); return err },
		"no rows":        func() error { _, _, err := FocalLoss{}.Mean(nil, nil); return err },
		"wrong weights": func() error {
			_, _, err := FocalLoss{Weights: []float64{1}}.Mean([]float64{1, 0}, []int{0})
			return err
		},
	} {
		var le *LossError
		if err := f(); !errors.As(err, &le) {
			t.Errorf("%s: %v", name, err)
		}
	}
	loss, _, err := FocalLoss{}.Mean([]float64{1, 0}, []int{-1})
	if loss != 0 || err != nil {
		t.Errorf("all rows ignored: %v, %v", loss, err)
	}
}

func TestBalancedWeights(t *testing.T) {
	w, err := BalancedWeights([]int{100, 10, 10, 1}, 0.99)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "sum", w[0]+w[1]+w[2]+w[3], 4, 1e-12)
	if !(w[0] < w[1] && w[1] == w[2] && w[2] < w[3]) {
		t.Errorf("weights %v", w)
	}
	if _, err := BalancedWeights([]int{1, 0}, 0.9); err == nil {
		t.Error("an empty class was accepted")
	}
}

// letters is a backbone whose features are letter counts.
type letters struct{}

func (letters) Width() int { return 26 }

func (letters) Features(_ context.Context, texts []string) ([]float32, error) {
	x := make([]float32, 26*len(texts))
	for i, text := range texts {
		if text == "bad" {
			return nil, &InputError{i, errors.New("cannot read")}
		}
		for _, r := range text {
			if r >= 'a' && r <= 'z' {
				x[26*i+int(r-'a')]++
			}
		}
	}
	return x, nil
}

// letterData gives each class its own letter among noise.
func letterData(n int, seed uint64) []Example {
	rng := rand.New(rand.NewPCG(seed, 1))
	var out []Example
	for i := range n {
		c, _ := label.FromIndex(i % 4)
		text := string(rune('a' + i%4))
		for range 3 {
			text += string(rune('e' + rng.IntN(20)))
		}
		out = append(out, Example{text, c})
	}
	return out
}

func testOptions() Options {
	o := DefaultOptions()
	o.Epochs, o.HeadRate, o.SaveSeconds = 8, 0.05, 0
	return o
}

func TestTrainLearnsAndPredicts(t *testing.T) {
	head, rep, err := Train(context.Background(), letters{}, letterData(200, 1), letterData(80, 2), testOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.BestMacroF1 < 0.95 {
		t.Errorf("macro F1 %g", rep.BestMacroF1)
	}
	dir := t.TempDir()
	if err := SaveHead(dir, head, testOptions()); err != nil {
		t.Fatal(err)
	}
	loaded, _, err := LoadHead(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	j := &Judge{Head: loaded, Backbone: letters{}, BatchSize: 3}
	preds, failed, err := j.Predict(context.Background(), []string{"dxyz", "bad", "", "axyz"})
	if err != nil || failed != 2 {
		t.Fatal(preds, failed, err)
	}
	for i, want := range []label.Class{label.Refuse, label.Escalation, label.Escalation, label.Allow} {
		if preds[i].Class != want {
			t.Errorf("text %d: %v, want %v", i, preds[i], want)
		}
	}
}

func TestPredictFailsClosedOnNaN(t *testing.T) {
	h := NewHead(26, 4, 1)
	h.B[0] = float32(math.NaN())
	preds, failed, err := (&Judge{Head: h, Backbone: letters{}, BatchSize: 2}).Predict(context.Background(), []string{"a", "b"})
	if err != nil || failed != 2 || preds[0].Class != label.Escalation {
		t.Error(preds, failed, err)
	}
}

func TestResumedTrainingIsBitEqual(t *testing.T) {
	o := testOptions()
	o.SaveSteps = 3
	train, val := letterData(100, 1), letterData(40, 2)
	whole, wrep, err := Train(context.Background(), letters{}, train, val, o, Env{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ck")
	run := func(ctx context.Context, stop int, cancel func()) (*Head, Report, error) {
		s, err := checkpoint.Open(dir, checkpoint.DefaultOptions(), checkpoint.Env{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		env := Env{Checkpoints: s, Progress: func(step, _ int, _ float64) {
			if step == stop {
				cancel()
			}
		}}
		return Train(ctx, letters{}, train, val, o, env)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, _, err := run(ctx, 13, cancel); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	head, rep, err := run(context.Background(), -1, nil)
	if err != nil || rep.ResumedFrom != 13 {
		t.Fatal(rep, err)
	}
	if fmt.Sprint(head) != fmt.Sprint(whole) || fmt.Sprint(rep.Epochs) != fmt.Sprint(wrep.Epochs) {
		t.Error("the resumed run differs")
	}
}

func TestTrainRefusesBadData(t *testing.T) {
	one := []Example{{"a", label.Allow}, {"b", label.Allow}}
	for name, data := range map[string][]Example{"one class": one, "no class": {{"a", label.Unlabelled}}, "empty": nil} {
		if _, _, err := Train(context.Background(), letters{}, data, one, testOptions(), Env{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
