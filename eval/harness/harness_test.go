package harness

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// runes is a model whose tokens are code points and whose probabilities are a table.
type runes struct {
	logProb func(seq []int32, j int) float64
	seen    [][]int32
	calls   int
	answer  func(prompt []int32, n int) string
}

func (m *runes) Encode(text string) (ids []int32) {
	for _, r := range text {
		ids = append(ids, int32(r))
	}
	return ids
}

func (m *runes) LogProbs(_ context.Context, seqs [][]int32) ([][]float64, error) {
	m.calls++
	var out [][]float64
	for _, seq := range seqs {
		m.seen = append(m.seen, seq)
		lp := make([]float64, len(seq))
		lp[0] = -123 // must not be read
		for j := 1; j < len(seq); j++ {
			lp[j] = m.logProb(seq, j)
		}
		out = append(out, lp)
	}
	return out, nil
}

func (m *runes) GenerateText(_ context.Context, prompt []int32, n int) (string, error) {
	m.seen = append(m.seen, prompt)
	return m.answer(prompt, n), nil
}

func table(p map[rune]float64) *runes {
	return &runes{logProb: func(seq []int32, j int) float64 { return p[seq[j]] }}
}

func ids(parts ...any) (out []int32) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, int32(p))
		case string:
			out = append(out, (&runes{}).Encode(p)...)
		}
	}
	return out
}

func TestEncodePair(t *testing.T) {
	o := DefaultEncodingOptions()
	bare, short := o, o
	bare.AddBOS = false
	short.MaxLength = 4
	for _, c := range []struct {
		name, context, continuation string
		o                           EncodingOptions
		want                        []int32
		start                       int
	}{
		{"plain", "ab", " c", o, ids(1, "ab c"), 3},
		{"without BOS", "ab", " c", bare, ids("ab c"), 2},
		{"white space moves", "ab \n\u3000", "c", o, ids(1, "ab \n\u3000c"), 3},
		{"file separator moves", "ab\x1c", "c", o, ids(1, "ab\x1cc"), 3},
		{"empty context", "", "c", bare, ids(1, "c"), 1},
		{"blank context", "  ", "c", bare, ids(1, "  c"), 1},
		{"BOS is there already", "\x01a", "c", o, ids(1, "ac"), 2},
		{"too long", "abcdef", "gh", short, ids("defgh"), 3},
		{"just fits", "ab", "gh", short, ids(1, "abgh"), 3},
	} {
		p, err := encodePair(&runes{}, c.context, c.continuation, c.o)
		if err != nil || !slices.Equal(p.tokens, c.want) || p.start != c.start {
			t.Errorf("%s: %v from %d, %v; want %v from %d", c.name, p.tokens, p.start, err, c.want, c.start)
		}
	}
	if _, err := encodePair(&runes{}, "a", "bcdef", short); err == nil {
		t.Error("a continuation longer than the window is accepted")
	}
	if _, err := encodePair(&runes{}, "a", "", o); err == nil {
		t.Error("an empty continuation is accepted")
	}
}

// acc, acc_norm by characters and by bytes each pick another choice.
func TestChoiceNormalisations(t *testing.T) {
	m := table(map[rune]float64{' ': -1, 'a': -4, 'b': -2.5, '字': -3})
	q := []Question{{ID: "q", Context: "x", Choices: []string{"a", "bb", "字"}, Answer: 0}}
	// Sums with the space: −5, −6, −4; by characters −5, −3, −4; by bytes −5, −3, −4/3.
	r, err := MultipleChoice(context.Background(), m, q, DefaultChoiceOptions())
	if err != nil {
		t.Fatal(err)
	}
	if a := r.Answers[0]; a.Picked != 2 || a.PickedNorm != 1 || !reflect.DeepEqual(a.LogLikelihoods, []float64{-5, -6, -4}) {
		t.Errorf("%+v", a)
	}
	for answer, want := range [][3]float64{{0, 0, 0}, {0, 1, 0}, {1, 0, 1}} {
		q[0].Answer = answer
		r, _ = MultipleChoice(context.Background(), m, q, DefaultChoiceOptions())
		if got := [3]float64{r.Acc.Value, r.AccNorm.Value, r.AccBytes.Value}; got != want {
			t.Errorf("answer %d: %v, want %v", answer, got, want)
		}
	}
	if r.Acc.StdErr != nil || r.Acc.N != 1 || math.Abs(r.Chance-1./3) > 1e-15 {
		t.Errorf("%+v, chance %g", r.Acc, r.Chance)
	}
}

func TestChoiceTiesGoToTheFirst(t *testing.T) {
	m := table(map[rune]float64{'a': -1, 'b': -1, 'c': -1})
	r, err := MultipleChoice(context.Background(), m, []Question{{Context: "x", Choices: []string{"a", "b", "c"}, Answer: 1}}, DefaultChoiceOptions())
	if err != nil || r.Answers[0].Picked != 0 || r.Answers[0].PickedNorm != 0 {
		t.Errorf("%+v, %v", r.Answers, err)
	}
}

