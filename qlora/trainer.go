package qlora

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// ErrInterrupted says that the context ended the run; the last finished step
// is in the newest checkpoint, when a checkpoint folder was given.
var ErrInterrupted = errors.New("qlora: training interrupted")

// DivergedError reports a loss or gradient that is no longer finite.
type DivergedError struct {
	Step int
	Loss float64
	Norm float64
}

// Error implements error.
func (e *DivergedError) Error() string {
	return fmt.Sprintf("qlora: step %d: loss %g, gradient norm %g; lower the learning rate or raise the warm-up", e.Step, e.Loss, e.Norm)
}

// Dirs says where a run keeps its files; an empty name turns one off.
type Dirs struct {
	Checkpoints string // resumed from when it holds a checkpoint of this run
	Logs        string // train.jsonl and a TensorBoard event file
}

// EvalPoint is one evaluation.
type EvalPoint struct {
	Step int     `json:"step"`
	NLL  float64 `json:"nll"` // nats a scored token
}

// TrainReport is what a run did.
type TrainReport struct {
	Steps       int         `json:"steps"`
	ResumedFrom int         `json:"resumed_from"`
	Examples    int         `json:"examples"`
	Tokens      int64       `json:"tokens"` // seen in this process
	FirstLoss   float64     `json:"first_loss"`
	LastLoss    float64     `json:"last_loss"`
	Evals       []EvalPoint `json:"evals"`
	Parameters  int         `json:"parameters"`
	Saves       int         `json:"saves"` // checkpoints known to be written
	SaveErrors  []string    `json:"save_errors,omitempty"`
}

// Trainer fine-tunes adapters over a frozen model.
type Trainer struct {
	saving bool // a background save was begun and its end is not known yet
	m      *Model
	opts   Options
	dirs   Dirs
	env    Env
	tr     *trainable
	pass   *phi3.Pass
	plan   *plan
	store  *checkpoint.Store
	log    *trainLog
	rep    TrainReport

	random, hyper, acc, petCoef, petLoss compute.Buffer
	step                                 int
	losses                               []float64 // of every step, part of the state
	evals                                []EvalPoint
	dataHash                             string
	mark                                 int // of the device memory before this trainer's
}

// NewTrainer plans a run on the model and allocates its device memory. The
// model must not be used elsewhere until Close.
func NewTrainer(m *Model, opts Options, dirs Dirs, env Env) (*Trainer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.MaxLength > m.cfg.MaxPosition {
		return nil, &OptionError{"max_length", opts.MaxLength, fmt.Sprintf("at most %d, the longest the model takes", m.cfg.MaxPosition)}
	}
	t := &Trainer{m: m, opts: opts, dirs: dirs, env: env}
	m.net.Fit(opts.MaxLength)
	m.held++
	d := m.dev
	t.mark = d.Mark()
	t.tr = newTrainable(m, opts)
	t.pass = m.net.NewPass(opts.BatchSize*opts.MaxLength, modes[opts.Recompute], t.tr.tuning)
	t.pass.NEFTune = float32(opts.NEFTune)
	t.random, t.hyper = d.Alloc(compute.I32, 4), d.Alloc(compute.F32, compute.HyperCount)
	t.acc, t.petCoef, t.petLoss = d.Alloc(compute.F32, 1), d.Alloc(compute.F32, 1), d.Alloc(compute.F32, 1)
	return t, d.Sync()
}

// Close frees the trainer's device memory, and with it everything allocated on
// the model since NewTrainer.
func (t *Trainer) Close() error {
	t.m.held--
	t.m.dev.Release(t.mark)
	return t.m.dev.Sync()
}

// SetAdapter starts from given factors instead of fresh ones; ranks must agree.
func (t *Trainer) SetAdapter(a *Adapter) error { return t.tr.load(a) }

// Adapter returns a copy of the current factors and gates.
func (t *Trainer) Adapter() (*Adapter, error) { return t.tr.adapter() }

// Run trains on train and evaluates on eval, which may be empty. With a
// checkpoint folder it first resumes the newest checkpoint there; the result is
// bit-equal to an uninterrupted run on the same device. When ctx ends it
// finishes the step, saves and returns an error that wraps ErrInterrupted.
func (t *Trainer) Run(ctx context.Context, train, eval []Example) (rep TrainReport, err error) {
	if len(train) == 0 {
		return rep, errors.New("qlora: no training examples")
	}
	if err := errors.Join(checkExamples("training", train), checkExamples("evaluation", eval)); err != nil {
		return rep, err
	}
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.plan, t.dataHash = newPlan(train, t.opts), fingerprint(train)
	t.rep = TrainReport{Examples: len(train)}
	for _, p := range t.tr.params {
		t.rep.Parameters += p.p.Len()
	}
	if err := t.openStore(ctx); err != nil {
		return t.rep, err
	}
	defer func() { err = errors.Join(err, t.closeFiles()) }()
	err = t.loop(ctx, eval)
	t.fillReport()
	return t.rep, err
}

func (t *Trainer) fillReport() {
	t.rep.Steps, t.rep.Evals = t.step, t.evals
	if n := len(t.losses); n > 0 {
		t.rep.FirstLoss, t.rep.LastLoss = t.losses[0], t.losses[n-1]
	}
}

func (t *Trainer) loop(ctx context.Context, eval []Example) error {
	for t.step < t.plan.total {
		if ctx.Err() != nil {
			return t.interrupted(ctx)
		}
		if err := t.oneStep(); err != nil {
			return err
		}
		if err := t.evaluateIfDue(ctx, eval); err != nil {
			return err
		}
		if err := t.saveIfDue(ctx); err != nil {
			return err
		}
	}
	return t.saveNow(context.WithoutCancel(ctx))
}

