package classifier

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/borea-go/borea/label"
)

// naivebayes.json was made by testdata/make_naivebayes.py with scikit-learn 1.9.1.
func TestNaiveBayesIsScikitLearns(t *testing.T) {
	b, err := os.ReadFile("testdata/naivebayes.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Low, High   int
		Alpha       float64
		Train, Test []string
		Y           []int
		P           [][]float64
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var train []Example
		for i, text := range c.Train {
			class, _ := label.FromIndex(c.Y[i])
			train = append(train, Example{text, class})
		}
		nb, err := FitNaiveBayes(train, CharNGrams(c.Low, c.High), c.Alpha)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range c.Test {
			got := nb.Predict(text).P
			for k, want := range c.P[i] {
				near(t, text, got[k], want, 1e-12)
			}
		}
	}
}

func TestNaiveBayesEdges(t *testing.T) {
	words := strings.Fields
	nb, err := FitNaiveBayes([]Example{{"a b", label.Allow}, {"c", label.Deny}}, words, 1)
	if err != nil {
		t.Fatal(err)
	}
	if p := nb.Predict("unknown"); p.Class != label.Deny || p.P != [4]float64{.5, 0, .5, 0} {
		t.Errorf("no known word: %+v", p)
	}
	if p := nb.Predict("a"); p.Class != label.Allow || p.P[1] != 0 || math.IsNaN(p.P[0]) {
		t.Errorf("%+v", p)
	}
	var opt *OptionError
	if _, err := FitNaiveBayes([]Example{{"a", label.Allow}}, words, 0); !errors.As(err, &opt) {
		t.Errorf("alpha 0: %v", err)
	}
	if _, err := FitNaiveBayes(nil, words, 1); !errors.Is(err, ErrNoExamples) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := FitNaiveBayes([]Example{{"a", 0}}, words, 1); !errors.Is(err, ErrNoClass) {
		t.Errorf("no class: %v", err)
	}
	if got := CharNGrams(1, 2)("秘密x"); !slices.Equal(got, []string{"秘", "密", "x", "秘密", "密x"}) {
		t.Errorf("%q", got)
	}
	if got := CharNGrams(2, 3)("秘"); got != nil {
		t.Errorf("%q", got)
	}
}