// A choice that is likely anywhere loses its advantage without context.
func TestMutualInformation(t *testing.T) {
	m := &runes{logProb: func(seq []int32, j int) float64 {
		switch {
		case seq[j] == 'a':
			return -1
		case seq[j] == 'b' && slices.Contains(seq, 'x'):
			return -2
		}
		return -9
	}}
	o := DefaultChoiceOptions()
	o.MutualInfo = true
	q := Question{Context: "x", Choices: []string{"a", "b"}, Answer: 1}
	r, err := MultipleChoice(context.Background(), m, []Question{q, q, {Context: "x", Choices: []string{"b", "a", "a"}, Answer: 0}}, o)
	if err != nil || r.Acc.Value != 0 || r.AccMutualInfo == nil || r.AccMutualInfo.Value != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestShotsAndDescription(t *testing.T) {
	m := table(nil)
	o := DefaultChoiceOptions()
	o.Description = "D\n"
	o.Shots = []Question{{Context: "s", Choices: []string{"n", "y"}, Answer: 1}}
	if _, err := MultipleChoice(context.Background(), m, []Question{{Context: "q", Choices: []string{"u", "v"}}}, o); err != nil {
		t.Fatal(err)
	}
	if want := ids(1, "D\ns y\n\nq v"); !slices.Equal(m.seen[1], want) {
		t.Errorf("%v, want %v", m.seen[1], want)
	}
}

func TestChoiceBadItems(t *testing.T) {
	var ie *ItemError
	for name, q := range map[string]Question{
		"one choice": {Choices: []string{"a"}}, "answer": {Choices: []string{"a", "b"}, Answer: 2}, "empty": {Choices: []string{"a", ""}},
	} {
		_, err := MultipleChoice(context.Background(), table(nil), []Question{{Context: "c", Choices: []string{"a", "b"}}, q}, DefaultChoiceOptions())
		if !errors.As(err, &ie) || ie.Index != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := MultipleChoice(context.Background(), table(nil), nil, DefaultChoiceOptions())
	if err != nil || r.Acc.N != 0 {
		t.Errorf("no items: %+v, %v", r, err)
	}
}

type broken struct {
	runes
	out [][]float64
}

func (b *broken) LogProbs(context.Context, [][]int32) ([][]float64, error) { return b.out, nil }

func TestBrokenScorerIsAnError(t *testing.T) {
	for name, out := range map[string][][]float64{
		"too few": {}, "short": {{0}, {0, 0, 0}}, "NaN": {{0, math.NaN(), 0}, {0, 0, 0}}, "positive": {{0, 2, 0}, {0, 0, 0}},
	} {
		_, err := MultipleChoice(context.Background(), &broken{out: out}, []Question{{Context: "", Choices: []string{"a", "b"}}}, DefaultChoiceOptions())
		var se *ScoreError
		if !errors.As(err, &se) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCallsAreBounded(t *testing.T) {
	m := table(nil)
	if _, err := Perplexity(context.Background(), m, []string{strings.Repeat("a", 40000)}, PerplexityOptions{Window: 1000}); err != nil {
		t.Fatal(err)
	}
	if m.calls != 5 || len(m.seen) != 40 {
		t.Errorf("%d calls for %d windows", m.calls, len(m.seen))
	}
}

func TestExactMatch(t *testing.T) {
	m := &runes{answer: func(prompt []int32, n int) string { return " Tokyo, 1!\nmore\n\nQ: next" }}
	o := DefaultGenerationOptions()
	o.Stop = []string{"\n\n", "\n"}
	for _, c := range []struct {
		name   string
		change func(*GenerationOptions)
		target string
		want   bool
	}{
		{"as it is", func(*GenerationOptions) {}, "Tokyo, 1!", true},
		{"other case", func(*GenerationOptions) {}, "tokyo, 1!", false},
		{"case ignored", func(o *GenerationOptions) { o.IgnoreCase = true }, "tOKYO, 1!", true},
		{"punctuation ignored", func(o *GenerationOptions) { o.IgnorePunctuation = true }, "Tokyo 1", true},
		{"digits ignored", func(o *GenerationOptions) { o.IgnoreDigits = true }, "Tokyo, 2!", true},
		{"expression ignored", func(o *GenerationOptions) { o.IgnoreRegexes = []string{`, \d`} }, "Tokyo!", true},
		{"not trimmed", func(o *GenerationOptions) { o.Trim = false }, "Tokyo, 1!", false},
	} {
		o := o
		c.change(&o)
		r, err := ExactMatch(context.Background(), m, []Prompt{{ID: "p", Text: "q", Targets: []string{"no", c.target}}}, o)
		if err != nil || r.Answers[0].Match != c.want {
			t.Errorf("%s: %+v, %v", c.name, r.Answers, err)
		}
	}
}

func TestLongPromptsKeepTheirEnd(t *testing.T) {
	m := &runes{answer: func([]int32, int) string { return "" }}
	o := DefaultGenerationOptions()
	o.MaxNewTokens, o.Encoding.MaxLength = 3, 7
	r, err := ExactMatch(context.Background(), m, []Prompt{{Text: "abcdef", Targets: []string{""}}, {Text: "abc", Targets: []string{"x"}}, {Targets: []string{""}}}, o)
	if err != nil || r.Truncated != 1 || !reflect.DeepEqual(m.seen, [][]int32{ids("cdef"), ids(1, "abc"), ids(1)}) {
		t.Errorf("%v, %+v, %v", m.seen, r, err)
	}
	if r.ExactMatch.N != 3 || math.Abs(r.ExactMatch.Value-2./3) > 1e-15 || math.Abs(*r.ExactMatch.StdErr-1./3) > 1e-15 {
		t.Errorf("%+v", r.ExactMatch)
	}
}

func TestGenerationBadOptions(t *testing.T) {
	for name, change := range map[string]func(*GenerationOptions){
		"tokens": func(o *GenerationOptions) { o.MaxNewTokens = 0 }, "length": func(o *GenerationOptions) { o.Encoding.MaxLength = 256 },
		"stop": func(o *GenerationOptions) { o.Stop = []string{""} }, "expression": func(o *GenerationOptions) { o.IgnoreRegexes = []string{"("} },
		"negative": func(o *GenerationOptions) { o.Encoding.MaxLength = -1 },
	} {
		o := DefaultGenerationOptions()
		change(&o)
		var oe *OptionError
		if _, err := ExactMatch(context.Background(), &runes{}, nil, o); !errors.As(err, &oe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var ie *ItemError
	if _, err := ExactMatch(context.Background(), &runes{}, []Prompt{{}}, DefaultGenerationOptions()); !errors.As(err, &ie) {
		t.Error(err)
	}
}

func TestKnowledgeIsBalanced(t *testing.T) {
	items, err := Knowledge()
	if err != nil || len(items) < 40 {
		t.Fatal(len(items), err)
	}
	ids, contexts, at := map[string]bool{}, map[string]bool{}, map[int]int{}
	for _, q := range items {
		if ids[q.ID] || contexts[q.Context] || len(q.Choices) != 4 || q.Category == "" {
			t.Errorf("%s is repeated or incomplete", q.ID)
		}
		ids[q.ID], contexts[q.Context] = true, true
		at[q.Answer]++
		for i, c := range q.Choices {
			if slices.Contains(q.Choices[:i], c) {
				t.Errorf("%s: choice %q twice", q.ID, c)
			}
		}
	}
	for k := range 4 {
		if at[k] != len(items)/4 {
			t.Errorf("the right choice is at %d in %d items", k, at[k])
		}
	}
	// A model that prefers short or long choices must not gain: the right one is the
	// strictly longest or shortest no more often than a quarter or so of the time.
	for name, better := range map[string]func(a, b int) bool{"longest": func(a, b int) bool { return a > b }, "shortest": func(a, b int) bool { return a < b }} {
		n := 0
		for _, q := range items {
			first := best(4, func(j int) float64 { return float64(utf8.RuneCountInString(q.Choices[j])) * sign(better(1, 0)) })
			if first == q.Answer {
				n++
			}
		}
		if n > len(items)/2 {
			t.Errorf("picking the %s choice is right in %d of %d", name, n, len(items))
		}
	}
}

func sign(up bool) float64 { return 2*hit(up) - 1 }

func TestReadQuestionsNamesTheLine(t *testing.T) {
	for name, in := range map[string]string{
		"syntax": "{", "unknown key": `{"contxt":"a"}`, "no choices": `{"context":"a"}`,
	} {
		_, err := ReadQuestions(strings.NewReader("\n" + in + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadQuestions(f *testing.F) {
	f.Add([]byte(`{"id":"1","context":"a","choices":["b","c"],"answer":1}`))
	f.Add(knowledge[:300])
	f.Fuzz(func(t *testing.T, b []byte) {
		qs, err := ReadQuestions(strings.NewReader(string(b)))
		for _, q := range qs {
			if err == nil && q.check() != nil {
				t.Errorf("accepted %+v", q)
			}
		}
	})
}

func TestResultsAreRepeatable(t *testing.T) {
	items, err := Knowledge()
	if err != nil {
		t.Fatal(err)
	}
	m := &runes{logProb: func(seq []int32, j int) float64 { return -float64((seq[j]*31+seq[j-1]*17)%97) / 10 }}
	a, err := MultipleChoice(context.Background(), m, items, KnowledgeOptions())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := MultipleChoice(context.Background(), m, items, KnowledgeOptions())
	if !reflect.DeepEqual(a, b) || a.Items == "" || a.Acc.N != len(items) || a.Acc.StdErr == nil {
		t.Errorf("%+v", a.Acc)
	}
	p := a.Acc.Value
	if want := math.Sqrt(p * (1 - p) / float64(len(items)-1)); math.Abs(*a.Acc.StdErr-want) > 1e-15 {
		t.Errorf("stderr %g, want %g", *a.Acc.StdErr, want)
	}
}
