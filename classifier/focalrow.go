package classifier

import (
	"fmt"
	"math"
	"slices"
)

// focalRow computes the loss of one sample at a time, without allocating.
type focalRow struct {
	gamma, smoothing float64
	weight           []float64
	label            []float64 // of the sample, before smoothing
	e, s             []float64
}

func newFocalRow(f FocalLoss, classes int) *focalRow {
	buf := make([]float64, 4*classes)
	r := &focalRow{gamma: f.Gamma, smoothing: f.Smoothing, weight: buf[:classes], label: buf[classes : 2*classes],
		e: buf[2*classes : 3*classes], s: buf[3*classes:]}
	for k := range r.weight {
		r.weight[k] = 1
	}
	copy(r.weight, f.Weights)
	return r
}

// setLabel takes a soft label; sum is 0 for a sample to ignore.
func (r *focalRow) setLabel(label []float64) (sum float64, err error) {
	copy(r.label, label)
	for k, v := range label {
		if !(v >= 0) {
			return 0, fmt.Errorf("label %v of class %d", v, k)
		}
		sum += v
	}
	if sum != 0 && !(math.Abs(sum-1) <= 1e-6) {
		return 0, fmt.Errorf("labels sum to %v, want 1 or all 0", sum)
	}
	return sum, nil
}

// loss returns −Σ q_k w_k u_k^γ ln p_k. With s_k = q_k w_k u_k^γ (γ p_k ln p_k/u_k − 1) the
// gradient is dL/dz_j = s_j − p_j Σ_k s_k, computed as s_j u_j − p_j Σ_{k≠j} s_k so that
// nothing cancels where p_j is close to 1.
func (r *focalRow) loss(z, grad []float64) (loss float64) {
	top, sum := slices.Max(z), 0.0
	for k, v := range z {
		r.e[k] = math.Exp(v - top)
		sum += r.e[k]
	}
	logSum := math.Log(sum)
	for k := range z {
		r.s[k] = 0
		q := (1-r.smoothing)*r.label[k] + r.smoothing/float64(len(z))
		if q == 0 || r.weight[k] == 0 {
			continue
		}
		u, logP := others(r.e, k)/sum, z[k]-top-logSum
		if u < 0.5 {
			logP = math.Log1p(-u) // exact where p is close to 1
		}
		c := q * r.weight[k] * math.Pow(u, r.gamma) // 0⁰ is 1
		loss -= c * logP
		r.s[k] = c * (r.gamma*r.e[k]/sum*logRatio(logP, u) - 1)
	}
	for k := range grad {
		grad[k] = r.s[k]*(others(r.e, k)/sum) - r.e[k]/sum*others(r.s, k)
	}
	return loss
}

// others sums all of v but element k. It is never a difference: 1 − p would round.
func others(v []float64, k int) (sum float64) {
	for j, x := range v {
		if j != k {
			sum += x
		}
	}
	return sum
}

// logRatio is ln p / u, whose limit for u → 0 is −1.
func logRatio(logP, u float64) float64 {
	if u == 0 {
		return -1
	}
	return logP / u
}

// Softmax writes the probabilities of logits to p.
func Softmax(p, logits []float64) {
	top, sum := slices.Max(logits), 0.0
	for k, z := range logits {
		p[k] = math.Exp(z - top)
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
}
