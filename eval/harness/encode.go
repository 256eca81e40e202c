package harness

import (
	"fmt"
	"strings"
	"unicode"
)

// EncodingOptions says how contexts and continuations become tokens.
type EncodingOptions struct {
	// AddBOS puts BOS before every context; default true. An empty context always gets
	// BOS, since something must predict the first token.
	AddBOS bool `json:"add_bos" yaml:"add_bos"`
	// BOS is the id of the begin-of-sequence token; default 1. A context that starts with
	// it already is not given another.
	BOS int32 `json:"bos" yaml:"bos"`
	// MaxLength is the model's context in tokens, 0 (default) for no limit. Longer
	// sequences keep their last MaxLength+1 tokens: the last one is only predicted.
	MaxLength int `json:"max_length" yaml:"max_length"`
}

// DefaultEncodingOptions put <s> before every context, without a limit.
func DefaultEncodingOptions() EncodingOptions { return EncodingOptions{AddBOS: true, BOS: bos} }

// Validate reports an option outside its range.
func (o EncodingOptions) Validate() error {
	if o.MaxLength < 0 {
		return &OptionError{"max_length", o.MaxLength, "at least 0"}
	}
	return nil
}

// ItemError reports an item of a task that cannot be used.
type ItemError struct {
	// Index is the item's position, ID its name.
	Index int
	ID    string
	// Reason says what is wrong.
	Reason string
}

// Error implements error.
func (e *ItemError) Error() string {
	return fmt.Sprintf("harness: item %d (%q): %s", e.Index, e.ID, e.Reason)
}

// pythonSpace is str.isspace, which also takes the four separators U+001C to U+001F.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// pair is a context and a continuation as one sequence.
type pair struct {
	tokens    []int32
	start     int // of the continuation
	truncated bool
}

// encodePair moves trailing white space of context to continuation, encodes the whole
// and the context, and splits the former at the length of the latter.
func encodePair(s Scorer, context, continuation string, o EncodingOptions) (pair, error) {
	trimmed := strings.TrimRightFunc(context, pythonSpace)
	continuation = context[len(trimmed):] + continuation
	var p pair
	if trimmed == "" {
		p.tokens, p.start = append([]int32{o.BOS}, s.Encode(continuation)...), 1
	} else {
		whole, ctx := s.Encode(trimmed+continuation), s.Encode(trimmed)
		p.tokens, p.start = whole, len(ctx)
		if o.AddBOS && (len(whole) == 0 || whole[0] != o.BOS) {
			p.tokens, p.start = append([]int32{o.BOS}, whole...), p.start+1
		}
	}
	if p.start >= len(p.tokens) || p.start < 1 {
		return p, fmt.Errorf("the continuation %q has no token of its own", continuation)
	}
	return p.truncate(o.MaxLength)
}

func (p pair) truncate(limit int) (pair, error) {
	if limit == 0 || len(p.tokens) <= limit+1 {
		return p, nil
	}
	cut := len(p.tokens) - limit - 1
	if p.start -= cut; p.start < 1 {
		return p, fmt.Errorf("the continuation has %d tokens, the context window %d", len(p.tokens)-cut-p.start, limit)
	}
	p.tokens, p.truncated = p.tokens[cut:], true
	return p, nil
}

// sum adds the continuation's log-probabilities.
func (p pair) sum(logProbs []float64) (ll float64) {
	for _, v := range logProbs[p.start:] {
		ll += v
	}
	return ll
}
