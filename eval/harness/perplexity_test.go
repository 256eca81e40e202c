package harness

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// lm-evaluation-harness documents this case: 34 tokens, length 10, context 1.
func TestRollingWindows(t *testing.T) {
	tokens := make([]int32, 34)
	for i := range tokens {
		tokens[i] = int32(100 + i)
	}
	for _, c := range []struct {
		context int
		want    string
	}{
		{1, "[1 100:109]1 [109:119]1 [119:129]1 [123:133]7"},
		{10, ""},
	} {
		var got []string
		predicted := map[int32]int{}
		for _, w := range rollingWindows(tokens, 0, RollingOptions{MaxLength: 10, Context: c.context, Prefix: 1}) {
			s := w.tokens
			for _, id := range s[w.start:] {
				predicted[id]++
			}
			prefix := ""
			if s[0] == 1 {
				prefix, s = "1 ", s[1:]
			}
			got = append(got, fmt.Sprintf("[%s%d:%d]%d", prefix, s[0], s[len(s)-1], w.start))
			if len(w.tokens) > 11 || w.start < c.context && w.start != 1 {
				t.Errorf("context %d: window of %d from %d", c.context, len(w.tokens), w.start)
			}
		}
		if joined := strings.Join(got, " "); c.want != "" && joined != c.want {
			t.Errorf("%s, want %s", joined, c.want)
		}
		for _, id := range tokens {
			if predicted[id] != 1 {
				t.Errorf("context %d: token %d predicted %d times", c.context, id, predicted[id])
			}
		}
	}
}

func TestRollingWeighsBytes(t *testing.T) {
	m := &runes{logProb: func([]int32, int) float64 { return -math.Ln2 }}
	o := DefaultRollingOptions()
	o.MaxLength = 3
	r, err := Rolling(context.Background(), m, []string{"abcdefg", "字"}, o)
	if err != nil {
		t.Fatal(err)
	}
	// Eight tokens of one bit over ten bytes.
	if r.Tokens != 8 || r.Bytes != 10 || math.Abs(r.BitsPerByte-.8) > 1e-15 || math.Abs(r.NLL-math.Ln2) > 1e-15 {
		t.Errorf("%+v", r)
	}
	// Residuals 7−.8·7 = 1.4 and 1−.8·3 = −1.4.
	if want := math.Sqrt(2*1.4*1.4*2) / 10; r.StdErr == nil || math.Abs(*r.StdErr-want) > 1e-15 {
		t.Errorf("stderr %v, want %g", r.StdErr, want)
	}
	if _, err := Rolling(context.Background(), m, []string{""}, o); !errors.Is(err, ErrTooShort) {
		t.Error(err)
	}
}

func TestPerplexityWindows(t *testing.T) {
	m := &runes{logProb: func(_ []int32, j int) float64 { return -float64(j) }}
	r, err := Perplexity(context.Background(), m, []string{"ab", "cdefg", "h"}, PerplexityOptions{Window: 4})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]int32{ids(1, "ab", 32000), ids(1, "cde"), ids("fg", 32000, 1)}
	if !reflect.DeepEqual(m.seen, want) {
		t.Errorf("%v, want %v", m.seen, want)
	}
	if r.NLL != 2 || r.PPL != math.Exp(2) || r.Tokens != 9 || r.Windows != 3 || r.StdErr == nil || *r.StdErr != 0 {
		t.Errorf("%+v", r)
	}
	m.seen = nil
	if r, err = Perplexity(context.Background(), m, []string{"ab", "cdefg", "h"}, PerplexityOptions{Window: 4, Windows: 1}); err != nil || r.Windows != 1 || len(m.seen) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = Perplexity(context.Background(), m, []string{"a"}, PerplexityOptions{Window: 4}); !errors.Is(err, ErrTooShort) {
		t.Error(err)
	}
	var oe *OptionError
	if _, err = Perplexity(context.Background(), m, nil, PerplexityOptions{Window: 1}); !errors.As(err, &oe) {
		t.Error(err)
	}
}
