package phi3

import "github.com/borea-go/borea/qlora/internal/compute"

// layerState is what one block's forward pass leaves for its backward pass.
type layerState struct {
	inputs
	results
	u inner
}

// inputs are what the linears multiply: cheap to compute again from results.
type inputs struct{ norm1, rot, norm2, mlp compute.Activation }

// inner are the adapters' vectors A dropout(x): small, so kept in every mode.
type inner struct{ qkv, o, gu, down compute.Buffer }

// results are what the linears and attention give, and what the norms' gradients
// need. mid is the residual stream after attention.
type results struct {
	attn                            compute.Activation
	qkv, mid, gu, rstd1, rstd2, lse compute.Buffer
}

// newStates allocates what the blocks keep in a mode; what they do not keep, they
// share. Codes are shared always: only the product right after needs them. wide
// has them; its values are for gradients, if there are any.
func (m *Model) newStates(n int, mode Mode, tune *Tuning, wide compute.Activation) []*layerState {
	states, s, t := make([]*layerState, m.Layers()), layerState{}, tune.largest()
	for i := range states {
		if mode == Train || mode == TrainSelective {
			t = tune.layer(i)
		}
		if i == 0 || mode == Train {
			s.inputs = m.newInputs(n, t, wide)
			if mode != Infer {
				s.mlp = m.coded(n, m.Config.IntermediateSize, wide)
			}
		}
		if i == 0 || mode == Train || mode == TrainSelective {
			s.results = m.newResults(n, t, wide)
		}
		if mode != Infer {
			s.u = m.newInner(n, tune.layer(i))
		} else if i == 0 {
			s.u = m.newInner(n, t)
		}
		if t.Gate == nil {
			s.rot = s.attn
		}
		own := s
		states[i] = &own
	}
	return states
}

func (m *Model) newInputs(n int, t LayerTuning, wide compute.Activation) inputs {
	c, h := m.Config.HiddenSize, m.Heads()
	s := inputs{norm1: m.coded(n, c, wide), norm2: m.coded(n, c, wide), mlp: wide}
	if t.Gate != nil {
		s.rot = m.coded(n, h.H*h.D, wide)
	}
	return s
}

func (m *Model) newResults(n int, t LayerTuning, wide compute.Activation) results {
	d, h := m.Dev, m.Heads()
	real := func(cols int) compute.Buffer { return d.Alloc(d.Real(), n*cols) }
	s := results{
		attn: m.coded(n, h.H*h.D, wide), qkv: real(h.QKV()), mid: real(m.Config.HiddenSize),
		gu:    real(max(2*m.Config.IntermediateSize, h.QKV())), // gradients of both take its place
		rstd1: d.Alloc(compute.F32, n), rstd2: d.Alloc(compute.F32, n), lse: d.Alloc(compute.F32, n*h.H),
	}
	if t.Gate != nil {
		s.attn = values(s.attn)
	}
	return s
}

func (m *Model) newInner(n int, t LayerTuning) inner {
	of := func(p *Pair) compute.Buffer { return m.Dev.Alloc(m.Dev.Real(), n*p.rank()) }
	return inner{of(t.QKV), of(t.O), of(t.GateUp), of(t.Down)}
}

// coded allocates values of their own with the codes of wide.
func (m *Model) coded(n, cols int, wide compute.Activation) compute.Activation {
	a := compute.Activation{X: m.Dev.Alloc(m.Dev.Real(), n*cols)}
	if wide.Q != nil {
		a.Q, a.S = wide.Q.Slice(0, n*cols), wide.S
	}
	return a
}

// values is a without codes: what a backward pass reads.
func values(a compute.Activation) compute.Activation { return compute.Activation{X: a.X} }

// attend is the attention of a block: over the batch, or over a cache.
type attend func(s *layerState, layer int)

