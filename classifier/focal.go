package classifier

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// FocalLoss is the softmax focal loss L = −w_y u^γ ln p_y with p = softmax(z) and
// u = 1 − p_y (Lin et al. 2017, arXiv:1708.02002, eq. 5, over softmax). p comes from the
// unweighted softmax; the weight multiplies each sample's own loss, and serves as the
// paper's α. With soft labels q it is −Σ_k q_k w_k u_k^γ ln p_k.
//
// All arithmetic is float64, and u is the sum of the other probabilities, never 1 − p, so
// that value and gradient keep their digits as p_y approaches 0 and 1. γ = 0 without
// weights is cross-entropy.
type FocalLoss struct {
	// Gamma is the focusing exponent γ, at least 0; default 2.
	Gamma float64 `json:"gamma" yaml:"gamma"`
	// Weights is one factor a class, at least 0; nil means 1. Default 1, 3, 5, 5.
	Weights []float64 `json:"weights" yaml:"weights"`
	// Smoothing ε in [0, 1) turns a target q into (1−ε)q + ε/K; default 0.
	Smoothing float64 `json:"smoothing" yaml:"smoothing"`
}

// Reduction says how losses of samples become one number.
type Reduction string

// Reductions.
const (
	ReduceNone Reduction = "none" // no number; the gradient of a row is that of its own loss
	ReduceSum  Reduction = "sum"
	ReduceMean Reduction = "mean" // over the samples that are not ignored
	// ReduceWeightedMean divides by the sum of the targets' weights, as PyTorch's
	// cross-entropy does; with smoothing it is still the hard target's weight.
	ReduceWeightedMean Reduction = "weighted_mean"
)

// Ignore is the target of a sample that does not count.
const Ignore = -1

// Loss is the result over N samples.
type Loss struct {
	// Value is the reduced loss; 0 with ReduceNone.
	Value float64
	// PerSample holds each sample's loss [N] before reduction; 0 where ignored.
	PerSample []float64
	// Samples is how many were not ignored; Norm what their sum was divided by.
	Samples int
	Norm    float64
	// Empty says that nothing counted (all ignored, or all weights 0), so that 0 is the
	// value by definition and not by merit.
	Empty bool
}

// ErrShape says that slices do not fit together.
var ErrShape = errors.New("classifier: slices do not fit together")

// LossError reports a row of logits or targets that has no loss.
type LossError struct {
	// Row is the sample's position.
	Row int
	// Reason says what is wrong.
	Reason string
}

// Error implements error.
func (e *LossError) Error() string {
	return fmt.Sprintf("classifier: loss: row %d: %s", e.Row, e.Reason)
}

// Validate reports a field outside its range for a number of classes.
func (f FocalLoss) Validate(classes int) error {
	bad := func(v float64) bool { return !(v >= 0) || math.IsInf(v, 0) }
	switch {
	case classes < 2:
		return &OptionError{"classes", classes, "at least 2"}
	case bad(f.Gamma):
		return &OptionError{"loss.gamma", f.Gamma, "a finite number, at least 0"}
	case !(f.Smoothing >= 0 && f.Smoothing < 1):
		return &OptionError{"loss.smoothing", f.Smoothing, "0 to below 1"}
	case len(f.Weights) != 0 && len(f.Weights) != classes || slices.ContainsFunc(f.Weights, bad):
		return &OptionError{"loss.weights", f.Weights, fmt.Sprintf("none, or %d finite numbers, at least 0", classes)}
	}
	return nil
}

// Hard computes the loss of logits [N, classes] for targets [N] in 0…classes−1 or
// Ignore. If grad is not nil it receives dValue/dlogits [N, classes].
func (f FocalLoss) Hard(logits []float64, classes int, targets []int, r Reduction, grad []float64) (Loss, error) {
	if err := f.check(logits, classes, len(targets), r, grad); err != nil {
		return Loss{}, err
	}
	for i, y := range targets {
		if y != Ignore && (y < 0 || y >= classes) {
			return Loss{}, &LossError{i, fmt.Sprintf("target %d, want 0 to %d or %d", y, classes-1, Ignore)}
		}
	}
	s, l := newFocalRow(f, classes), Loss{PerSample: make([]float64, len(targets))}
	for i, y := range targets {
		if y == Ignore {
			clear(rowOf(grad, i, classes))
			continue
		}
		clear(s.label)
		s.label[y] = 1
		l.PerSample[i] = s.loss(rowOf(logits, i, classes), rowOf(grad, i, classes))
		l.Samples++
	}
	return f.reduce(l, r, f.weightOf(targets), grad), nil
}

