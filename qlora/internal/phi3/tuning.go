package phi3

import "github.com/borea-go/borea/qlora/internal/compute"

// Tuning is what training adds to the frozen model: an adapter pair a linear,
// and a rotation gate on the input of o_proj. Any of them may be nil.
type Tuning struct{ Layers []LayerTuning }

// LayerTuning is the part of one block.
type LayerTuning struct {
	QKV, O, GateUp, Down *Pair
	Gate                 *Gate
}

// Pair is an adapter and, while training, its gradient.
type Pair struct {
	compute.Adapter
	Grad compute.AdapterGrad
}

// Gate is an SO(8) gate: y = W(Rx), R = exp(θ-θᵀ) a block of 8 columns.
type Gate struct {
	Theta compute.Buffer // F32 [H*D/8, 28]
	Grad  compute.Buffer // F32 like Theta, nil unless training
	r, dr compute.Buffer // F32 [H*D/8, 8, 8]
}

// NewGate wraps theta; grad may be nil.
func NewGate(dev compute.Device, theta, grad compute.Buffer) *Gate {
	blocks := theta.Len() / 28
	g := &Gate{Theta: theta, Grad: grad, r: dev.Alloc(compute.F32, blocks*64)}
	if grad != nil {
		g.dr = dev.Alloc(compute.F32, blocks*64)
	}
	return g
}

// prepare computes R of every gate; it is called once a forward pass.
func (t *Tuning) prepare(dev compute.Device) {
	if t == nil {
		return
	}
	for _, l := range t.Layers {
		if l.Gate != nil {
			dev.RotationExp(l.Gate.r, l.Gate.Theta, l.Gate.Theta.Len()/28)
		}
	}
}

func (t *Tuning) layer(i int) LayerTuning {
	if t == nil {
		return LayerTuning{}
	}
	return t.Layers[i]
}

// largest returns for each linear the pair of highest rank of all blocks: what
// a state that the blocks share must have room for.
func (t *Tuning) largest() LayerTuning {
	if t == nil {
		return LayerTuning{}
	}
	most := t.Layers[0]
	for _, l := range t.Layers[1:] {
		most.QKV, most.O = most.QKV.higher(l.QKV), most.O.higher(l.O)
		most.GateUp, most.Down = most.GateUp.higher(l.GateUp), most.Down.higher(l.Down)
	}
	return most
}

func (p *Pair) higher(q *Pair) *Pair {
	if q.rank() > p.rank() {
		return q
	}
	return p
}

func (p *Pair) adapter() *compute.Adapter {
	if p == nil {
		return nil
	}
	return &p.Adapter
}

// again is adapter for a linear that ran before and has its inner vector.
func (p *Pair) again() *compute.Adapter {
	if p == nil {
		return nil
	}
	a := p.Adapter
	a.Known = true
	return &a
}

func (p *Pair) grad() compute.AdapterGrad {
	if p == nil {
		return compute.AdapterGrad{}
	}
	return p.Grad
}

func (p *Pair) rank() int {
	if p == nil {
		return 0
	}
	return p.R
}
