package classifier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/label"
)

// Example is a text and its class.
type Example struct {
	Text  string
	Class label.Class
}

// Options is every knob of training; start from DefaultOptions.
type Options struct {
	Loss FocalLoss `json:"loss" yaml:"loss"`
	// Reduction over the examples of a step: mean (default) or weighted_mean.
	Reduction Reduction `json:"reduction" yaml:"reduction"`
	// Epochs over the data; Patience is how many epochs without a better macro
	// F1 on the validation part end the run early, 0 for never.
	Epochs   int `json:"epochs" yaml:"epochs"`
	Patience int `json:"patience" yaml:"patience"`
	// BatchSize texts at once; a step sums Accumulation batches.
	BatchSize    int `json:"batch_size" yaml:"batch_size"`
	Accumulation int `json:"accumulation" yaml:"accumulation"`
	// HeadRate and BackboneRate are learning rates, cosine to 0 after a linear
	// warm-up of WarmupRatio of all steps.
	HeadRate     float64 `json:"head_rate" yaml:"head_rate"`
	BackboneRate float64 `json:"backbone_rate" yaml:"backbone_rate"`
	WarmupRatio  float64 `json:"warmup_ratio" yaml:"warmup_ratio"`
	WeightDecay  float64 `json:"weight_decay" yaml:"weight_decay"`
	// ClipNorm bounds the gradient norm of head and backbone, each; 0 is off.
	ClipNorm float64 `json:"clip_norm" yaml:"clip_norm"`
	// Dropout on the features, 0 to below 1.
	Dropout float64 `json:"dropout" yaml:"dropout"`
	Seed    uint64  `json:"seed" yaml:"seed"`
	// SaveSeconds and SaveSteps say when to checkpoint; 0 turns one off.
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

// Env is what is not data.
type Env struct {
	// Progress is called after each step.
	Progress func(step, total int, loss float64)
	// Checkpoints, if not nil, is resumed from and saved to.
	Checkpoints *checkpoint.Store
}

// ErrInterrupted says that the context ended the run; the last finished step is
// in the newest checkpoint, when there is a store.
var ErrInterrupted = errors.New("classifier: training interrupted")

// EpochReport is one epoch.
type EpochReport struct {
	Epoch   int     `json:"epoch"`
	Loss    float64 `json:"loss"`     // mean over the steps
	MacroF1 float64 `json:"macro_f1"` // on the validation part
}

// Report is what Train did.
type Report struct {
	Steps       int           `json:"steps"`
	ResumedFrom int           `json:"resumed_from"`
	Epochs      []EpochReport `json:"epochs"`
	BestEpoch   int           `json:"best_epoch"`
	BestMacroF1 float64       `json:"best_macro_f1"`
	Counts      [4]int        `json:"counts"` // training examples a class
	Stopped     bool          `json:"stopped_early"`
}

// Train fits a head, and the backbone when it is a TrainableBackbone and
// BackboneRate is above 0, and leaves both at the epoch with the best macro F1.
// With a store in env it resumes exactly.
func Train(ctx context.Context, b Backbone, train, val []Example, opts Options, env Env) (*Head, Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, Report{}, err
	}
	t := &trainer{opts: opts, env: env, b: b, train: train, val: val}
	if opts.BackboneRate > 0 {
		t.deep, _ = b.(TrainableBackbone)
	}
	if err := t.check(); err != nil {
		return nil, t.rep, err
	}
	t.init()
	if err := t.resume(ctx); err != nil {
		return nil, t.rep, err
	}
	if err := t.loop(ctx); err != nil {
		return nil, t.rep, err
	}
	return t.head, t.rep, t.restoreBest()
}

type trainer struct {
	opts  Options
	env   Env
	b     Backbone
	deep  TrainableBackbone // nil for a frozen backbone
	train []Example
	val   []Example

	head     *Head
	aw, ab   *adam
	fixed    []float32 // features of the training part, for a frozen backbone
	fixedVal []float32
	step     int // finished
	lossSum  float64
	rep      Report
	best     *bestState
}

