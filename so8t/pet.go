package so8t

import "math"

// PET is the penalty on second differences of the hidden state over time:
// λ · mean over live triples and columns of d², d_t = h_{t+2} - 2h_{t+1} + h_t.
// With Huber δ > 0, d² becomes d²/2 within ±δ and δ(|d| - δ/2) outside.
type PET struct {
	Lambda float64
	Huber  float64
}

// Loss returns the penalty of h [tokens, cols] and its gradient. mask marks live
// tokens; a triple counts if all three are live. No live triple gives 0.
func (p PET) Loss(h []float64, mask []bool, cols int) (loss float64, grad []float64) {
	grad = make([]float64, len(h))
	live := 0
	for t := 0; t+2 < len(mask); t++ {
		if mask[t] && mask[t+1] && mask[t+2] {
			live++
		}
	}
	if live == 0 {
		return 0, grad
	}
	scale := p.Lambda / float64(live*cols)
	for t := 0; t+2 < len(mask); t++ {
		if !mask[t] || !mask[t+1] || !mask[t+2] {
			continue
		}
		for k := range cols {
			a, b, c := t*cols+k, (t+1)*cols+k, (t+2)*cols+k
			v, g := p.term(h[c] - 2*h[b] + h[a])
			loss += scale * v
			grad[a] += scale * g
			grad[b] -= 2 * scale * g
			grad[c] += scale * g
		}
	}
	return loss, grad
}

func (p PET) term(d float64) (v, g float64) {
	if p.Huber == 0 {
		return d * d, 2 * d
	}
	if a := math.Abs(d); a > p.Huber {
		return p.Huber * (a - p.Huber/2), math.Copysign(p.Huber, d)
	}
	return d * d / 2, d
}
