package qlora

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/dataset/tokenizer"
)

// Example is one training document. Weight[i] is the weight of predicting
// IDs[i]; nil means 1 for all. The first token is never predicted.
type Example struct {
	IDs    []int32
	Weight []float32
}

// checkExamples refuses what the training loop could not index.
func checkExamples(kind string, examples []Example) error {
	for i, ex := range examples {
		if len(ex.IDs) == 0 {
			return fmt.Errorf("qlora: %s example %d has no tokens", kind, i)
		}
		if ex.Weight != nil && len(ex.Weight) != len(ex.IDs) {
			return fmt.Errorf("qlora: %s example %d has %d tokens and %d weights; give one weight a token, or nil", kind, i, len(ex.IDs), len(ex.Weight))
		}
		for j, w := range ex.Weight {
			if !(w >= 0 && w <= math.MaxFloat32) {
				return fmt.Errorf("qlora: %s example %d: weight %v of token %d, want a finite number of at least 0", kind, i, w, j)
			}
		}
	}
	return nil
}

// EncodeOptions says how samples become examples.
type EncodeOptions struct {
	// MaxLength in tokens; longer examples are cut at the end.
	MaxLength int `json:"max_length" yaml:"max_length"`
	// ResponsesOnly puts loss on the assistant's words only, where a sample has
	// messages; plain text always counts in full.
	ResponsesOnly bool `json:"responses_only" yaml:"responses_only"`
}

// EncodeReport counts what Encode did.
type EncodeReport struct {
	Examples int `json:"examples"`
	Cut      int `json:"cut"`    // longer than MaxLength
	Empty    int `json:"empty"`  // nothing to predict
	Tokens   int `json:"tokens"` // kept
	Scored   int `json:"scored"` // with loss
}

// Encode turns samples into examples. Text becomes BOS + text + <|endoftext|>;
// messages become the chat template, closed with <|endoftext|>. Control tokens
// written inside a sample's text stay ordinary text.
func Encode(tok *tokenizer.Tokenizer, samples []dataset.Sample, opts EncodeOptions) ([]Example, EncodeReport, error) {
	var out []Example
	var rep EncodeReport
	if tok == nil {
		return nil, rep, ErrNoTokenizer
	}
	if opts.MaxLength < 2 {
		return nil, rep, &OptionError{"max_length", opts.MaxLength, "at least 2"}
	}
	for i, s := range samples {
		ex, err := encode(tok, s, opts)
		if err != nil {
			return nil, rep, fmt.Errorf("qlora: sample %d (%s): %w", i, s.ID, err)
		}
		if len(ex.IDs) > opts.MaxLength {
			ex.IDs, ex.Weight = ex.IDs[:opts.MaxLength], ex.Weight[:opts.MaxLength]
			rep.Cut++
		}
		scored := countScored(ex.Weight)
		if scored == 0 {
			rep.Empty++
			continue
		}
		rep.Examples, rep.Tokens, rep.Scored = rep.Examples+1, rep.Tokens+len(ex.IDs), rep.Scored+scored
		out = append(out, ex)
	}
	return out, rep, nil
}

func countScored(w []float32) int {
	n := 0
	for i, x := range w {
		if i > 0 && x > 0 {
			n++
		}
	}
	return n
}

func encode(tok *tokenizer.Tokenizer, s dataset.Sample, opts EncodeOptions) (Example, error) {
	if len(s.Messages) == 0 {
		ids := append([]int32{tokenizer.BOS}, tok.EncodePlain(s.Text)...)
		ids = append(ids, tokenizer.EndOfText)
		return Example{ids, fill(len(ids), 1)}, nil
	}
	ids, spans, err := tok.EncodeChat(s.Messages, false)
	if err != nil {
		return Example{}, err
	}
	if !opts.ResponsesOnly {
		return Example{ids, fill(len(ids), 1)}, nil
	}
	w := fill(len(ids), 0)
	for _, sp := range spans {
		if sp.Role == "assistant" {
			for i := sp.Start; i < sp.End; i++ {
				w[i] = 1
			}
		}
	}
	return Example{ids, w}, nil
}

func fill(n int, v float32) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = v
	}
	return w
}