// bestState is head and backbone at the best epoch.
type bestState struct {
	head  Head
	files map[string][]byte
}

func (t *trainer) check() error {
	if len(t.train) == 0 || len(t.val) == 0 {
		return fmt.Errorf("classifier: %d training and %d validation examples", len(t.train), len(t.val))
	}
	for i, ex := range append(append([]Example(nil), t.train...), t.val...) {
		if !ex.Class.Valid() {
			return fmt.Errorf("classifier: example %d has no class", i)
		}
	}
	for _, ex := range t.train {
		t.rep.Counts[ex.Class.Index()]++
	}
	present := 0
	for _, n := range t.rep.Counts {
		if n > 0 {
			present++
		}
	}
	if present < 2 {
		return errors.New("classifier: the training part has one class only")
	}
	return nil
}

func (t *trainer) init() {
	t.head = NewHead(t.b.Width(), label.Count, t.opts.Seed)
	t.aw, t.ab = newAdam(len(t.head.W)), newAdam(len(t.head.B))
}

// stepsPerEpoch counts optimiser steps.
func (t *trainer) stepsPerEpoch() int {
	per := t.opts.BatchSize * t.opts.Accumulation
	return (len(t.train) + per - 1) / per
}

func (t *trainer) loop(ctx context.Context) error {
	per := t.stepsPerEpoch()
	total := per * t.opts.Epochs
	for t.step < total && !t.rep.Stopped {
		if ctx.Err() != nil {
			return t.interrupted(ctx)
		}
		loss, err := t.oneStep(ctx, total)
		if err != nil {
			return err
		}
		t.step++
		t.rep.Steps = t.step
		t.lossSum += loss
		if t.env.Progress != nil {
			t.env.Progress(t.step, total, loss)
		}
		if t.step%per == 0 {
			if err := t.endEpoch(ctx, t.step/per); err != nil {
				return err
			}
		}
		if err := t.saveIfDue(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainer) rate(base float64, total int) float64 {
	warm := int(math.Ceil(t.opts.WarmupRatio * float64(total)))
	if t.step < warm {
		return base * float64(t.step+1) / float64(warm+1)
	}
	return base * 0.5 * (1 + math.Cos(math.Pi*float64(t.step-warm)/math.Max(1, float64(total-warm))))
}

// oneStep accumulates batches and updates; the loss is normalised over the whole
// step, so accumulation changes nothing but memory.
func (t *trainer) oneStep(ctx context.Context, total int) (float64, error) {
	per := t.stepsPerEpoch()
	order := rand.New(rand.NewPCG(t.opts.Seed, 100+uint64(t.step/per))).Perm(len(t.train))
	size := t.opts.BatchSize * t.opts.Accumulation
	first := t.step % per * size
	picks := order[first:min(len(order), first+size)]
	norm := t.norm(picks)
	gw, gb := make([]float64, len(t.head.W)), make([]float64, len(t.head.B))
	sum := 0.0
	for i := 0; i < len(picks); i += t.opts.BatchSize {
		loss, err := t.batch(ctx, picks[i:min(len(picks), i+t.opts.BatchSize)], norm, i, gw, gb)
		if err != nil {
			return 0, err
		}
		sum += loss
	}
	clip(t.opts.ClipNorm, gw, gb)
	lr := t.rate(t.opts.HeadRate, total)
	t.aw.step(t.head.W, gw, lr, t.opts.WeightDecay)
	t.ab.step(t.head.B, gb, lr, 0)
	if t.deep == nil {
		return sum, nil
	}
	return sum, t.deep.Step(ctx, t.rate(t.opts.BackboneRate, total), t.opts.ClipNorm)
}

// norm is what the losses of a step's examples are divided by.
func (t *trainer) norm(picks []int) float64 {
	if t.opts.Reduction == ReduceMean {
		return float64(len(picks))
	}
	targets := make([]int, len(picks))
	for i, k := range picks {
		targets[i] = t.train[k].Class.Index()
	}
	if w := t.opts.Loss.weightOf(targets); w > 0 {
		return w
	}
	return 1 // all of weight 0: the losses are 0 as well
}

func (t *trainer) batch(ctx context.Context, picks []int, norm float64, offset int, gw, gb []float64) (float64, error) {
	x, err := t.features(ctx, picks, int64(t.step)*1000+int64(offset))
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(t.opts.Seed^uint64(t.step)<<20, uint64(offset)))
	dropped, factor := dropout(x, t.opts.Dropout, rng)
	z, err := t.head.Forward(dropped)
	if err != nil {
		return 0, err
	}
	targets := make([]int, len(picks))
	for i, k := range picks {
		targets[i] = t.train[k].Class.Index()
	}
	grad := make([]float64, len(z))
	loss, err := t.opts.Loss.Hard(z, label.Count, targets, ReduceSum, grad)
	if err != nil {
		return 0, fmt.Errorf("step %d: %w", t.step, err)
	}
	for i := range grad {
		grad[i] /= norm
	}
	dx := t.head.Backward(dropped, grad, gw, gb)
	if t.deep != nil {
		for i := range dx {
			dx[i] *= factor[i]
		}
		err = t.deep.Backward(ctx, dx)
	}
	return loss.Value / norm, err
}

// features of some training examples: computed once when the backbone is frozen.
func (t *trainer) features(ctx context.Context, picks []int, key int64) ([]float32, error) {
	if t.deep != nil {
		return t.deep.Forward(ctx, textsOf(t.train, picks), key)
	}
	if t.fixed == nil {
		var err error
		if t.fixed, err = t.b.Features(ctx, textsOf(t.train, nil)); err != nil {
			return nil, err
		}
	}
	c := t.b.Width()
	out := make([]float32, 0, len(picks)*c)
	for _, k := range picks {
		out = append(out, t.fixed[k*c:(k+1)*c]...)
	}
	return out, nil
}

// textsOf returns the texts of some examples, all for picks nil.
func textsOf(ex []Example, picks []int) []string {
	var out []string
	if picks == nil {
		for _, e := range ex {
			out = append(out, e.Text)
		}
	}
	for _, k := range picks {
		out = append(out, ex[k].Text)
	}
	return out
}

func clip(limit float64, grads ...[]float64) {
	sum := 0.0
	for _, g := range grads {
		for _, v := range g {
			sum += v * v
		}
	}
	if norm := math.Sqrt(sum); limit > 0 && norm > limit {
		for _, g := range grads {
			for i := range g {
				g[i] *= limit / norm
			}
		}
	}
}

func (t *trainer) endEpoch(ctx context.Context, epoch int) error {
	x := t.fixedVal
	if x == nil {
		var err error
		if x, err = t.b.Features(ctx, textsOf(t.val, nil)); err != nil {
			return err
		}
		if t.deep == nil {
			t.fixedVal = x
		}
	}
	z, err := t.head.Forward(x)
	if err != nil {
		return err
	}
	f1 := macroF1(z, t.val)
	t.rep.Epochs = append(t.rep.Epochs, EpochReport{epoch, t.lossSum / float64(t.stepsPerEpoch()), f1})
	t.lossSum = 0
	if t.best == nil || f1 > t.rep.BestMacroF1 {
		t.rep.BestEpoch, t.rep.BestMacroF1 = epoch, f1
		return t.keepBest()
	}
	t.rep.Stopped = t.opts.Patience > 0 && epoch-t.rep.BestEpoch >= t.opts.Patience
	return nil
}

// macroF1 over the classes that truth or prediction holds.
func macroF1(z []float64, truth []Example) float64 {
	var tp, fp, fn [label.Count]float64
	for i, ex := range truth {
		y, p := ex.Class.Index(), argmax(z[i*label.Count:(i+1)*label.Count])
		if y == p {
			tp[y]++
			continue
		}
		fp[p]++
		fn[y]++
	}
	sum, n := 0.0, 0.0
	for k := range tp {
		if d := 2*tp[k] + fp[k] + fn[k]; d > 0 {
			sum, n = sum+2*tp[k]/d, n+1
		}
	}
	return sum / n
}

func argmax(v []float64) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
