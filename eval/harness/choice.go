package harness

import (
	"context"
	"strings"
	"unicode/utf8"
)

// ChoiceOptions says how multiple-choice items are put to the model.
type ChoiceOptions struct {
	// Delimiter goes between context and choice; default one space. Its characters do not
	// count in acc_norm.
	Delimiter string `json:"delimiter" yaml:"delimiter"`
	// Description comes first in every context; default "".
	Description string `json:"description" yaml:"description"`
	// Shots are solved examples put before every context, each as context + delimiter +
	// right choice + "\n\n"; default none. They must not be among the items.
	Shots []Question `json:"shots,omitempty" yaml:"shots,omitempty"`
	// MutualInfo also computes acc_mutual_info, which needs a further score of each choice
	// without context; default false.
	MutualInfo bool `json:"mutual_info" yaml:"mutual_info"`
	// Encoding of contexts and choices.
	Encoding EncodingOptions `json:"encoding" yaml:"encoding"`
}

// DefaultChoiceOptions are one space, no examples.
func DefaultChoiceOptions() ChoiceOptions {
	return ChoiceOptions{Delimiter: " ", Encoding: DefaultEncodingOptions()}
}

// Validate reports an option outside its range.
func (o ChoiceOptions) Validate() error {
	for i, q := range o.Shots {
		if err := q.check(); err != nil {
			return &ItemError{i, q.ID, "example: " + err.Error()}
		}
	}
	return o.Encoding.Validate()
}

// ChoiceResult is the outcome of a multiple-choice task.
type ChoiceResult struct {
	// Acc takes the largest summed log-probability; AccNorm divides it by the choice's
	// code points, AccBytes by its UTF-8 bytes; AccMutualInfo subtracts the score without
	// context, null unless asked for.
	Acc           Estimate  `json:"acc"`
	AccNorm       Estimate  `json:"acc_norm"`
	AccBytes      Estimate  `json:"acc_bytes"`
	AccMutualInfo *Estimate `json:"acc_mutual_info"`
	// Chance is the expected accuracy of guessing.
	Chance float64 `json:"chance"`
	// Truncated counts sequences that were cut to the context window.
	Truncated int `json:"truncated"`
	// Items is the hash of items, examples and description.
	Items string `json:"items_sha256"`
	// Answers is what was chosen, item by item.
	Answers []ChoiceAnswer `json:"answers"`
}

// ChoiceAnswer is one item's outcome.
type ChoiceAnswer struct {
	ID string `json:"id"`
	// LogLikelihoods of the choices; Picked by acc, PickedNorm by acc_norm.
	LogLikelihoods []float64 `json:"log_likelihoods"`
	Picked         int       `json:"picked"`
	PickedNorm     int       `json:"picked_norm"`
	Answer         int       `json:"answer"`
}

// MultipleChoice scores every choice of every item.
func MultipleChoice(ctx context.Context, s Scorer, items []Question, o ChoiceOptions) (ChoiceResult, error) {
	if err := o.Validate(); err != nil {
		return ChoiceResult{}, err
	}
	t := &choiceTask{s: s, items: items, o: o, prefix: o.prefix()}
	if err := t.encode(); err != nil {
		return ChoiceResult{}, err
	}
	if err := score(ctx, s, t.sequences(), func(i int, lp []float64) error {
		t.ll = append(t.ll, t.pairs[i].sum(lp))
		return nil
	}); err != nil {
		return ChoiceResult{}, err
	}
	id, err := hash(struct {
		Items, Shots []Question
		Description  string
	}{items, o.Shots, o.Description})
	if err != nil {
		return ChoiceResult{}, err
	}
	r := t.result()
	r.Items = id
	return r, nil
}

// prefix is the description and the solved examples.
func (o ChoiceOptions) prefix() string {
	var b strings.Builder
	b.WriteString(o.Description)
	for _, q := range o.Shots {
		b.WriteString(q.Context + o.Delimiter + q.Choices[q.Answer] + "\n\n")
	}
	return b.String()
}

// choiceTask holds the sequences of a task: the choices of all items in order, then,
// for mutual information, the same without context.
type choiceTask struct {
	s      Scorer
	items  []Question
	o      ChoiceOptions
	prefix string
	pairs  []pair
	ll     []float64
}

func (t *choiceTask) encode() error {
	contexts := []func(Question) string{func(q Question) string { return t.prefix + q.Context }}
	if t.o.MutualInfo {
		contexts = append(contexts, func(Question) string { return "" })
	}
	for _, context := range contexts {
		for i, q := range t.items {
			if err := q.check(); err != nil {
				return &ItemError{i, q.ID, err.Error()}
			}
			for _, c := range q.Choices {
				p, err := encodePair(t.s, context(q), t.o.Delimiter+c, t.o.Encoding)
				if err != nil {
					return &ItemError{i, q.ID, err.Error()}
				}
				t.pairs = append(t.pairs, p)
			}
		}
	}
	return nil
}

func (t *choiceTask) sequences() [][]int32 {
	seqs := make([][]int32, len(t.pairs))
	for i, p := range t.pairs {
		seqs[i] = p.tokens
	}
	return seqs
}

func (t *choiceTask) result() ChoiceResult {
	r := ChoiceResult{Answers: []ChoiceAnswer{}}
	var acc, norm, bytes, mutual []float64
	half := len(t.ll) / 2 // where the scores without context begin
	for at, i := 0, 0; i < len(t.items); i++ {
		q := t.items[i]
		k := len(q.Choices)
		ll := t.ll[at : at+k : at+k]
		pick := func(value func(j int) float64) int { return best(k, value) }
		a := ChoiceAnswer{ID: q.ID, LogLikelihoods: ll, Answer: q.Answer,
			Picked:     pick(func(j int) float64 { return ll[j] }),
			PickedNorm: pick(func(j int) float64 { return ll[j] / float64(utf8.RuneCountInString(q.Choices[j])) })}
		acc, norm = append(acc, hit(a.Picked == q.Answer)), append(norm, hit(a.PickedNorm == q.Answer))
		bytes = append(bytes, hit(pick(func(j int) float64 { return ll[j] / float64(len(q.Choices[j])) }) == q.Answer))
		if t.o.MutualInfo {
			mutual = append(mutual, hit(pick(func(j int) float64 { return ll[j] - t.ll[half+at+j] }) == q.Answer))
		}
		r.Answers, r.Chance, at = append(r.Answers, a), r.Chance+1/float64(k)/float64(len(t.items)), at+k
	}
	r.Acc, r.AccNorm, r.AccBytes = estimate(acc), estimate(norm), estimate(bytes)
	if t.o.MutualInfo {
		e := estimate(mutual)
		r.AccMutualInfo = &e
	}
	for _, p := range t.pairs {
		r.Truncated += int(hit(p.truncated))
	}
	return r
}

// best returns the first index of the largest value.
func best(n int, value func(int) float64) (top int) {
	for j := 1; j < n; j++ {
		if value(j) > value(top) {
			top = j
		}
	}
	return top
}

func hit(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