// forward computes out [n, C] from h [n, C]; they may be one buffer when no
// backward pass follows. With out nil it runs again for the backward pass alone,
// which wants neither out nor the codes of its product.
func (p *Pass) forward(i int, out, h compute.Buffer, s *layerState, att attend) {
	m, d, n := p.m, p.m.Dev, p.n
	l, t, eps := &m.layers[i], p.tune.layer(i), float32(m.Config.RMSNormEps)
	adapter := (*Pair).adapter
	if out == nil {
		adapter = (*Pair).again
	}
	d.RMSNorm(s.norm1, s.rstd1, h, l.inNorm, n, eps)
	d.Linear(s.qkv, nil, s.norm1, l.qkv, adapter(t.QKV), s.u.qkv, n, p.rnd)
	att(s, i)
	p.rotate(s.rot, s, t)
	d.Linear(s.mid, h, s.rot, l.o, adapter(t.O), s.u.o, n, p.rnd)
	d.RMSNorm(s.norm2, s.rstd2, s.mid, l.postNorm, n, eps)
	d.Linear(s.gu, nil, s.norm2, l.gateUp, adapter(t.GateUp), s.u.gu, n, p.rnd)
	if out == nil {
		p.activate(values(s.mlp), s.gu)
		return
	}
	p.activate(s.mlp, s.gu)
	d.Linear(out, s.mid, s.mlp, l.down, adapter(t.Down), s.u.down, n, p.rnd)
}

func (p *Pass) rotate(out compute.Activation, s *layerState, t LayerTuning) {
	if h := p.m.Heads(); t.Gate != nil {
		p.m.Dev.Rotate(out, s.attn.X, t.Gate.r, p.n, h.H*h.D)
	}
}

// again computes what the mode did not keep of block i.
func (p *Pass) again(i int, h compute.Buffer, s *layerState) {
	m, d, n := p.m, p.m.Dev, p.n
	l, t, eps := &m.layers[i], p.tune.layer(i), float32(m.Config.RMSNormEps)
	switch p.mode {
	case TrainRecompute:
		p.forward(i, nil, h, s, p.attention)
	case TrainSelective:
		d.RMSNorm(values(s.norm1), s.rstd1, h, l.inNorm, n, eps)
		p.rotate(values(s.rot), s, t)
		d.RMSNorm(values(s.norm2), s.rstd2, s.mid, l.postNorm, n, eps)
		p.activate(values(s.mlp), s.gu)
	}
}

// backward turns grad.h, the gradient at the block's output, into that at its
// input h, and adds to the gradients of the block's tuning. The gradient of gu
// takes gu's place, and that of qkv the same place when gu's has been used.
func (p *Pass) backward(i int, h compute.Buffer, s *layerState) {
	m, d, n, g := p.m, p.m.Dev, p.n, &p.grad
	l, t := &m.layers[i], p.tune.layer(i)
	dmlp, dnorm, dattn, dgu, dqkv := g.wide, g.wide, g.wide, s.gu, s.gu
	d.LinearBackward(dmlp, g.h, s.mlp, l.down, t.Down.adapter(), t.Down.grad(), s.u.down, n, p.rnd)
	p.activateBack(dmlp)
	d.SwiGLUBackward(dgu, dmlp, s.gu, n, m.Config.IntermediateSize)
	d.LinearBackward(dnorm, dgu, s.norm2, l.gateUp, t.GateUp.adapter(), t.GateUp.grad(), s.u.gu, n, p.rnd)
	d.RMSNormBackward(g.h, dnorm, s.mid, l.postNorm, s.rstd2, n)
	d.LinearBackward(dattn, g.h, s.rot, l.o, t.O.adapter(), t.O.grad(), s.u.o, n, p.rnd)
	if t.Gate != nil {
		dattn = p.rotateBack(dattn, s, t.Gate)
	}
	d.AttentionBackward(dqkv, dattn, s.attn, s.lse, s.qkv, m.Heads(), m.rope.Rope, p.seq, n)
	if i == 0 && !p.InputGrad {
		dnorm = nil
	}
	d.LinearBackward(dnorm, dqkv, s.norm1, l.qkv, t.QKV.adapter(), t.QKV.grad(), s.u.qkv, n, p.rnd)
	if dnorm != nil {
		d.RMSNormBackward(g.h, dnorm, h, l.inNorm, s.rstd1, n)
	}
}

// rotateBack carries a gradient through the gate and adds to the gate's own.
func (p *Pass) rotateBack(dout compute.Buffer, s *layerState, t *Gate) compute.Buffer {
	d, h := p.m.Dev, p.m.Heads()
	d.Zero(t.dr)
	d.RotateBackward(p.grad.rot, t.dr, dout, s.attn.X, t.r, p.n, h.H*h.D)
	d.RotationExpBackward(t.Grad, t.dr, t.Theta, t.Theta.Len()/28)
	return p.grad.rot
}
