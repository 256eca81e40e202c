package qlora

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// plan fixes the order of all batches from options and data alone, so that the
// step number is the whole data cursor.
type plan struct {
	opts   Options
	data   []Example
	total  int
	epoch  int       // of cached
	cached [][][]int // steps of one epoch: micro-batches: example indices
	starts []int     // first step of each epoch
}

func newPlan(data []Example, opts Options) *plan {
	p := &plan{opts: opts, data: data, epoch: -1}
	for e := range opts.Epochs {
		p.starts = append(p.starts, p.total)
		p.total += len(p.steps(e))
		if opts.MaxSteps > 0 && p.total >= opts.MaxSteps {
			break
		}
	}
	if opts.MaxSteps > 0 {
		p.total = min(p.total, opts.MaxSteps)
	}
	return p
}

// step returns the micro-batches of a global step.
func (p *plan) step(n int) [][]int {
	e := len(p.starts) - 1
	for p.starts[e] > n {
		e--
	}
	return p.steps(e)[n-p.starts[e]]
}

func (p *plan) steps(epoch int) [][][]int {
	if p.epoch == epoch {
		return p.cached
	}
	order := newRand(p.opts.Seed, uint64(epoch)+1000).Perm(len(p.data))
	micro := p.microBatches(order)
	var steps [][][]int
	for len(micro) > 0 {
		k := min(p.opts.Accumulation, len(micro))
		steps, micro = append(steps, micro[:k]), micro[k:]
	}
	p.epoch, p.cached = epoch, steps
	return steps
}

// microBatches groups examples in order: by token budget when packing, by count
// otherwise, where the budget bounds too.
func (p *plan) microBatches(order []int) [][]int {
	budget, limit := p.opts.BatchSize*p.opts.MaxLength, p.opts.BatchSize
	if p.opts.Packing {
		limit = math.MaxInt
	}
	var out [][]int
	var cur []int
	tokens := 0
	for _, i := range order {
		n := min(len(p.data[i].IDs), p.opts.MaxLength)
		if len(cur) > 0 && (tokens+n > budget || len(cur) == limit) {
			out, cur, tokens = append(out, cur), nil, 0
		}
		cur, tokens = append(cur, i), tokens+n
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

// epochOf returns the epoch as a real number for logs.
func (p *plan) epochOf(step int) float64 {
	e := len(p.starts) - 1
	for e > 0 && p.starts[e] >= step {
		e--
	}
	return float64(e) + float64(step-p.starts[e])/float64(len(p.steps(e)))
}

// fingerprint identifies the examples, in order.
func fingerprint(data []Example) string {
	h := sha256.New()
	for _, ex := range data {
		binary.Write(h, binary.LittleEndian, int64(len(ex.IDs)))
		binary.Write(h, binary.LittleEndian, ex.IDs)
		binary.Write(h, binary.LittleEndian, ex.Weight)
	}
	return hex.EncodeToString(h.Sum(nil))
}
