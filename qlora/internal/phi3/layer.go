package phi3

import "github.com/borea-go/borea/qlora/internal/compute"

// layerState is what one block's forward pass leaves for its backward pass.
type layerState struct {
	norm1, attn, rot, norm2, mlp compute.Activation
	rstd1, rstd2, lse            compute.Buffer
	qkv, mid, gu                 compute.Buffer // mid: residual stream after attention
	uQKV, uO, uGU, uDown         compute.Buffer
}

func (m *Model) newLayerState(n int, t LayerTuning) *layerState {
	d, cfg, h := m.Dev, m.Config, m.Heads()
	c, f := cfg.HiddenSize, cfg.IntermediateSize
	real := func(cols int) compute.Buffer { return d.Alloc(d.Real(), n*cols) }
	s := &layerState{
		norm1: d.Activation(m.format, n, c), norm2: d.Activation(m.format, n, c),
		mlp:   d.Activation(m.format, n, f),
		rstd1: d.Alloc(compute.F32, n), rstd2: d.Alloc(compute.F32, n),
		lse: d.Alloc(compute.F32, n*h.H),
		qkv: real(h.QKV()), mid: real(c), gu: real(2 * f),
		uQKV: real(t.QKV.rank()), uO: real(t.O.rank()), uGU: real(t.GateUp.rank()), uDown: real(t.Down.rank()),
	}
	if t.Gate == nil {
		s.attn = d.Activation(m.format, n, h.H*h.D)
		s.rot = s.attn
		return s
	}
	s.attn = compute.Activation{X: real(h.H * h.D)}
	s.rot = d.Activation(m.format, n, h.H*h.D)
	return s
}

// attend is the attention of a block: over the batch, or over a cache.
type attend func(s *layerState, layer int)

// forward computes out [n, C] from h [n, C]; they may be one buffer when no
// backward pass follows.
func (p *Pass) forward(i int, out, h compute.Buffer, s *layerState, att attend) {
	m, d, n := p.m, p.m.Dev, p.n
	l, t, eps := &m.layers[i], p.tune.layer(i), float32(m.Config.RMSNormEps)
	d.RMSNorm(s.norm1, s.rstd1, h, l.inNorm, n, eps)
	d.Linear(s.qkv, nil, s.norm1, l.qkv, t.QKV.adapter(), s.uQKV, n, p.rnd)
	att(s, i)
	if t.Gate != nil {
		d.Rotate(s.rot, s.attn.X, t.Gate.r, n, m.Heads().H*m.Heads().D)
	}
	d.Linear(s.mid, h, s.rot, l.o, t.O.adapter(), s.uO, n, p.rnd)
	d.RMSNorm(s.norm2, s.rstd2, s.mid, l.postNorm, n, eps)
	d.Linear(s.gu, nil, s.norm2, l.gateUp, t.GateUp.adapter(), s.uGU, n, p.rnd)
	d.SwiGLU(s.mlp, s.gu, n, m.Config.IntermediateSize)
	d.Linear(out, s.mid, s.mlp, l.down, t.Down.adapter(), s.uDown, n, p.rnd)
}

// backward turns g.h, the gradient at the block's output, into that at its
// input h, and adds to the gradients of the block's tuning.
func (p *Pass) backward(i int, h compute.Buffer, s *layerState) {
	m, d, n, g := p.m, p.m.Dev, p.n, &p.grad
	l, t := &m.layers[i], p.tune.layer(i)
	heads := m.Heads()
	d.LinearBackward(g.mlp, g.h, s.mlp, l.down, t.Down.adapter(), t.Down.grad(), s.uDown, n, p.rnd)
	d.SwiGLUBackward(g.gu, g.mlp, s.gu, n, m.Config.IntermediateSize)
	d.LinearBackward(g.norm, g.gu, s.norm2, l.gateUp, t.GateUp.adapter(), t.GateUp.grad(), s.uGU, n, p.rnd)
	d.RMSNormBackward(g.h, g.norm, s.mid, l.postNorm, s.rstd2, n)
	d.LinearBackward(g.attn, g.h, s.rot, l.o, t.O.adapter(), t.O.grad(), s.uO, n, p.rnd)
	dattn := g.attn
	if t.Gate != nil {
		d.Zero(t.Gate.dr)
		d.RotateBackward(g.rot, t.Gate.dr, g.attn, s.attn.X, t.Gate.r, n, heads.H*heads.D)
		d.RotationExpBackward(t.Gate.Grad, t.Gate.dr, t.Gate.Theta, t.Gate.Theta.Len()/28)
		dattn = g.rot
	}
	d.AttentionBackward(g.qkv, dattn, s.attn, s.lse, s.qkv, heads, m.rope.Rope, p.seq, n)
	dnorm := g.norm
	if i == 0 && !p.InputGrad {
		dnorm = nil
	}
	d.LinearBackward(dnorm, g.qkv, s.norm1, l.qkv, t.QKV.adapter(), t.QKV.grad(), s.uQKV, n, p.rnd)
	if dnorm != nil {
		d.RMSNormBackward(g.h, g.norm, h, l.inNorm, s.rstd1, n)
	}
}