func (t *Trainer) interrupted(ctx context.Context) error {
	err := t.saveNow(context.WithoutCancel(ctx))
	return errors.Join(fmt.Errorf("%w after step %d of %d: %w", ErrInterrupted, t.step, t.plan.total, context.Cause(ctx)), err)
}

func (t *Trainer) oneStep() error {
	micro := t.batches(t.plan.step(t.step))
	lr := learningRate(t.opts, t.step, t.plan.total)
	t.uploadHyper(lr, micro)
	loss, tokens := 0.0, 0
	for i, b := range micro {
		l, err := t.microStep(b, t.step*t.opts.Accumulation+i)
		if err != nil {
			return err
		}
		loss, tokens = loss+l, tokens+b.Len()
	}
	norm, err := t.tr.optimise(t.hyper, t.acc, t.opts.ClipNorm)
	if err != nil {
		return err
	}
	pet := make([]float32, 1)
	if err := t.m.dev.Download(pet, t.petLoss); err != nil {
		return err
	}
	if bad(loss) || bad(norm) {
		return &DivergedError{Step: t.step, Loss: loss, Norm: norm}
	}
	t.step++
	t.rep.Tokens += int64(tokens)
	t.losses = append(t.losses, loss)
	t.env.progress(Progress{Stage: "train", Done: t.step, Total: t.plan.total, Loss: loss})
	return t.log.step(stepRecord{
		Step: t.step, Epoch: t.plan.epochOf(t.step), Loss: loss, PET: float64(pet[0]), LR: lr, GradNorm: norm, Tokens: tokens,
	})
}

func bad(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// batches builds a step's micro-batches with loss weights that sum to 1.
func (t *Trainer) batches(indices [][]int) []*phi3.Batch {
	out := make([]*phi3.Batch, len(indices))
	sum := 0.0
	for i, micro := range indices {
		out[i] = &phi3.Batch{}
		for _, k := range micro {
			ex := t.plan.data[k]
			n := min(len(ex.IDs), t.opts.MaxLength)
			var w []float32
			if ex.Weight != nil {
				w = ex.Weight[:n]
			}
			out[i].Add(ex.IDs[:n], w)
		}
		sum += out[i].WeightSum()
	}
	for _, b := range out {
		if sum > 0 {
			b.ScaleWeights(float32(1 / sum))
		}
	}
	return out
}

func (t *Trainer) uploadHyper(lr float64, micro []*phi3.Batch) {
	d := t.m.dev
	d.Upload(t.hyper, t.opts.hyper(lr, t.step+1))
	triples := 0
	for _, b := range micro {
		triples += b.Triples()
	}
	coef := petLambda(t.opts.PET, t.step, t.plan.total) / math.Max(1, float64(triples*t.m.cfg.HiddenSize))
	d.Upload(t.petCoef, []float32{float32(coef)})
	d.Zero(t.petLoss)
}

// microStep runs one forward and backward pass and returns its share of the loss.
func (t *Trainer) microStep(b *phi3.Batch, counter int) (float64, error) {
	d := t.m.dev
	d.Upload(t.random, randomState(t.opts.Seed, uint64(counter)))
	if err := t.pass.Load(b); err != nil {
		return 0, err
	}
	t.pass.Forward(compute.Random{State: t.random})
	nll := make([]float32, b.Len())
	if err := d.Download(nll, t.pass.Loss(true)); err != nil {
		return 0, err
	}
	if t.opts.PET.Enabled {
		d.PET(t.petLoss, t.pass.HiddenGrad(), t.pass.Hidden(), t.pass.Sequence(), t.petCoef,
			float32(t.opts.PET.Huber), b.Len(), t.m.cfg.HiddenSize)
	}
	t.pass.Backward()
	return sum(nll), nil
}

func sum(v []float32) float64 {
	s := 0.0
	for _, x := range v {
		s += float64(x)
	}
	return s
}

func (t *Trainer) evaluateIfDue(ctx context.Context, eval []Example) error {
	last := t.step == t.plan.total
	if len(eval) == 0 || !last && (t.opts.EvalEvery == 0 || t.step%t.opts.EvalEvery != 0) {
		return nil
	}
	nll, err := t.evaluate(ctx, eval)
	if err != nil || ctx.Err() != nil {
		return err
	}
	t.evals = append(t.evals, EvalPoint{t.step, nll})
	return t.log.eval(t.step, nll)
}

// evaluate returns the mean nll of the scored tokens. It gives up early, with a
// meaningless value, when ctx ends.
func (t *Trainer) evaluate(ctx context.Context, eval []Example) (float64, error) {
	m, budget := t.m, t.opts.BatchSize*t.opts.MaxLength
	total, weight := 0.0, 0.0
	for i := 0; i < len(eval) && ctx.Err() == nil; {
		b := &phi3.Batch{}
		for ; i < len(eval); i++ {
			n := min(len(eval[i].IDs), t.opts.MaxLength)
			if b.Len() > 0 && b.Len()+n > budget {
				break
			}
			var w []float32
			if eval[i].Weight != nil {
				w = eval[i].Weight[:n]
			}
			b.Add(eval[i].IDs[:n], w)
		}
		nll := make([]float32, b.Len())
		if err := t.pass.Load(b); err != nil {
			return 0, err
		}
		t.pass.Forward(compute.Random{})
		if err := m.dev.Download(nll, t.pass.Loss(false)); err != nil {
			return 0, err
		}
		total, weight = total+sum(nll), weight+b.WeightSum()
		t.env.progress(Progress{Stage: "eval", Done: i, Total: len(eval)})
	}
	return total / math.Max(weight, 1e-30), nil
}
