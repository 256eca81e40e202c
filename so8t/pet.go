package so8t

import (
	"fmt"
	"math"
)

// PET is the penalty on second differences of the hidden state over time:
// λ · mean over live triples and columns of d², d_t = h_{t+2} - 2h_{t+1} + h_t.
// With Huber δ > 0, d² becomes d²/2 within ±δ and δ(|d| - δ/2) outside (Huber,
// Ann. Math. Statist. 35, 1964).
type PET struct {
	Lambda float64
	Huber  float64
}

// Validate reports a weight or threshold that is negative or not finite.
func (p PET) Validate() error {
	for name, v := range map[string]float64{"lambda": p.Lambda, "huber": p.Huber} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("so8t: PET's %s = %g, want at least 0", name, v)
		}
	}
	return nil
}

// Loss returns the penalty of h [B, tokens, cols] and its gradient. mask
// [B, tokens] marks live tokens; a triple counts if all three are live, and lies
// within one sequence. The sum is divided by the number of live triples times
// cols. No live triple, or fewer than three tokens, gives 0.
func (p PET) Loss(h []float64, mask []bool, tokens, cols int) (loss float64, grad []float64, err error) {
	if err := p.Validate(); err != nil {
		return 0, nil, err
	}
	if tokens < 1 || cols < 1 || len(mask)%tokens != 0 {
		return 0, nil, &SizeError{"mask", len(mask), max(1, tokens)}
	}
	if len(h) != len(mask)*cols {
		return 0, nil, &SizeError{"h", len(h), len(mask) * cols}
	}
	grad = make([]float64, len(h))
	first := triples(mask, tokens)
	scale := p.Lambda / float64(len(first)*cols)
	for _, t := range first {
		for k := range cols {
			a, b, c := t*cols+k, (t+1)*cols+k, (t+2)*cols+k
			v, g := p.term(h[c] - 2*h[b] + h[a])
			loss += scale * v
			grad[a] += scale * g
			grad[b] -= 2 * scale * g
			grad[c] += scale * g
		}
	}
	return loss, grad, nil
}

// triples lists the first tokens of live triples.
func triples(mask []bool, tokens int) (first []int) {
	for t := range mask {
		if t%tokens+2 < tokens && mask[t] && mask[t+1] && mask[t+2] {
			first = append(first, t)
		}
	}
	return first
}

// term returns the penalty of one difference and its slope.
func (p PET) term(d float64) (v, g float64) {
	if p.Huber == 0 {
		return d * d, 2 * d
	}
	if a := math.Abs(d); a > p.Huber {
		return p.Huber * (a - p.Huber/2), math.Copysign(p.Huber, d)
	}
	return d * d / 2, d
}

// Schedule is PET's weight over a training: Lambda in each of three phases. The
// first two take Phase shares of the steps, each rounded down, the third the
// rest. After the last step the weight is 0.
type Schedule struct {
	Lambda [3]float64 `json:"lambda" yaml:"lambda"` // at least 0; default 0.01, 0.05, 0.1
	Phase  [2]float64 `json:"phase" yaml:"phase"`   // 0 to 1, together at most 1; default 0.2, 0.4
}

// DefaultSchedule is the original system's.
func DefaultSchedule() Schedule {
	return Schedule{Lambda: [3]float64{0.01, 0.05, 0.1}, Phase: [2]float64{0.2, 0.4}}
}

// Validate reports values out of range.
func (s Schedule) Validate() error {
	for i, v := range s.Lambda {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("so8t: PET's lambda[%d] = %g, want at least 0", i, v)
		}
	}
	if a, b := s.Phase[0], s.Phase[1]; !(a >= 0 && b >= 0 && a+b <= 1) {
		return fmt.Errorf("so8t: PET's phase = %v, want shares of at most 1 together", s.Phase)
	}
	return nil
}

// At returns the weight at step (0-based) of total. total ≤ 0, an open-ended
// training, gives the second phase's.
func (s Schedule) At(step, total int) float64 {
	if total <= 0 {
		return s.Lambda[1]
	}
	first := int(s.Phase[0] * float64(total))
	second := first + int(s.Phase[1]*float64(total))
	switch {
	case step < first:
		return s.Lambda[0]
	case step < second:
		return s.Lambda[1]
	case step < total:
		return s.Lambda[2]
	}
	return 0
}
