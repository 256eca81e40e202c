package classifier

import (
	"fmt"
	"math"
)

// FocalLoss is L = -w_y (1-p_y)^γ ln p_y with p the softmax of the logits (Lin
// and others, "Focal Loss for Dense Object Detection", 2017, for more than two
// classes). γ = 0 without weights is cross-entropy.
type FocalLoss struct {
	// Gamma is the focusing exponent, at least 0.
	Gamma float64 `json:"gamma" yaml:"gamma"`
	// Weights is one factor a class; nil means 1.
	Weights []float64 `json:"weights" yaml:"weights"`
	// Smoothing moves this share of the target evenly over all classes, 0 to
	// below 1.
	Smoothing float64 `json:"smoothing" yaml:"smoothing"`
}

// LossError reports input that has no loss.
type LossError struct {
	Row    int // -1 for the whole input
	Reason string
}

// Error implements error.
func (e *LossError) Error() string {
	if e.Row < 0 {
		return "classifier: loss: " + e.Reason
	}
	return fmt.Sprintf("classifier: loss: row %d: %s", e.Row, e.Reason)
}

// Softmax writes the probabilities of logits to p.
func Softmax(p, logits []float64) {
	top := math.Inf(-1)
	for _, z := range logits {
		top = max(top, z)
	}
	sum := 0.0
	for i, z := range logits {
		p[i] = math.Exp(z - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
}

// Row returns the loss of one row and its gradient with respect to the logits.
// q holds the target distribution over the classes.
func (f FocalLoss) Row(logits, q []float64) (loss float64, grad []float64, err error) {
	k := len(logits)
	if len(q) != k || f.Weights != nil && len(f.Weights) != k {
		return 0, nil, &LossError{-1, fmt.Sprintf("%d logits, %d targets, %d weights", k, len(q), len(f.Weights))}
	}
	for _, z := range logits {
		if math.IsNaN(z) || math.IsInf(z, 0) {
			return 0, nil, &LossError{-1, fmt.Sprintf("logit %v", z)}
		}
	}
	p, lnp := make([]float64, k), logSoftmax(logits)
	Softmax(p, logits)
	grad = make([]float64, k)
	total := 0.0 // Σ_k s_k
	for c, share := range q {
		if share == 0 {
			continue
		}
		l, s := f.term(p, lnp, c)
		loss += share * l
		grad[c] += share * s
		total += share * s
	}
	for j := range grad {
		grad[j] -= p[j] * total
	}
	return loss, grad, nil
}

func logSoftmax(logits []float64) []float64 {
	top := math.Inf(-1)
	for _, z := range logits {
		top = max(top, z)
	}
	sum := 0.0
	for _, z := range logits {
		sum += math.Exp(z - top)
	}
	out := make([]float64, len(logits))
	for i, z := range logits {
		out[i] = z - top - math.Log(sum)
	}
	return out
}

// term returns the loss for class c and s with ∂L/∂z_j = s(δ_jc - p_j). With u =
// 1-p_c summed from the other classes, s = w u^γ (γ p_c ln p_c / u - 1), where
// ln p / u → -1 as u → 0.
func (f FocalLoss) term(p, lnp []float64, c int) (loss, s float64) {
	w := 1.0
	if f.Weights != nil {
		w = f.Weights[c]
	}
	u := 0.0
	for j, v := range p {
		if j != c {
			u += v
		}
	}
	ratio := -1.0
	if u > 1e-12 {
		ratio = lnp[c] / u
	}
	focus := math.Pow(u, f.Gamma)
	return -w * focus * lnp[c], w * focus * (f.Gamma*p[c]*ratio - 1)
}

// target returns the smoothed distribution of class y.
func (f FocalLoss) target(y, k int) []float64 {
	q := make([]float64, k)
	for j := range q {
		q[j] = f.Smoothing / float64(k)
	}
	q[y] += 1 - f.Smoothing
	return q
}

// Sum returns the loss summed over rows of logits [B, K] and its gradient
// [B, K]. targets are class indices; a negative one leaves its row out. live is
// the number of rows that counted.
func (f FocalLoss) Sum(logits []float64, targets []int) (loss float64, grad []float64, live int, err error) {
	if len(targets) == 0 || len(logits)%len(targets) != 0 || len(logits) == 0 {
		return 0, nil, 0, &LossError{-1, fmt.Sprintf("%d logits for %d targets", len(logits), len(targets))}
	}
	k := len(logits) / len(targets)
	grad = make([]float64, len(logits))
	for i, y := range targets {
		if y < 0 {
			continue
		}
		if y >= k {
			return 0, nil, 0, &LossError{i, fmt.Sprintf("target %d of %d classes", y, k)}
		}
		l, g, err := f.Row(logits[i*k:(i+1)*k], f.target(y, k))
		if err != nil {
			return 0, nil, 0, &LossError{i, err.Error()}
		}
		loss += l
		copy(grad[i*k:], g)
		live++
	}
	return loss, grad, live, nil
}

// Mean is Sum divided by the number of rows that counted; with none it is 0.
func (f FocalLoss) Mean(logits []float64, targets []int) (loss float64, grad []float64, err error) {
	return f.scaled(logits, targets, func(live int, _ float64) float64 { return float64(live) })
}

// WeightedMean is Sum divided by the summed weights of the targets, as PyTorch's
// weighted cross-entropy does.
func (f FocalLoss) WeightedMean(logits []float64, targets []int) (loss float64, grad []float64, err error) {
	return f.scaled(logits, targets, func(_ int, weight float64) float64 { return weight })
}

func (f FocalLoss) scaled(logits []float64, targets []int, by func(live int, weight float64) float64) (float64, []float64, error) {
	loss, grad, live, err := f.Sum(logits, targets)
	if err != nil || live == 0 {
		return 0, grad, err
	}
	weight := 0.0
	for _, y := range targets {
		switch {
		case y >= 0 && f.Weights != nil:
			weight += f.Weights[y]
		case y >= 0:
			weight++
		}
	}
	n := by(live, weight)
	for i := range grad {
		grad[i] /= n
	}
	return loss / n, grad, nil
}

// BalancedWeights returns (1-β)/(1-β^n) for class counts n, scaled to sum to the
// number of classes (Cui and others, "Class-Balanced Loss", 2019).
func BalancedWeights(counts []int, beta float64) ([]float64, error) {
	if beta < 0 || beta >= 1 {
		return nil, &LossError{-1, fmt.Sprintf("beta %v, want 0 to below 1", beta)}
	}
	w, sum := make([]float64, len(counts)), 0.0
	for c, n := range counts {
		if n <= 0 {
			return nil, &LossError{-1, fmt.Sprintf("class %d has no examples", c)}
		}
		w[c] = (1 - beta) / (1 - math.Pow(beta, float64(n)))
		sum += w[c]
	}
	for c := range w {
		w[c] *= float64(len(counts)) / sum
	}
	return w, nil
}
