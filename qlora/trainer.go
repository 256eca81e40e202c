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

// Trainer fine-tunes adapters over a frozen model. On several devices each holds
// a replica and takes a part of every step's micro-batches: a step means the same
// on any number of devices, and its result differs only by the rounding of one sum.
type Trainer struct {
	*rank       // of the first device
	saving bool // a background save was begun and its end is not known yet
	ranks  []*rank
	opts   Options
	dirs   Dirs
	env    Env
	plan   *plan
	store  *checkpoint.Store
	log    *trainLog
	rep    TrainReport

	step     int
	losses   []float64 // of every step, part of the state
	evals    []EvalPoint
	dataHash string
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
	if n := len(m.all()); opts.Accumulation < n {
		return nil, &OptionError{"accumulation", opts.Accumulation, fmt.Sprintf("at least %d, a micro-batch for each device", n)}
	}
	t := &Trainer{opts: opts, dirs: dirs, env: env}
	m.held++
	for _, r := range m.all() {
		t.ranks = append(t.ranks, newRank(r, opts))
	}
	t.rank = t.ranks[0]
	return t, t.sync()
}

// sync waits for every device.
func (t *Trainer) sync() error {
	return t.each(func(_ int, r *rank) error { return r.m.dev.Sync() })
}

// Close frees the trainer's device memory, and with it everything allocated on
// the model since NewTrainer.
func (t *Trainer) Close() error {
	t.m.held--
	var errs []error
	for _, r := range t.ranks {
		errs = append(errs, r.repeats.close())
		r.m.dev.Release(r.mark)
	}
	return errors.Join(append(errs, t.sync())...)
}

// SetAdapter starts from given factors instead of fresh ones; ranks must agree.
func (t *Trainer) SetAdapter(a *Adapter) error {
	return t.each(func(_ int, r *rank) error { return r.tr.load(a) })
}

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
	loss, err := t.gradients(micro)
	if err != nil {
		return err
	}
	norm, pet, err := t.update()
	if err != nil {
		return err
	}
	tokens := 0
	for _, b := range micro {
		tokens += b.Len()
	}
	if bad(loss) || bad(norm) {
		return &DivergedError{Step: t.step, Loss: loss, Norm: norm}
	}
	t.step++
	t.rep.Tokens += int64(tokens)
	t.losses = append(t.losses, loss)
	t.env.progress(Progress{Stage: "train", Done: t.step, Total: t.plan.total, Loss: loss})
	return t.log.step(stepRecord{
		Step: t.step, Epoch: t.plan.epochOf(t.step), Loss: loss, PET: pet, LR: lr, GradNorm: norm, Tokens: tokens,
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
			ex := t.cut(t.plan.data[k])
			out[i].Add(ex.IDs, ex.Weight)
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

// cut returns the first MaxLength tokens of an example.
func (t *Trainer) cut(ex Example) Example {
	n := min(len(ex.IDs), t.opts.MaxLength)
	ex.IDs = ex.IDs[:n]
	if ex.Weight != nil {
		ex.Weight = ex.Weight[:n]
	}
	return ex
}

// uploadHyper gives every device the step's numbers. The PET term is a mean over
// the triples of the whole step.
func (t *Trainer) uploadHyper(lr float64, micro []*phi3.Batch) {
	triples := 0
	for _, b := range micro {
		triples += b.Triples()
	}
	coef := petLambda(t.opts.PET, t.step, t.plan.total) / math.Max(1, float64(triples*t.m.cfg.HiddenSize))
	for _, r := range t.ranks {
		d := r.m.dev
		d.Upload(r.hyper, t.opts.hyper(lr, t.step+1))
		d.Upload(r.petCoef, []float32{float32(coef)})
		d.Zero(r.petLoss)
	}
}

// microStep runs one forward and backward pass and returns its share of the loss.
func (r *rank) microStep(b *phi3.Batch, counter int) (float64, error) {
	d, opts := r.m.dev, r.tr.opts
	d.Upload(r.random, randomState(opts.Seed, uint64(counter)))
	if err := r.pass.Load(b); err != nil {
		return 0, err
	}
	if err := r.repeats.run(b.Len(), r.forwardBackward); err != nil {
		return 0, err
	}
	nll := make([]float32, b.Len())
	err := d.Download(nll, r.pass.NLL())
	return sum(nll), err
}

// forwardBackward queues the work of a loaded micro-batch; what it queues follows
// from the number of tokens.
func (r *rank) forwardBackward() {
	r.pass.Forward(compute.Random{State: r.random})
	r.pass.Loss(true)
	if pet := r.tr.opts.PET; pet.Enabled {
		r.m.dev.PET(r.petLoss, r.pass.HiddenGrad(), r.pass.Hidden(), r.pass.Sequence(), r.petCoef,
			float32(pet.Huber), r.pass.Len(), r.m.cfg.HiddenSize)
	}
	r.pass.Backward()
}

// optimise takes the optimiser's step and returns the gradient norm before
// clipping. A snapshot under way is finished before parameters change.
func (r *rank) optimise() (float64, error) {
	if r.copying != nil {
		r.copying.Protect()
		r.copying = nil
	}
	err := r.repeats.run(shapeOfUpdate, func() { r.tr.update(r.hyper, r.acc, r.tr.opts.ClipNorm) })
	if err != nil {
		return 0, err
	}
	return r.tr.norm(r.acc)
}

// shapeOfUpdate tells the optimiser's work from that of micro-batches, whose shape
// is their number of tokens.
const shapeOfUpdate = 0

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
	total, weight := 0.0, 0.0
	for done := 0; done < len(eval) && ctx.Err() == nil; {
		var batches []*phi3.Batch
		for done < len(eval) && len(batches) < len(t.ranks) {
			b := t.evalBatch(eval[done:])
			done += len(b.Documents())
			batches = append(batches, b)
		}
		nll := make([]float64, len(t.ranks))
		err := t.each(func(i int, r *rank) (err error) {
			if i < len(batches) {
				nll[i], err = r.evaluate(batches[i])
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		for i, b := range batches {
			total, weight = total+nll[i], weight+b.WeightSum()
		}
		t.env.progress(Progress{Stage: "eval", Done: done, Total: len(eval)})
	}
	return total / math.Max(weight, 1e-30), nil
}

// evalBatch takes as many examples as fit, at least one.
func (t *Trainer) evalBatch(eval []Example) *phi3.Batch {
	b := &phi3.Batch{}
	for _, ex := range eval {
		ex = t.cut(ex)
		if b.Len() > 0 && b.Len()+len(ex.IDs) > t.opts.BatchSize*t.opts.MaxLength {
			break
		}
		b.Add(ex.IDs, ex.Weight)
	}
	return b
}

// evaluate returns the summed nll of a batch.
func (r *rank) evaluate(b *phi3.Batch) (float64, error) {
	if err := r.pass.Load(b); err != nil {
		return 0, err
	}
	r.pass.Forward(compute.Random{})
	nll := make([]float32, b.Len())
	err := r.m.dev.Download(nll, r.pass.Loss(false))
	return sum(nll), err
}
