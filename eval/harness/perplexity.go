package harness

import (
	"context"
	"errors"
	"math"
)

// The ids that Phi-3 training puts around a document.
const (
	bos       = 1     // <s>
	endOfText = 32000 // <|endoftext|>
)

// PerplexityOptions says how a corpus is cut.
type PerplexityOptions struct {
	// Window is the tokens a window, at least 2; default 1,024.
	Window int `json:"window" yaml:"window"`
	// Windows is how many windows to score, from the first; 0 is all (default).
	Windows int `json:"windows" yaml:"windows"`
}

// DefaultPerplexityOptions are all windows of 1,024 tokens.
func DefaultPerplexityOptions() PerplexityOptions { return PerplexityOptions{Window: 1024} }

// Validate reports an option outside its range.
func (o PerplexityOptions) Validate() error {
	if o.Window < 2 {
		return &OptionError{"window", o.Window, "at least 2"}
	}
	if o.Windows < 0 {
		return &OptionError{"windows", o.Windows, "at least 0"}
	}
	return nil
}

// PerplexityResult is the outcome over a corpus.
type PerplexityResult struct {
	// NLL is the mean negative log-likelihood a scored token, in nats.
	NLL float64 `json:"nll"`
	// PPL is exp(NLL).
	PPL float64 `json:"ppl"`
	// Tokens is the number of scored tokens.
	Tokens int `json:"tokens"`
	// Windows is the number of windows.
	Windows int `json:"windows"`
	// StdErr is the standard error of NLL over windows; null below two.
	StdErr *float64 `json:"nll_stderr"`
}

// ErrTooShort says that the texts together do not fill one window.
var ErrTooShort = errors.New("harness: the texts do not fill one window")

// Perplexity scores texts as one stream: each document as <s> + ids + <|endoftext|>
// (1 + ids + 32000), concatenated and cut into full windows; what is left over is
// dropped, and the first token of a window, which has no context, is not scored.
func Perplexity(ctx context.Context, s Scorer, texts []string, o PerplexityOptions) (PerplexityResult, error) {
	if err := o.Validate(); err != nil {
		return PerplexityResult{}, err
	}
	seqs := cutWindows(s, texts, o)
	if len(seqs) == 0 {
		return PerplexityResult{}, ErrTooShort
	}
	means := make([]float64, len(seqs))
	err := score(ctx, s, seqs, func(i int, lp []float64) error {
		for _, v := range lp[1:] {
			means[i] -= v
		}
		means[i] /= float64(o.Window - 1)
		return nil
	})
	if err != nil {
		return PerplexityResult{}, err
	}
	// Windows are equally long, so the mean of their means is the mean over tokens.
	e := estimate(means)
	return PerplexityResult{NLL: e.Value, PPL: math.Exp(e.Value), Tokens: len(seqs) * (o.Window - 1), Windows: len(seqs), StdErr: e.StdErr}, nil
}

func cutWindows(s Scorer, texts []string, o PerplexityOptions) (seqs [][]int32) {
	var stream []int32
	for _, text := range texts {
		stream = append(stream, bos)
		stream = append(stream, s.Encode(text)...)
		stream = append(stream, endOfText)
		for len(stream) >= o.Window {
			if seqs = append(seqs, stream[:o.Window:o.Window]); len(seqs) == o.Windows {
				return seqs
			}
			stream = stream[o.Window:]
		}
	}
	return seqs
}
