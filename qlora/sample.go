package qlora

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// ErrNotFinite says that the model's logits hold NaN or infinity.
var ErrNotFinite = errors.New("qlora: logits are not finite")

// sampler chooses tokens from logits.
type sampler struct {
	opts GenerateOptions
	seen map[int32]bool
	rng  *rand.Rand
	cand []candidate
}

type candidate struct {
	id int32
	p  float64 // logit, then probability
}

// newSampler returns the sampler of the prompt at index i of a batch.
func newSampler(opts GenerateOptions, i uint64, prompt []int32) *sampler {
	s := &sampler{opts: opts, rng: newRand(opts.Seed, 1+i<<32)}
	if opts.RepetitionPenalty != 1 {
		s.seen = make(map[int32]bool)
		for _, id := range prompt {
			s.seen[id] = true
		}
	}
	return s
}

// choose returns the next token; logits may be changed.
func (s *sampler) choose(logits []float32) (int32, error) {
	s.penalise(logits)
	best := argmax(logits)
	if best < 0 {
		return 0, ErrNotFinite
	}
	id := int32(best)
	if s.opts.Temperature > 0 {
		id = s.draw(logits, logits[best])
	}
	if s.seen != nil {
		s.seen[id] = true
	}
	return id, nil
}

func (s *sampler) penalise(logits []float32) {
	p := float32(s.opts.RepetitionPenalty)
	for id := range s.seen {
		if logits[id] > 0 {
			logits[id] /= p
		} else {
			logits[id] *= p
		}
	}
}

// argmax returns the first index of the largest logit, -1 if any is not finite.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
			return -1
		}
		if x > v[best] {
			best = i
		}
	}
	return best
}

// draw samples after temperature, top-k, top-p and min-p, in that order. Logits
// count from the top one, so that no temperature makes the largest infinite.
func (s *sampler) draw(logits []float32, top float32) int32 {
	s.cand = s.cand[:0]
	for i, l := range logits {
		s.cand = append(s.cand, candidate{int32(i), (float64(l) - float64(top)) / s.opts.Temperature})
	}
	slices.SortFunc(s.cand, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id))
	})
	c := s.cand
	if k := s.opts.TopK; k > 0 {
		c = c[:min(k, len(c))]
	}
	softmax(c)
	c = cut(c, s.opts)
	total := 0.0
	for _, x := range c {
		total += x.p
	}
	u := s.rng.Float64() * total
	for _, x := range c {
		if u -= x.p; u < 0 {
			return x.id
		}
	}
	return c[len(c)-1].id
}

// softmax turns sorted logits into probabilities.
func softmax(c []candidate) {
	top, sum := c[0].p, 0.0
	for i := range c {
		c[i].p = math.Exp(c[i].p - top)
		sum += c[i].p
	}
	for i := range c {
		c[i].p /= sum
	}
}

// cut applies top-p and min-p to sorted probabilities; the first always stays.
func cut(c []candidate, o GenerateOptions) []candidate {
	sum := 0.0
	for i, x := range c {
		if i > 0 && (sum >= o.TopP || x.p < o.MinP*c[0].p) {
			return c[:i]
		}
		sum += x.p
	}
	return c
}