// Soft is Hard with a distribution a sample: labels [N, classes], each row at least 0
// and summing to 1 within 1e-6, or all 0 to ignore the sample. ReduceWeightedMean
// divides by Σ q_ik w_k of the labels as given.
func (f FocalLoss) Soft(logits []float64, classes int, labels []float64, r Reduction, grad []float64) (Loss, error) {
	if classes < 2 || len(labels)%classes != 0 {
		return Loss{}, fmt.Errorf("%w: %d labels of %d classes", ErrShape, len(labels), classes)
	}
	n := len(labels) / classes
	if err := f.check(logits, classes, n, r, grad); err != nil {
		return Loss{}, err
	}
	s, l, weight := newFocalRow(f, classes), Loss{PerSample: make([]float64, n)}, 0.0
	for i := range n {
		sum, err := s.setLabel(rowOf(labels, i, classes))
		if err != nil {
			return Loss{}, &LossError{i, err.Error()}
		}
		if sum == 0 {
			clear(rowOf(grad, i, classes))
			continue
		}
		l.PerSample[i] = s.loss(rowOf(logits, i, classes), rowOf(grad, i, classes))
		l.Samples++
		for k, v := range s.label {
			weight += v * s.weight[k]
		}
	}
	return f.reduce(l, r, weight, grad), nil
}

func (f FocalLoss) check(logits []float64, classes, n int, r Reduction, grad []float64) error {
	if err := f.Validate(classes); err != nil {
		return err
	}
	if !slices.Contains([]Reduction{ReduceNone, ReduceSum, ReduceMean, ReduceWeightedMean}, r) {
		return &OptionError{"reduction", r, "none, sum, mean or weighted_mean"}
	}
	if len(logits) != n*classes || grad != nil && len(grad) != len(logits) {
		return fmt.Errorf("%w: %d logits and %d gradients for %d samples of %d classes", ErrShape, len(logits), len(grad), n, classes)
	}
	for i, z := range logits {
		if math.IsNaN(z) || math.IsInf(z, 0) {
			return &LossError{i / classes, fmt.Sprintf("logit %d is %v", i%classes, z)}
		}
	}
	return nil
}

// rowOf returns row i, nil of nil.
func rowOf(m []float64, i, width int) []float64 {
	if m == nil {
		return nil
	}
	return m[i*width : (i+1)*width]
}

// weightOf is the divisor of ReduceWeightedMean.
func (f FocalLoss) weightOf(targets []int) (sum float64) {
	for _, y := range targets {
		switch {
		case y == Ignore:
		case len(f.Weights) == 0:
			sum++
		default:
			sum += f.Weights[y]
		}
	}
	return sum
}

// reduce divides the sum. A weight of 0 leaves losses only where smoothing reaches
// classes of other weights, and nothing to divide a weighted mean by.
func (f FocalLoss) reduce(l Loss, r Reduction, weight float64, grad []float64) Loss {
	l.Norm = 1
	if l.Samples == 0 || weight == 0 && (f.Smoothing == 0 || r == ReduceWeightedMean) {
		l.Empty = true
		clear(l.PerSample)
		clear(grad)
		return l
	}
	switch r {
	case ReduceMean:
		l.Norm = float64(l.Samples)
	case ReduceWeightedMean:
		l.Norm = weight
	}
	for i := range grad {
		grad[i] /= l.Norm
	}
	if r != ReduceNone {
		for _, v := range l.PerSample {
			l.Value += v
		}
		l.Value /= l.Norm
	}
	return l
}
