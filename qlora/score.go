package qlora

import (
	"context"
	"fmt"
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// Encode returns the token ids of text as ordinary text: control tokens written
// in it are not recognised. Without a tokenizer it returns nil.
func (m *Model) Encode(text string) []int32 {
	if m.tok == nil {
		return nil
	}
	return m.tok.EncodePlain(text)
}

// LogProbs returns, for each sequence, ln p(seq[j] | seq[:j]) at index j; index 0
// is 0. Sequences are scored independently, several at a time.
func (m *Model) LogProbs(ctx context.Context, seqs [][]int32) ([][]float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]float64, len(seqs))
	err := m.inBlocks(ctx, seqs, func(first int, b *phi3.Batch, p *phi3.Pass) error {
		return m.readLogProbs(out[first:], b, p)
	})
	return out, err
}

func (m *Model) readLogProbs(out [][]float64, b *phi3.Batch, p *phi3.Pass) error {
	nll := make([]float32, b.Len())
	if err := m.dev.Download(nll, p.Loss(false)); err != nil {
		return err
	}
	for i, n := range b.Documents() {
		lp := make([]float64, n)
		for j := 1; j < int(n); j++ {
			lp[j] = -float64(nll[j-1])
		}
		out[i], nll = lp, nll[n:]
	}
	return nil
}

// inBlocks runs the forward pass over groups of sequences of at most
// BlockTokens together (a longer sequence runs alone) and calls use after each;
// first is the index of the group's first sequence.
func (m *Model) inBlocks(ctx context.Context, seqs [][]int32, use func(first int, b *phi3.Batch, p *phi3.Pass) error) error {
	for i := 0; i < len(seqs); {
		if err := ctx.Err(); err != nil {
			return err
		}
		first, b := i, &phi3.Batch{}
		for ; i < len(seqs) && (b.Len() == 0 || b.Len()+len(seqs[i]) <= m.opts.BlockTokens); i++ {
			if len(seqs[i]) == 0 || len(seqs[i]) > m.cfg.MaxPosition {
				return fmt.Errorf("qlora: sequence %d has %d tokens, the model takes 1 to %d", i, len(seqs[i]), m.cfg.MaxPosition)
			}
			b.Add(seqs[i], nil)
		}
		if err := m.runBlock(b, func(p *phi3.Pass) error { return use(first, b, p) }); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) runBlock(b *phi3.Batch, use func(*phi3.Pass) error) error {
	m.net.Fit(b.Longest())
	mark := m.dev.Mark()
	defer m.dev.Release(mark)
	p := m.net.NewPass(b.Len(), phi3.Infer, m.tuning)
	if err := p.Load(b); err != nil {
		return err
	}
	p.Forward(compute.Random{})
	return use(p)
}

// Features returns the mean of the final hidden state over each text's tokens,
// [len(texts), HiddenSize], row by row. It satisfies classifier.Backbone.
func (m *Model) Features(ctx context.Context, texts []string) ([]float32, error) {
	if m.tok == nil {
		return nil, ErrNoTokenizer
	}
	seqs := make([][]int32, len(texts))
	for i, t := range texts {
		seqs[i] = append([]int32{m.cfg.BOS}, m.tok.EncodePlain(t)...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []float32
	err := m.inBlocks(ctx, seqs, func(_ int, b *phi3.Batch, p *phi3.Pass) error {
		f, err := m.pool(b, p)
		out = append(out, f...)
		return err
	})
	return out, err
}

// Width returns the length of one feature vector.
func (m *Model) Width() int { return m.cfg.HiddenSize }

func (m *Model) pool(b *phi3.Batch, p *phi3.Pass) ([]float32, error) {
	off := b.Offsets()
	n, c := len(off)-1, m.cfg.HiddenSize
	offset := m.dev.Alloc(compute.I32, n+1)
	m.dev.Upload(offset, off)
	out := m.dev.Alloc(m.dev.Real(), n*c)
	m.dev.MeanPool(out, p.Hidden(), offset, n, c)
	f := make([]float32, n*c)
	return f, m.dev.Download(f, out)
}

// NLLReport is the loss of examples.
type NLLReport struct {
	NLL      float64 `json:"nll"` // nats a scored token
	PPL      float64 `json:"ppl"` // exp(NLL)
	Tokens   int     `json:"tokens"`
	Examples int     `json:"examples"`
}

// NLL scores examples as training would: the weighted mean over tokens with loss.
func (m *Model) NLL(ctx context.Context, examples []Example) (NLLReport, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rep, total, weight := NLLReport{Examples: len(examples)}, 0.0, 0.0
	for i := 0; i < len(examples); {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		b := &phi3.Batch{}
		for ; i < len(examples) && (b.Len() == 0 || b.Len()+len(examples[i].IDs) <= m.opts.BlockTokens); i++ {
			b.Add(examples[i].IDs, examples[i].Weight)
		}
		err := m.runBlock(b, func(p *phi3.Pass) error {
			nll := make([]float32, b.Len())
			err := m.dev.Download(nll, p.Loss(false))
			total, weight = total+sum(nll), weight+b.WeightSum()
			return err
		})
		if err != nil {
			return rep, err
		}
		rep.Tokens += countLive(b.Weight)
	}
	rep.NLL = total / math.Max(weight, 1e-30)
	rep.PPL = math.Exp(rep.NLL)
	return rep, nil
}

// countLive counts the positions that predict something.
func countLive(weight []float32) int {
	n := 0
	for _, w := range weight {
		if w > 0 {
			n++
		}
	}
	return n
}
