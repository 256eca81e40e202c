package classifier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/borea-go/borea/label"
)

// trouble fails on texts by name and counts its calls.
type trouble struct{ calls int }

func (*trouble) Width() int { return 4 }

func (b *trouble) Features(_ context.Context, texts []string) ([]float32, error) {
	b.calls++
	var out []float32
	for i, t := range texts {
		switch {
		case t == "long":
			return nil, &InputError{i, errors.New("9000 tokens, at most 4096")}
		case t == "crash":
			return nil, errors.New("device lost")
		case t == "short":
			return out, nil
		case t == "NaN":
			out = append(out, 0, float32(math.NaN()), 0, 0)
		case t == "stray":
			return nil, &InputError{99, errors.New("index out of the batch")}
		default:
			row := make([]float32, 4)
			row[strings.Index("aedr", t[:1])] = 3
			out = append(out, row...)
		}
	}
	return out, nil
}

// identity passes features through as logits.
func identity() *Head {
	h := NewHead(4, 0, 4, 1)
	clear(h.W)
	for k := range 4 {
		h.W[5*k] = 1
	}
	return h
}

func TestPredictFailsClosed(t *testing.T) {
	texts := []string{"a", "long", "e", "NaN", "", "d", "crash", "r", "short", "stray", "a"}
	want := []string{"ALLOW", FailedInput, "ESCALATION", FailedScores, FailedEmpty, "DENY", FailedBackbone, "REFUSE", FailedBackbone, FailedBackbone, "ALLOW"}
	for size := 1; size <= len(texts)+1; size++ {
		j := &Judge{Head: identity(), Backbone: &trouble{}, BatchSize: size}
		out, failures, err := j.Predict(context.Background(), texts)
		if err != nil || failures != 6 || len(out) != len(texts) {
			t.Fatal(size, failures, err)
		}
		for i, p := range out {
			got := p.Failed
			if got == "" {
				got = p.Class.String()
			} else if p.Class != label.Escalation || p.P != [4]float64{} {
				t.Errorf("%q fails open: %+v", texts[i], p)
			}
			if got != want[i] {
				t.Errorf("batches of %d: %q: %s, want %s", size, texts[i], got, want[i])
			}
		}
		if !strings.Contains(out[1].Detail, "9000 tokens") || !strings.Contains(out[6].Detail, "device lost") {
			t.Errorf("details %q, %q", out[1].Detail, out[6].Detail)
		}
	}
}

func TestPredictBatchesDoNotChangeAnswers(t *testing.T) {
	texts := []string{"a", "d", "e", "r", "a", "d"}
	one, _, err := (&Judge{Head: identity(), Backbone: &trouble{}, BatchSize: 1}).Predict(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	all, _, _ := (&Judge{Head: identity(), Backbone: &trouble{}, BatchSize: 6}).Predict(context.Background(), texts)
	if fmt.Sprint(one) != fmt.Sprint(all) {
		t.Errorf("%v and %v", one, all)
	}
}

func TestTiesAreCautious(t *testing.T) {
	j := &Judge{Head: identity(), Backbone: &trouble{}, BatchSize: 1}
	for z, want := range map[[4]float64]label.Class{
		{1, 1, 0, 0}: label.Escalation, {1, 0, 1, 0}: label.Deny, {0, 0, 0, 0}: label.Refuse, {2, 1, 1, 1}: label.Allow,
	} {
		if p := j.decide(z[:]); p.Class != want {
			t.Errorf("%v: %v, want %v", z, p.Class, want)
		}
	}
}

func TestAllowAboveOnlyAddsRefusals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		z := []float64{4 * r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		plain, strict := &Judge{}, &Judge{AllowAbove: r.Float64()}
		a, b := plain.decide(z), strict.decide(z)
		if b.P != a.P || b.Class != a.Class && !(a.Class == label.Allow && b.Class == label.Escalation) {
			t.Fatalf("%v became %v", a, b)
		}
		if b.Class == label.Allow && !(b.P[0] > strict.AllowAbove) {
			t.Fatalf("allowed at %g, above %g asked", b.P[0], strict.AllowAbove)
		}
	}
}

func TestTemperatureKeepsTheOrder(t *testing.T) {
	z := []float64{2, .5, -1, 0}
	a, b := (&Judge{}).decide(z), (&Judge{Temperature: 2}).decide(z)
	near(t, "ratio", math.Log(b.P[0]/b.P[1]), .75, 1e-12)
	near(t, "unscaled ratio", math.Log(a.P[0]/a.P[1]), 1.5, 1e-12)
	if p := (&Judge{Temperature: 1e-320}).decide(z); p.Failed != FailedScores {
		t.Errorf("overflow: %+v", p)
	}
}

func TestJudgeThatCannotWork(t *testing.T) {
	for name, j := range map[string]*Judge{
		"no head": {Backbone: &trouble{}, BatchSize: 1}, "no backbone": {Head: identity(), BatchSize: 1}, "no batch": {Head: identity(), Backbone: &trouble{}},
		"width": {Head: NewHead(5, 0, 4, 1), Backbone: &trouble{}, BatchSize: 1}, "classes": {Head: NewHead(4, 0, 3, 1), Backbone: &trouble{}, BatchSize: 1},
		"threshold":   {Head: identity(), Backbone: &trouble{}, BatchSize: 1, AllowAbove: math.NaN()},
		"temperature": {Head: identity(), Backbone: &trouble{}, BatchSize: 1, Temperature: -1},
	} {
		if _, _, err := j.Predict(context.Background(), []string{"a"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := (&Judge{Head: identity(), Backbone: &trouble{}, BatchSize: 1}).Predict(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
