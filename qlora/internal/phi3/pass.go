package phi3

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Mode says what a Pass keeps.
type Mode int

const (
	// Infer keeps nothing for a backward pass.
	Infer Mode = iota
	// Train keeps every block's activations.
	Train
	// TrainSelective keeps what linears and attention give, and computes again
	// what is cheap: norms, gates and SwiGLU. No product runs twice.
	TrainSelective
	// TrainRecompute keeps each block's input only, and runs the block again, but
	// for its last product, during the backward pass.
	TrainRecompute
)

// Pass is the device memory of one forward and backward pass over at most Cap
// tokens, planned once and used for every step.
type Pass struct {
	// NEFTune is the embedding noise alpha (arXiv 2310.05914); 0 is none.
	NEFTune float32
	// InputGrad also computes the gradient at the embeddings, for tests.
	InputGrad bool

	m      *Model
	tune   *Tuning
	mode   Mode
	cap, n int
	ids    compute.Buffer
	seq    compute.Sequence
	target compute.Buffer
	weight compute.Buffer
	nll    compute.Buffer
	h      []compute.Buffer // residual stream before each block and after the last
	state  []*layerState    // one a block; what a mode does not keep they share
	final  compute.Activation
	rstd   compute.Buffer
	rnd    compute.Random
	grad   gradients
}

// gradients are those of the stream, of the final norm's output, and wide, which
// holds those of a block's inner values one after another.
type gradients struct{ h, final, wide, rot compute.Buffer }

// NewPass allocates for batches of up to n tokens.
func (m *Model) NewPass(n int, mode Mode, tune *Tuning) *Pass {
	d, c := m.Dev, m.Config.HiddenSize
	p := &Pass{m: m, tune: tune, mode: mode, cap: n}
	p.ids, p.target = d.Alloc(compute.I32, n), d.Alloc(compute.I32, n)
	p.seq = compute.Sequence{Start: d.Alloc(compute.I32, n), Row: d.Alloc(compute.I32, n)}
	p.weight, p.nll = d.Alloc(compute.F32, n), d.Alloc(compute.F32, n)
	p.final = compute.Activation{X: d.Alloc(d.Real(), n*c)}
	p.rstd = d.Alloc(compute.F32, n)
	streams, wide := 1, m.newWide(n)
	if mode != Infer {
		streams = m.Layers() + 1
		p.grad = m.newGradients(n, tune, wide.X)
	}
	for range streams {
		p.h = append(p.h, d.Alloc(d.Real(), n*c))
	}
	p.state = m.newStates(n, mode, tune, wide)
	return p
}

// newWide allocates an activation as wide as any that a linear takes.
func (m *Model) newWide(n int) compute.Activation {
	h := m.Heads()
	return m.Dev.Activation(m.format, n, max(m.Config.IntermediateSize, m.Config.HiddenSize, h.H*h.D))
}

func (m *Model) newGradients(n int, tune *Tuning, wide compute.Buffer) gradients {
	d, c, h := m.Dev, m.Config.HiddenSize, m.Heads()
	real := func(cols int) compute.Buffer { return d.Alloc(d.Real(), n*cols) }
	g := gradients{h: real(c), final: real(c), wide: wide}
	if tune.layer(0).Gate != nil {
		g.rot = real(h.H * h.D)
	}
	return g
}

func (p *Pass) stream(i int) compute.Buffer { return p.h[min(i, len(p.h)-1)] }

// Load uploads the batch. The rotary table must fit it (see Model.Fit).
func (p *Pass) Load(b *Batch) error {
	if b.Len() > p.cap {
		return fmt.Errorf("phi3: batch of %d tokens, room for %d", b.Len(), p.cap)
	}
	if b.Longest() > p.m.rope.size {
		return fmt.Errorf("phi3: document of %d tokens, rotary table for %d", b.Longest(), p.m.rope.size)
	}
	for i, id := range b.IDs {
		if id < 0 || int(id) >= p.m.Config.VocabSize {
			return fmt.Errorf("phi3: token %d at position %d is outside the vocabulary of %d", id, i, p.m.Config.VocabSize)
		}
	}
	d, n := p.m.Dev, b.Len()
	p.n = n
	d.Upload(p.ids.Slice(0, n), b.IDs)
	d.Upload(p.seq.Start.Slice(0, n), b.Start)
	d.Upload(p.seq.Row.Slice(0, n), p.m.rows(b))
	d.Upload(p.target.Slice(0, n), b.Target)
	d.Upload(p.weight.Slice(0, n), b.Weight)
	return nil
}

// Forward runs the loaded batch up to the final norm. rnd is the zero value for
// evaluation.
func (p *Pass) Forward(rnd compute.Random) {
	m, d := p.m, p.m.Dev
	p.rnd = rnd
	p.tune.prepare(d)
	d.Embed(p.stream(0), m.Embed, p.ids, p.n, p.NEFTune, p.seq, rnd)
	for i := range m.layers {
		p.forward(i, p.stream(i+1), p.stream(i), p.state[i], p.attention)
	}
	p.finish()
}

func (p *Pass) finish() {
	m := p.m
	m.Dev.RMSNorm(p.final, p.rstd, p.stream(m.Layers()), m.norm, p.n, float32(m.Config.RMSNormEps))
}

func (p *Pass) attention(s *layerState, _ int) {
	m := p.m
	m.Dev.Attention(s.attn, s.lse, s.qkv, m.Heads(), m.rope.Rope, p.seq, p.n)
}

// Hidden returns the final hidden state, Real [n, C], after the last norm.
func (p *Pass) Hidden() compute.Buffer { return p.final.X }

// Stream returns the residual stream before block i, or after the last block
// for i = Layers; it exists only in the training modes.
func (p *Pass) Stream(i int) compute.Buffer { return p.h[i] }

// HiddenGrad returns the buffer of the gradient at Hidden. Loss overwrites it;
// hooks (PET, a classifier's head) add to it before Backward.
func (p *Pass) HiddenGrad() compute.Buffer { return p.grad.final }

// Sequence returns the loaded batch's document starts and rotary rows.
func (p *Pass) Sequence() compute.Sequence { return p.seq }

// Loss computes weight·nll of each token into the returned buffer, F32 [n], and
// with withGrad overwrites HiddenGrad.
func (p *Pass) Loss(withGrad bool) compute.Buffer {
	var dh compute.Buffer
	if withGrad {
		dh = p.grad.final
	}
	p.m.Dev.CrossEntropy(p.nll, dh, p.final.X, p.m.Head, p.target, p.weight, p.n)
	return p.NLL()
}

// NLL returns what Loss wrote.
func (p *Pass) NLL() compute.Buffer { return p.nll.Slice(0, p.n) }

// Len returns the number of tokens loaded.
func (p *Pass) Len() int { return p.n }

// Backward carries HiddenGrad through the model and adds to the gradients of
// the tuning.
func (p *Pass) Backward() {
	m, d := p.m, p.m.Dev
	d.Zero(p.grad.h)
	d.RMSNormBackward(p.grad.h, p.grad.final, p.stream(m.Layers()), m.norm, p.rstd, p.n)
	for i := m.Layers() - 1; i >= 0; i-- {
		p.again(i, p.stream(i), p.state[i])
		p.backward(i, p.stream(i), p.state[i])
	}
}
