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
	h := NewHead(26, 0, 4, 1)
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
	two := []Example{{"a", label.Allow}, {"b", label.Deny}}
	for name, c := range map[string]struct {
		b          Backbone
		train, val []Example
		want       error
	}{
		"one class":          {letters{}, one, one, ErrOneClass},
		"no class":           {letters{}, []Example{{"a", label.Unlabelled}}, one, ErrNoClass},
		"empty":              {letters{}, nil, one, ErrNoExamples},
		"nothing to test by": {letters{}, one, nil, ErrNoExamples},
		"NaN":                {&trouble{}, []Example{{"a", label.Allow}, {"NaN", label.Deny}}, two, ErrFeature},
		"wrong size":         {&trouble{}, []Example{{"a", label.Allow}, {"short", label.Deny}}, two, ErrShape},
		"NaN to test by":     {&trouble{}, []Example{{"a", label.Allow}, {"d", label.Deny}}, []Example{{"NaN", label.Deny}}, ErrDiverged},
	} {
		if _, _, err := Train(context.Background(), c.b, c.train, c.val, testOptions(), Env{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var in *InputError
	if _, _, err := Train(context.Background(), &trouble{}, []Example{{"a", label.Allow}, {"long", label.Deny}}, two, testOptions(), Env{}); !errors.As(err, &in) {
		t.Errorf("a text that is too long: %v", err)
	}
}
