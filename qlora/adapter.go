package qlora

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
	"github.com/borea-go/borea/so8t"
)

// Factor is the LoRA pair of one linear: W + Scale·B·A.
type Factor struct {
	In, Out, R int
	Scale      float64   // alpha/r, or alpha/sqrt(r)
	A          []float32 // [R, In]
	B          []float32 // [Out, R]
}

// Adapter is what training makes: factors by the name of the linear they belong
// to ("model.layers.0.self_attn.qkv_proj"), and rotation gates when trained.
type Adapter struct {
	// Base names the model it was trained on.
	Base string
	// Rank, Alpha, Dropout, RSLoRA and Targets are the options of the training,
	// for adapter_config.json.
	Rank    int
	Alpha   float64
	Dropout float64
	RSLoRA  bool
	Targets []string
	Factors map[string]Factor
	// Gates holds one gate a layer, nil without gates.
	Gates *so8t.Gates
}

// LinearName returns the tensor name, without ".weight", of a linear of a layer.
func LinearName(layer int, target string) string {
	block := "self_attn"
	if target == GateUpProj || target == DownProj {
		block = "mlp"
	}
	return fmt.Sprintf("model.layers.%d.%s.%s", layer, block, target)
}

// Parameters returns the number of trained values.
func (a *Adapter) Parameters() int {
	n := 0
	for _, f := range a.Factors {
		n += len(f.A) + len(f.B)
	}
	if a.Gates != nil {
		for _, l := range a.Gates.Layers {
			n += len(l)
		}
	}
	return n
}

func scaleOf(o Options) float64 {
	if o.RSLoRA {
		return o.Alpha / math.Sqrt(float64(o.Rank))
	}
	return o.Alpha / float64(o.Rank)
}

// linearShape returns out and in of a fused linear.
func (m *Model) linearShape(target string) (out, in int) {
	h, c, f := m.net.Heads(), m.cfg.HiddenSize, m.cfg.IntermediateSize
	switch target {
	case QKVProj:
		return h.QKV(), c
	case OProj:
		return c, h.H * h.D
	case GateUpProj:
		return 2 * f, c
	}
	return c, f
}

// attached is an adapter in use and how to give its memory back.
type attached struct {
	tuning *phi3.Tuning
	mark   int // of the device, before the adapter
	held   int // Model.held then
	size   int // positions of the rotary table then
}

// Attach makes the model use the adapter until Detach or the next Attach. The
// factors are copied. A failed Attach leaves the model without an adapter.
func (m *Model) Attach(a *Adapter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.detach()
	m.use = &attached{mark: m.dev.Mark(), held: m.held, size: m.net.Positions()}
	t, err := m.build(a)
	if err == nil {
		err = m.dev.Sync()
	}
	if err != nil {
		m.detach()
		return err
	}
	m.use.tuning, m.tuning = t, t
	return nil
}

// build uploads an adapter's factors and gates.
func (m *Model) build(a *Adapter) (*phi3.Tuning, error) {
	t := &phi3.Tuning{Layers: make([]phi3.LayerTuning, m.cfg.Layers)}
	a, used := m.inwardAdapter(a), 0
	for i := range t.Layers {
		for _, target := range Targets() {
			f, ok := a.Factors[LinearName(i, target)]
			if !ok {
				continue
			}
			used++
			if !m.fitsLinear(f, target) {
				out, in := m.linearShape(target)
				return nil, fmt.Errorf("qlora: adapter for %s is [%d,%d], the model's linear [%d,%d]", LinearName(i, target), f.Out, f.In, out, in)
			}
			setPair(&t.Layers[i], target, m.uploadPair(f, site(i, target)))
		}
	}
	if used != len(a.Factors) {
		return nil, fmt.Errorf("qlora: %d of the adapter's %d linears are not in this model of %d layers", len(a.Factors)-used, len(a.Factors), m.cfg.Layers)
	}
	return t, m.attachGates(t, a.Gates)
}

func (m *Model) fitsLinear(f Factor, target string) bool {
	out, in := m.linearShape(target)
	return f.Out == out && f.In == in
}

// Detach returns the model to its base weights and frees the adapter's memory,
// unless something else was allocated on the model since Attach and still is: a
// Trainer, a Backbone, or the rotary table for a longer text than before. Then
// the memory stays until Close.
func (m *Model) Detach() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.detach()
}

func (m *Model) detach() {
	u := m.use
	m.use, m.tuning = nil, nil
	if u != nil && u.held == m.held && u.size == m.net.Positions() {
		m.dev.Release(u.mark)
	}
}

func (m *Model) uploadPair(f Factor, site uint32) *phi3.Pair {
	return &phi3.Pair{Adapter: compute.Adapter{
		A: m.upload(f.A), B: m.upload(f.B), R: f.R, Scale: float32(f.Scale), Site: site,
	}}
}

func (m *Model) upload(v []float32) compute.Buffer {
	b := m.dev.Alloc(compute.F32, len(v))
	m.dev.Upload(b, v)
	return b
}

func (m *Model) attachGates(t *phi3.Tuning, g *so8t.Gates) error {
	if g == nil {
		return nil
	}
	_, in := m.linearShape(OProj)
	if len(g.Layers) != m.cfg.Layers || len(g.Layers[0]) != in/8*28 {
		return fmt.Errorf("qlora: gates of %d layers do not fit this model (%d layers, %d values each)", len(g.Layers), m.cfg.Layers, in/8*28)
	}
	for i, theta := range g.Layers {
		t.Layers[i].Gate = phi3.NewGate(m.dev, m.upload(theta), nil)
	}
	return nil
}

// site is the random stream of a linear's dropout.
func site(layer int, target string) uint32 {
	k := map[string]uint32{QKVProj: 0, OProj: 1, GateUpProj: 2, DownProj: 3}[target]
	return compute.SiteAdapters + 4*uint32(layer) + k
}

func setPair(l *phi3.LayerTuning, target string, p *phi3.Pair) {
	switch target {
	case QKVProj:
		l.QKV = p
	case OProj:
		l.O = p
	case GateUpProj:
		l.GateUp = p
	case DownProj:
		l.Down = p
	}
}
