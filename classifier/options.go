package classifier

import (
	"fmt"

	"github.com/borea-go/borea/label"
)

// Options is every knob of training; start from DefaultOptions.
type Options struct {
	// Loss and its Reduction over the examples of a step: mean (default) or weighted_mean.
	Loss      FocalLoss `json:"loss" yaml:"loss"`
	Reduction Reduction `json:"reduction" yaml:"reduction"`
	// Epochs over the data, at least 1; default 5. Patience is how many epochs without a
	// better macro F1 on the validation part end the run early, 0 for never; default 2.
	Epochs   int `json:"epochs" yaml:"epochs"`
	Patience int `json:"patience" yaml:"patience"`
	// BatchSize texts at once; a step sums Accumulation batches and is normalised over all
	// of them. Both at least 1; default 4.
	BatchSize    int `json:"batch_size" yaml:"batch_size"`
	Accumulation int `json:"accumulation" yaml:"accumulation"`
	// HeadRate (default 1e-3) and BackboneRate (default 1e-4; 0 freezes the backbone) are
	// learning rates, cosine to 0 after a linear warm-up of WarmupRatio of all steps, 0 to
	// 1, default 0.1.
	HeadRate     float64 `json:"head_rate" yaml:"head_rate"`
	BackboneRate float64 `json:"backbone_rate" yaml:"backbone_rate"`
	WarmupRatio  float64 `json:"warmup_ratio" yaml:"warmup_ratio"`
	// WeightDecay of the head's weights, not its biases, decoupled; default 0.01.
	WeightDecay float64 `json:"weight_decay" yaml:"weight_decay"`
	// ClipNorm bounds the gradient norm of head and backbone, each; 0 is off; default 1.
	ClipNorm float64 `json:"clip_norm" yaml:"clip_norm"`
	// Hidden is the width of a hidden layer in the head, 0 (default) for a linear head.
	Hidden int `json:"hidden" yaml:"hidden"`
	// Dropout on the features and the hidden layer, 0 to below 1; default 0.1.
	Dropout float64 `json:"dropout" yaml:"dropout"`
	// Seed of the first weights, the order and the dropout; default 42.
	Seed uint64 `json:"seed" yaml:"seed"`
	// SaveSeconds (default 300) and SaveSteps (default 0) say when to checkpoint; 0 turns
	// one off. SaveSeconds also needs the store to be due.
	SaveSeconds float64 `json:"save_seconds" yaml:"save_seconds"`
	SaveSteps   int     `json:"save_steps" yaml:"save_steps"`
}

// DefaultOptions are the original's values: γ = 2, weights 1/3/5/5.
func DefaultOptions() Options {
	return Options{
		Loss: FocalLoss{Gamma: 2, Weights: []float64{1, 3, 5, 5}}, Reduction: ReduceMean,
		Epochs: 5, Patience: 2, BatchSize: 4, Accumulation: 4,
		HeadRate: 1e-3, BackboneRate: 1e-4, WarmupRatio: 0.1, WeightDecay: 0.01, ClipNorm: 1, Dropout: 0.1,
		Seed: 42, SaveSeconds: 300,
	}
}

// OptionError reports an option outside its range.
type OptionError struct {
	// Name is the option's JSON key, Value what was given, Want what is accepted.
	Name  string
	Value any
	Want  string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("classifier: option %s = %v, want %s", e.Name, e.Value, e.Want)
}

// Validate reports the first option outside its range.
func (o Options) Validate() error {
	if err := o.Loss.Validate(label.Count); err != nil {
		return err
	}
	for _, c := range []struct {
		name  string
		value any
		ok    bool
		want  string
	}{
		{"reduction", o.Reduction, o.Reduction == ReduceMean || o.Reduction == ReduceWeightedMean, "mean or weighted_mean"},
		{"epochs", o.Epochs, o.Epochs >= 1, "at least 1"},
		{"patience", o.Patience, o.Patience >= 0, "at least 0"},
		{"batch_size", o.BatchSize, o.BatchSize >= 1, "at least 1"},
		{"accumulation", o.Accumulation, o.Accumulation >= 1, "at least 1"},
		{"head_rate", o.HeadRate, o.HeadRate >= 0, "at least 0"},
		{"backbone_rate", o.BackboneRate, o.BackboneRate >= 0, "at least 0"},
		{"warmup_ratio", o.WarmupRatio, o.WarmupRatio >= 0 && o.WarmupRatio <= 1, "0 to 1"},
		{"weight_decay", o.WeightDecay, o.WeightDecay >= 0, "at least 0"},
		{"clip_norm", o.ClipNorm, o.ClipNorm >= 0, "at least 0"},
		{"hidden", o.Hidden, o.Hidden >= 0 && o.Hidden <= 1<<20, "0 to 1048576"},
		{"dropout", o.Dropout, o.Dropout >= 0 && o.Dropout < 1, "0 to below 1"},
		{"save_seconds", o.SaveSeconds, o.SaveSeconds >= 0, "at least 0"},
		{"save_steps", o.SaveSteps, o.SaveSteps >= 0, "at least 0"},
	} {
		if !c.ok {
			return &OptionError{c.name, c.value, c.want}
		}
	}
	return nil
}
