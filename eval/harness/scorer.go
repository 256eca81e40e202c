package harness

import (
	"context"
	"fmt"
)

// Scorer gives log-probabilities of token sequences.
type Scorer interface {
	// Encode returns the ids of text, without a begin-of-sequence token.
	Encode(text string) []int32
	// LogProbs returns ln p(seq[j] | seq[:j]) at out[i][j]; out[i][0] is 0. Sequences
	// are independent of each other.
	LogProbs(ctx context.Context, seqs [][]int32) ([][]float64, error)
}

// Generator continues a prompt.
type Generator interface {
	// GenerateText returns the text of at most maxNewTokens further tokens, chosen
	// greedily, without the prompt.
	GenerateText(ctx context.Context, prompt []int32, maxNewTokens int) (string, error)
}

// ScoreError reports a Scorer that broke its contract.
type ScoreError struct {
	// Item is the sequence's position in the call.
	Item int
	// Reason says what was wrong.
	Reason string
}

// Error implements error.
func (e *ScoreError) Error() string {
	return fmt.Sprintf("harness: scorer: sequence %d: %s", e.Item, e.Reason)
}

// OptionError reports an option outside its range.
type OptionError struct {
	// Name is the option's JSON key.
	Name string
	// Value is what was given.
	Value any
	// Want says what is accepted.
	Want string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("harness: option %s = %v; want %s", e.Name, e.Value, e.Want)
}

// callTokens is about how many tokens one call of LogProbs gets.
const callTokens = 8192

// score calls LogProbs on groups of sequences and checks what comes back.
func score(ctx context.Context, s Scorer, seqs [][]int32, use func(i int, logProbs []float64) error) error {
	for first := 0; first < len(seqs); {
		last, tokens := first, 0
		for last < len(seqs) && (last == first || tokens+len(seqs[last]) <= callTokens) {
			tokens += len(seqs[last])
			last++
		}
		out, err := s.LogProbs(ctx, seqs[first:last])
		if err != nil {
			return err
		}
		if len(out) != last-first {
			return &ScoreError{0, fmt.Sprintf("%d results for %d sequences", len(out), last-first)}
		}
		for i, lp := range out {
			if err := checkLogProbs(i, seqs[first+i], lp); err != nil {
				return err
			}
			if err := use(first+i, lp); err != nil {
				return err
			}
		}
		first = last
	}
	return nil
}

func checkLogProbs(i int, seq []int32, lp []float64) error {
	if len(lp) != len(seq) {
		return &ScoreError{i, fmt.Sprintf("%d log-probabilities for %d tokens", len(lp), len(seq))}
	}
	for j, v := range lp {
		if !(v <= 1e-3) { // NaN, or a probability above one by more than rounding
			return &ScoreError{i, fmt.Sprintf("log-probability %v at token %d", v, j)}
		}
	}
	return nil
}
