package qlora

import (
	"context"
	"fmt"
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// Divergence compares two models' predictions.
type Divergence struct {
	KL      float64 `json:"kl"`       // mean over positions of KL(a‖b), nats
	MaxDiff float64 `json:"max_diff"` // largest |logit difference|
	Tokens  int     `json:"tokens"`
}

// Diverge compares the next-token distributions of a and b at every position of
// ids. Vocabularies must agree.
func Diverge(ctx context.Context, a, b *Model, ids []int32) (Divergence, error) {
	d := Divergence{Tokens: len(ids)}
	if a.cfg.VocabSize != b.cfg.VocabSize {
		return d, fmt.Errorf("qlora: vocabularies of %d and %d tokens", a.cfg.VocabSize, b.cfg.VocabSize)
	}
	const rows = 32
	for first := 0; first < len(ids); first += rows {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		n := min(rows, len(ids)-first)
		x, err := a.logits(ids, first, n)
		if err != nil {
			return d, err
		}
		y, err := b.logits(ids, first, n)
		if err != nil {
			return d, err
		}
		v := a.cfg.VocabSize
		for i := range n {
			kl, diff := compareRows(x[i*v:(i+1)*v], y[i*v:(i+1)*v])
			d.KL += kl / float64(len(ids))
			d.MaxDiff = max(d.MaxDiff, diff)
		}
	}
	return d, nil
}

func compareRows(x, y []float32) (kl, diff float64) {
	lx, ly := logSum(x), logSum(y)
	for i := range x {
		p := float64(x[i]) - lx
		kl += math.Exp(p) * (p - (float64(y[i]) - ly))
		diff = max(diff, math.Abs(float64(x[i])-float64(y[i])))
	}
	return kl, diff
}

func logSum(x []float32) float64 {
	top, s := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		s += math.Exp(float64(v) - top)
	}
	return top + math.Log(s)
}

// logits returns those that follow positions [first, first+n) of ids.
func (m *Model) logits(ids []int32, first, n int) ([]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &phi3.Batch{}
	b.Add(ids[:first+n], nil)
	c, v := m.cfg.HiddenSize, m.cfg.VocabSize
	out := make([]float32, n*v)
	err := m.runBlock(b, func(p *phi3.Pass) error {
		y := m.dev.Alloc(m.dev.Real(), n*v)
		m.dev.Linear(y, nil, compute.Activation{X: p.Hidden().Slice(first*c, n*c)}, m.net.Head, nil, nil, n, compute.Random{})
		return m.dev.Download(out, y)
	})
	return out, err
}
