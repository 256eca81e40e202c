package qlora

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
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
	return m.generateAll(ctx, [][]int32{prompt}, opts, func(_ int, id int32) bool { return yield(id, nil) })
}

// BatchToken is a new token of one of several prompts.
type BatchToken struct {
	Prompt int // index of the prompt
	ID     int32
}

// GenerateBatch continues several prompts together, which reads the weights once
// a step for all of them, and yields the new tokens of each step in the order of
// the prompts. Each prompt ends by itself, as in Generate; prompt i draws from
// the stream of opts.Seed and i. Sums of more than four prompts run in another
// order than alone, so the last bits of logits can differ from Generate's.
func (m *Model) GenerateBatch(ctx context.Context, prompts [][]int32, opts GenerateOptions) iter.Seq2[BatchToken, error] {
	return func(yield func(BatchToken, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		err := m.generateAll(ctx, prompts, opts, func(i int, id int32) bool { return yield(BatchToken{i, id}, nil) })
		if err != nil {
			yield(BatchToken{}, err)
		}
	}
}

// generation is one prompt on its way.
type generation struct {
	sampler *sampler
	next    int32 // token to feed
	left    int   // tokens still to generate
}

// generateAll feeds each prompt and then steps all that have not ended, until
// use returns false.
func (m *Model) generateAll(ctx context.Context, prompts [][]int32, opts GenerateOptions, use func(i int, id int32) bool) error {
	capacities, longest := make([]int, len(prompts)), 0
	for i, p := range prompts {
		if err := m.checkPrompt(p, opts); err != nil {
			return err
		}
		capacities[i] = min(len(p)+opts.MaxNewTokens, m.cfg.MaxPosition)
		longest = max(longest, len(p))
		m.net.Fit(capacities[i])
	}
	if len(prompts) == 0 {
		return nil
	}
	mark := m.dev.Mark()
	defer m.dev.Release(mark)
	dec := m.net.NewDecoder(capacities, min(m.opts.BlockTokens, longest), m.cacheType(), m.tuning)
	b := &batch{m: m, opts: opts, dec: dec, all: make([]generation, len(prompts)), use: use}
	for i, p := range prompts {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.all[i] = generation{sampler: newSampler(opts, uint64(i), p), left: capacities[i] - len(p)}
		logits, err := dec.Feed(i, p)
		if err == nil {
			err = b.choose(i, logits)
		}
		if err != nil || b.stopped {
			return err
		}
	}
	return b.steps(ctx)
}

// batch is the prompts of one call.
type batch struct {
	m       *Model
	opts    GenerateOptions
	dec     *phi3.Decoder
	all     []generation
	live    []int // prompts that have not ended
	use     func(i int, id int32) bool
	stopped bool // by the consumer
}

func (b *batch) steps(ctx context.Context) error {
	v := b.m.cfg.VocabSize
	for len(b.live) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		which, ids := b.live, make([]int32, len(b.live))
		for j, i := range which {
			ids[j] = b.all[i].next
		}
		logits, err := b.dec.Step(which, ids)
		if err != nil {
			return err
		}
		b.live = nil
		for j, i := range which {
			if err := b.choose(i, logits[j*v:(j+1)*v]); err != nil || b.stopped {
				return err
			}
		}
	}
	return nil
}

// choose takes the next token of prompt i and keeps the prompt alive unless that
// ended it.
func (b *batch) choose(i int, logits []float32) error {
	g, stop := &b.all[i], b.opts.Stop
	if stop == nil {
		stop = b.m.cfg.EOS
	}
	id, err := g.sampler.choose(logits)
	if err != nil {
		return err
	}
	g.next, g.left = id, g.left-1
	b.stopped = !b.use(i, id)
	if g.left > 0 && !slices.Contains(stop, id) {
		b.live = append(b.live, i)
	}
	return nil
}

// cacheType is the type of keys and values in the cache.
func (m *Model) cacheType() compute.Type {
	if t := cacheTypes[m.opts.KVCache]; t != fullCache {
		return t
	}
	return m.dev.Real()
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
