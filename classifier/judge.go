package classifier

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/borea-go/borea/label"
)

// Judge classifies texts with a head over a backbone.
type Judge struct {
	Head     *Head
	Backbone Backbone
	// BatchSize texts go to the backbone at once, at least 1.
	BatchSize int
	// Temperature divides the logits before the softmax; 0 is 1, no scaling.
	Temperature float64
	// AllowAbove makes ALLOW need p(ALLOW) > AllowAbove; what does not reach it becomes
	// ESCALATION. 0 asks for nothing. It can only add refusals.
	AllowAbove float64
}

// Reasons of a Prediction without scores.
const (
	FailedEmpty    = "empty text"
	FailedInput    = "text unreadable or too long"
	FailedScores   = "scores are not finite"
	FailedBackbone = "backbone error"
)

// Prediction is the answer for one text.
type Prediction struct {
	// Class is the decision: the most probable class, at a tie the more cautious one (the
	// later in label.Classes), with ALLOW subject to Judge.AllowAbove.
	Class label.Class `json:"class"`
	// P holds the probabilities in index order; all 0 when Failed.
	P [label.Count]float64 `json:"p"`
	// Failed is the reason for an ESCALATION without scores, one of the constants; ""
	// otherwise. Detail is the error behind it.
	Failed string `json:"failed,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func failed(reason string, err error) Prediction {
	p := Prediction{Class: label.Escalation, Failed: reason}
	if err != nil {
		p.Detail = err.Error()
	}
	return p
}

// Predict answers every text. It fails closed: an empty text, one that the backbone
// refuses, an error of the backbone or scores that are not finite give ESCALATION with
// a reason, and failed counts them. Only the end of ctx, or a judge that cannot work, is
// an error.
func (j *Judge) Predict(ctx context.Context, texts []string) (out []Prediction, failed int, err error) {
	if err := j.validate(); err != nil {
		return nil, 0, err
	}
	out = make([]Prediction, len(texts))
	for first := 0; first < len(texts); first += j.BatchSize {
		end := min(len(texts), first+j.BatchSize)
		if err := j.batch(ctx, texts[first:end], out[first:end]); err != nil {
			return out[:first], failed, err
		}
		for _, p := range out[first:end] {
			if p.Failed != "" {
				failed++
			}
		}
	}
	return out, failed, nil
}

func (j *Judge) validate() error {
	switch {
	case j.Head == nil || j.Backbone == nil:
		return errors.New("classifier: judge without head or backbone")
	case j.Head.Classes != label.Count || j.Head.Width != j.Backbone.Width():
		return fmt.Errorf("%w: head for %d classes and width %d, want %d and the backbone's %d", ErrShape, j.Head.Classes, j.Head.Width, label.Count, j.Backbone.Width())
	case j.BatchSize < 1:
		return &OptionError{"batch_size", j.BatchSize, "at least 1"}
	case !(j.Temperature >= 0) || math.IsInf(j.Temperature, 0):
		return &OptionError{"temperature", j.Temperature, "a finite number, at least 0"}
	case !(j.AllowAbove >= 0 && j.AllowAbove <= 1):
		return &OptionError{"allow_above", j.AllowAbove, "0 to 1"}
	}
	return nil
}

// batch answers texts together. A refused text is set aside and those before and after
// it are tried again without it; after any other error each is tried alone, so that one
// bad text does not take the others with it.
func (j *Judge) batch(ctx context.Context, texts []string, out []Prediction) error {
	if len(texts) == 0 {
		return nil
	}
	z, err := j.score(ctx, texts)
	var in *InputError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		for i := range out {
			out[i] = j.decide(z[i*label.Count : (i+1)*label.Count])
		}
		return nil
	case errors.As(err, &in) && in.Index >= 0 && in.Index < len(texts):
		i := in.Index
		out[i] = failed(FailedInput, in.Err)
		if texts[i] == "" {
			out[i] = failed(FailedEmpty, nil)
		}
		return errors.Join(j.batch(ctx, texts[:i], out[:i]), j.batch(ctx, texts[i+1:], out[i+1:]))
	case len(texts) == 1:
		out[0] = failed(FailedBackbone, err)
		return nil
	}
	for i := range texts {
		if err := j.batch(ctx, texts[i:i+1], out[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (j *Judge) score(ctx context.Context, texts []string) ([]float64, error) {
	for i, t := range texts {
		if t == "" {
			return nil, &InputError{i, errors.New(FailedEmpty)}
		}
	}
	x, err := j.Backbone.Features(ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(x) != len(texts)*j.Head.Width {
		return nil, fmt.Errorf("classifier: backbone gave %d values for %d texts of width %d", len(x), len(texts), j.Head.Width)
	}
	return j.Head.Forward(x)
}

// decide turns one row of logits into an answer.
func (j *Judge) decide(z []float64) Prediction {
	var p Prediction
	scaled := make([]float64, len(z))
	for k, v := range z {
		if j.Temperature > 0 {
			v /= j.Temperature
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return failed(FailedScores, nil)
		}
		scaled[k] = v
	}
	Softmax(p.P[:], scaled)
	p.Class, _ = label.FromIndex(mostProbable(p.P[:]))
	if p.Class == label.Allow && !(p.P[label.Allow.Index()] > j.AllowAbove) {
		p.Class = label.Escalation
	}
	return p
}

// mostProbable is the index of the largest value, the last at a tie.
func mostProbable(v []float64) (best int) {
	for i, x := range v {
		if x >= v[best] {
			best = i
		}
	}
	return best
}
