package classifier

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/label"
)

// NaiveBayes is a multinomial naive Bayes classifier over counted words (McCallum and
// Nigam 1998, A Comparison of Event Models for Naive Bayes Text Classification): the
// bag-of-words baseline that a judge has to beat. Words is what a text is cut into.
type NaiveBayes struct {
	words func(text string) []string
	// logPrior [K], -Inf for a class without examples; logWord[w] is ln p(w | class).
	logPrior [label.Count]float64
	logWord  map[string][label.Count]float64
}

// CharNGrams cuts a text into all runs of low to high characters: words for a
// language that leaves no spaces between them.
func CharNGrams(low, high int) func(text string) []string {
	return func(text string) (out []string) {
		at := make([]int, 0, len(text)+1)
		for i := range text {
			at = append(at, i)
		}
		at = append(at, len(text))
		for n := max(1, low); n <= high; n++ {
			for i := 0; i+n < len(at); i++ {
				out = append(out, text[at[i]:at[i+n]])
			}
		}
		return out
	}
}

// FitNaiveBayes counts words a class. alpha > 0 is added to each count (Laplace, Lidstone);
// 1 is usual. Priors are the classes' shares.
func FitNaiveBayes(train []Example, words func(text string) []string, alpha float64) (*NaiveBayes, error) {
	if !(alpha > 0) || math.IsInf(alpha, 0) {
		return nil, &OptionError{"alpha", alpha, "a finite number above 0"}
	}
	if len(train) == 0 {
		return nil, ErrNoExamples
	}
	var examples, total [label.Count]float64
	counts := map[string][label.Count]float64{}
	for i, ex := range train {
		k := ex.Class.Index()
		if k < 0 {
			return nil, fmt.Errorf("%w: example %d", ErrNoClass, i)
		}
		examples[k]++
		for _, w := range words(ex.Text) {
			c := counts[w]
			c[k]++
			counts[w] = c
			total[k]++
		}
	}
	b := &NaiveBayes{words: words, logWord: counts}
	for k := range examples {
		b.logPrior[k] = math.Log(examples[k] / float64(len(train)))
	}
	for w, c := range counts {
		for k := range c {
			c[k] = math.Log((c[k] + alpha) / (total[k] + alpha*float64(len(counts))))
		}
		counts[w] = c
	}
	return b, nil
}

// Predict returns the most probable class, the more cautious at a tie, and all
// probabilities. Words that the training part lacks do not count; without any known word
// the priors decide.
func (b *NaiveBayes) Predict(text string) Prediction {
	z := b.logPrior
	for _, w := range b.words(text) {
		for k, v := range b.logWord[w] {
			z[k] += v
		}
	}
	var p Prediction
	Softmax(p.P[:], z[:])
	p.Class, _ = label.FromIndex(mostProbable(p.P[:]))
	return p
}
