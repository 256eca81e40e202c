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

// ErrNoExamples means an empty training or validation part, ErrNoClass an example
// without one of the four classes, ErrOneClass a training part with nothing to tell
// apart.
var (
	ErrNoExamples = errors.New("classifier: no examples")
	ErrNoClass    = errors.New("classifier: an example has no class")
	ErrOneClass   = errors.New("classifier: the training part has one class only")
)

// ErrFeature says that the backbone gave a feature that is NaN or infinite.
var ErrFeature = errors.New("classifier: feature is not finite")

// ErrDiverged says that scores are no longer finite: lower the rates, or look at the
// features.
var ErrDiverged = errors.New("classifier: scores are not finite")

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
	adams    []*adam   // one a parameter of the head
	fixed    []float32 // features of the training part, for a frozen backbone
	fixedVal []float32
	step     int // finished
	lossSum  float64
	rep      Report
	best     *bestState
}

// bestState is head and backbone at the best epoch.
type bestState struct {
	head  *Head
	files map[string][]byte
}

func (t *trainer) check() error {
	if len(t.train) == 0 || len(t.val) == 0 {
		return fmt.Errorf("%w: %d for training and %d for validation", ErrNoExamples, len(t.train), len(t.val))
	}
	for i, ex := range append(append([]Example(nil), t.train...), t.val...) {
		if !ex.Class.Valid() {
			return fmt.Errorf("%w: example %d", ErrNoClass, i)
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
		return ErrOneClass
	}
	return nil
}

func (t *trainer) init() {
	t.head = NewHead(t.b.Width(), t.opts.Hidden, label.Count, t.opts.Seed)
	for _, p := range t.head.params() {
		t.adams = append(t.adams, newAdam(len(p.data)))
	}
}

// stepsPerEpoch counts optimiser steps.
func (t *trainer) stepsPerEpoch() int {
	per := t.opts.BatchSize * t.opts.Accumulation
	return (len(t.train) + per - 1) / per
}

// loop ends only between steps: a step that was begun is finished, counted and saved.
// Validation may be cut short; it is done again when the run goes on.
func (t *trainer) loop(ctx context.Context) error {
	total := t.stepsPerEpoch() * t.opts.Epochs
	for {
		err := t.prepare(ctx)
		switch {
		case ctx.Err() != nil:
			return t.interrupted(ctx)
		case err != nil:
			return err
		case t.step >= total || t.rep.Stopped:
			return nil
		}
		if err := t.advance(context.WithoutCancel(ctx), total); err != nil {
			return err
		}
	}
}

// prepare computes the features of a frozen backbone, and validates at the end of an
// epoch.
func (t *trainer) prepare(ctx context.Context) (err error) {
	if t.deep == nil && t.fixed == nil {
		if t.fixed, err = t.b.Features(ctx, textsOf(t.train, nil)); err != nil {
			return fmt.Errorf("training examples: %w", err)
		}
		if len(t.fixed) != len(t.train)*t.head.Width {
			return fmt.Errorf("%w: backbone gave %d values for %d texts of width %d", ErrShape, len(t.fixed), len(t.train), t.head.Width)
		}
		if i := notFinite(t.fixed); i >= 0 {
			return fmt.Errorf("%w: training example %d: %v", ErrFeature, i/t.head.Width, t.fixed[i])
		}
	}
	if epoch := t.step / t.stepsPerEpoch(); t.step%t.stepsPerEpoch() == 0 && len(t.rep.Epochs) < epoch {
		return t.endEpoch(ctx, epoch)
	}
	return nil
}

func (t *trainer) advance(ctx context.Context, total int) error {
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
	return t.saveIfDue(ctx)
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
	params := t.head.params()
	grads := make([][]float64, len(params))
	for i, p := range params {
		grads[i] = make([]float64, len(p.data))
	}
	sum := 0.0
	for i := 0; i < len(picks); i += t.opts.BatchSize {
		loss, err := t.batch(ctx, picks[i:min(len(picks), i+t.opts.BatchSize)], norm, i, grads)
		if err != nil {
			return 0, err
		}
		sum += loss
	}
	clip(t.opts.ClipNorm, grads...)
	lr := t.rate(t.opts.HeadRate, total)
	for i, p := range params {
		decay := t.opts.WeightDecay
		if len(p.shape) == 1 {
			decay = 0 // biases
		}
		t.adams[i].step(p.data, grads[i], lr, decay)
	}
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

func (t *trainer) batch(ctx context.Context, picks []int, norm float64, offset int, grads [][]float64) (float64, error) {
	x, err := t.features(ctx, picks, int64(t.step)*1000+int64(offset))
	if err != nil {
		return 0, err
	}
	if len(x) != len(picks)*t.head.Width {
		return 0, fmt.Errorf("%w: backbone gave %d values for %d texts of width %d", ErrShape, len(x), len(picks), t.head.Width)
	}
	if i := notFinite(x); i >= 0 {
		return 0, fmt.Errorf("%w: training example %d: %v", ErrFeature, picks[i/t.head.Width], x[i])
	}
	rng := rand.New(rand.NewPCG(t.opts.Seed^uint64(t.step)<<20, uint64(offset)))
	pass := t.head.train(x, t.opts.Dropout, rng)
	z := pass.logits
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
	dx := pass.backward(grad, grads)
	if t.deep != nil {
		err = t.deep.Backward(ctx, dx)
	}
	return loss.Value / norm, err
}

// features of some training examples: computed once when the backbone is frozen.
func (t *trainer) features(ctx context.Context, picks []int, key int64) ([]float32, error) {
	if t.deep != nil {
		return t.deep.Forward(ctx, textsOf(t.train, picks), key)
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
			return fmt.Errorf("validation examples: %w", err)
		}
		if len(x) != len(t.val)*t.head.Width {
			return fmt.Errorf("%w: backbone gave %d values for %d texts of width %d", ErrShape, len(x), len(t.val), t.head.Width)
		}
		if t.deep == nil {
			t.fixedVal = x
		}
	}
	z, err := t.head.Forward(x)
	if err != nil {
		return err
	}
	for i, v := range z {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: validation example %d", ErrDiverged, i/label.Count)
		}
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
