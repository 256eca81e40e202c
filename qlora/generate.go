package qlora

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
)

// ErrNoTokenizer says that the model directory has no tokenizer files.
var ErrNoTokenizer = errors.New("qlora: the model directory has no tokenizer.json or tokenizer.model")

// GenerateOptions says how tokens are chosen.
type GenerateOptions struct {
	// MaxNewTokens bounds the generation, at least 1.
	MaxNewTokens int `json:"max_new_tokens" yaml:"max_new_tokens"`
	// Temperature divides the logits; 0 takes the most likely token.
	Temperature float64 `json:"temperature" yaml:"temperature"`
	// TopK keeps the K most likely tokens; 0 keeps all.
	TopK int `json:"top_k" yaml:"top_k"`
	// TopP keeps the smallest set of tokens whose probabilities reach P; 1 keeps all.
	TopP float64 `json:"top_p" yaml:"top_p"`
	// MinP drops tokens below MinP times the highest probability; 0 keeps all.
	MinP float64 `json:"min_p" yaml:"min_p"`
	// RepetitionPenalty divides positive and multiplies negative logits of tokens
	// already present (arXiv 1909.05858, section 4.1); 1 is none.
	RepetitionPenalty float64 `json:"repetition_penalty" yaml:"repetition_penalty"`
	// Seed of the sampler.
	Seed uint64 `json:"seed" yaml:"seed"`
	// Stop ends the generation; nil means the model's own stop tokens.
	Stop []int32 `json:"stop,omitempty" yaml:"stop"`
}

// DefaultGenerateOptions is greedy, 256 tokens.
func DefaultGenerateOptions() GenerateOptions {
	return GenerateOptions{MaxNewTokens: 256, TopP: 1, RepetitionPenalty: 1}
}

// Validate reports the first option outside its range.
func (o GenerateOptions) Validate() error {
	switch {
	case o.MaxNewTokens < 1:
		return &OptionError{"max_new_tokens", o.MaxNewTokens, "at least 1"}
	case !(o.Temperature >= 0):
		return &OptionError{"temperature", o.Temperature, "at least 0"}
	case o.TopK < 0:
		return &OptionError{"top_k", o.TopK, "at least 0"}
	case !(o.TopP > 0 && o.TopP <= 1):
		return &OptionError{"top_p", o.TopP, "above 0, at most 1"}
	case !(o.MinP >= 0 && o.MinP <= 1):
		return &OptionError{"min_p", o.MinP, "0 to 1"}
	case !(o.RepetitionPenalty > 0):
		return &OptionError{"repetition_penalty", o.RepetitionPenalty, "above 0"}
	}
	return nil
}

// Generate continues prompt and yields each new token, the stop token included.
// It ends at a stop token, at MaxNewTokens, or when the consumer breaks off. The
// model is busy until the sequence ends.
func (m *Model) Generate(ctx context.Context, prompt []int32, opts GenerateOptions) iter.Seq2[int32, error] {
	return func(yield func(int32, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if err := m.generate(ctx, prompt, opts, yield); err != nil {
			yield(0, err)
		}
	}
}

func (m *Model) generate(ctx context.Context, prompt []int32, opts GenerateOptions, yield func(int32, error) bool) error {
	if err := m.checkPrompt(prompt, opts); err != nil {
		return err
	}
	stop := opts.Stop
	if stop == nil {
		stop = m.cfg.EOS
	}
	capacity := min(len(prompt)+opts.MaxNewTokens, m.cfg.MaxPosition)
	m.net.Fit(capacity)
	mark := m.dev.Mark()
	defer m.dev.Release(mark)
	dec := m.net.NewDecoder(capacity, min(m.opts.BlockTokens, len(prompt)), m.tuning)
	s := newSampler(opts, prompt)
	next := prompt
	for range capacity - len(prompt) {
		if err := ctx.Err(); err != nil {
			return err
		}
		logits, err := dec.Feed(next)
		if err != nil {
			return err
		}
		id, err := s.choose(logits)
		if err != nil {
			return err
		}
		if !yield(id, nil) || slices.Contains(stop, id) {
			return nil
		}
		next = []int32{id}
	}
	return nil
}

func (m *Model) checkPrompt(prompt []int32, opts GenerateOptions) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	if len(prompt) == 0 {
		return errors.New("qlora: empty prompt")
	}
	if len(prompt) >= m.cfg.MaxPosition {
		return fmt.Errorf("qlora: prompt of %d tokens, the model takes %d", len(prompt), m.cfg.MaxPosition)
	}
	for i, id := range prompt {
		if id < 0 || int(id) >= m.cfg.VocabSize {
			return fmt.Errorf("qlora: prompt token %d at %d is outside the vocabulary of %d", id, i, m.cfg.VocabSize)
		}
	}
	return nil
}

// GenerateText continues prompt greedily and returns the text of the new tokens.
func (m *Model) GenerateText(ctx context.Context, prompt []int32, maxNewTokens int) (string, error) {
	if m.tok == nil {
		return "", ErrNoTokenizer
	}
	opts := DefaultGenerateOptions()
	opts.MaxNewTokens = maxNewTokens
	var b strings.Builder
	dec := m.tok.NewDecoder()
	for id, err := range m.Generate(ctx, prompt, opts) {
		if err != nil {
			return b.String(), err
		}
		b.WriteString(dec.Push(id))
	}
	b.WriteString(dec.Flush())
	return b.String(), nil
}

// newRand returns the generator of one purpose: seed and a purpose's number.
func newRand(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }
