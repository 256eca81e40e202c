package qlora

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
	"github.com/borea-go/borea/so8t"
)

// small8bit is the size below which 8-bit AdamW keeps float32 moments, as
// bitsandbytes does.
const small8bit = 4096

// param is one trainable matrix on the device.
type param struct {
	name    string // "model.layers.0.mlp.down_proj.lora_A"
	p, g    compute.Buffer
	moments compute.Moments
	adam    compute.Adam
}

// trainable is everything that training changes.
type trainable struct {
	tuning *phi3.Tuning
	params []param
	grads  compute.Buffer // of all parameters, each from a multiple of gradAlign
	used   int            // of grads
	m      *Model
	opts   Options
}

// gradAlign is where gradients begin in their common buffer: on 256 bytes, so
// that kernels move them 16 bytes at a time.
const gradAlign = 64

// newTrainable allocates adapters with A uniform in ±1/sqrt(in) (what PEFT's
// Kaiming initialisation comes to) and B zero, and gates at θ = 0.
func newTrainable(m *Model, o Options) *trainable {
	t := &trainable{m: m, opts: o, tuning: &phi3.Tuning{Layers: make([]phi3.LayerTuning, m.cfg.Layers)}}
	rng := newRand(o.Seed, 2)
	targets := map[string]bool{}
	for _, name := range o.Targets {
		fused, _ := fusedTarget(name)
		targets[fused] = true
	}
	t.grads = m.dev.Alloc(compute.F32, t.gradients(targets))
	var a []float32 // reused: of all linears together it would be as much as the adapters
	for i := range t.tuning.Layers {
		for _, target := range Targets() {
			if !targets[target] {
				continue
			}
			out, in := m.linearShape(target)
			if cap(a) < o.Rank*in {
				a = make([]float32, o.Rank*in)
			}
			a = a[:o.Rank*in]
			if !m.counts() {
				draw(rng, a, 1/math.Sqrt(float64(in)))
			}
			m.inward(i, target, a, nil, o.Rank)
			t.addPair(i, target, a, out*o.Rank)
		}
		if o.SO8T.Enabled {
			_, in := m.linearShape(OProj)
			t.addGate(i, in/8*28)
		}
	}
	return t
}

// draw fills a with numbers uniform in ±bound.
func draw(rng *rand.Rand, a []float32, bound float64) {
	for j := range a {
		a[j] = float32((2*rng.Float64() - 1) * bound)
	}
}

// gradients returns the length of grads.
func (t *trainable) gradients(targets map[string]bool) int {
	n := 0
	for target := range targets {
		out, in := t.m.linearShape(target)
		n += aligned(t.opts.Rank*in) + aligned(out*t.opts.Rank)
	}
	if t.opts.SO8T.Enabled {
		_, in := t.m.linearShape(OProj)
		n += aligned(in / 8 * 28)
	}
	return n * t.m.cfg.Layers
}

func aligned(n int) int { return (n + gradAlign - 1) / gradAlign * gradAlign }

// addPair adds an adapter; B has b elements.
func (t *trainable) addPair(layer int, target string, a []float32, b int) {
	name := LinearName(layer, target)
	pa := t.add(name+".lora_A", len(a), float32(t.opts.WeightDecay), 1)
	t.m.dev.Upload(pa.p, a)
	pb := t.add(name+".lora_B", b, float32(t.opts.WeightDecay), float32(t.opts.LoRAPlus))
	setPair(&t.tuning.Layers[layer], target, &phi3.Pair{
		Adapter: compute.Adapter{
			A: pa.p, B: pb.p, R: t.opts.Rank, Scale: float32(scaleOf(t.opts)),
			Dropout: float32(t.opts.Dropout), Site: site(layer, target),
		},
		Grad: compute.AdapterGrad{A: pa.g, B: pb.g},
	})
}

func (t *trainable) addGate(layer, n int) {
	name := LinearName(layer, OProj) + ".so8t.theta"
	p := t.add(name, n, 0, float32(t.opts.SO8T.LRScale))
	t.tuning.Layers[layer].Gate = phi3.NewGate(t.m.dev, p.p, p.g)
}

// add adds a parameter of n zeros.
func (t *trainable) add(name string, n int, decay, lrScale float32) param {
	d := t.m.dev
	p := param{name: name, p: d.Alloc(compute.F32, n), g: t.grads.Slice(t.used, n)}
	t.used += aligned(n)
	p.adam = compute.Adam{
		Beta1: float32(t.opts.Beta1), Beta2: float32(t.opts.Beta2), Eps: float32(t.opts.Epsilon),
		WeightDecay: decay, LRScale: lrScale,
	}
	if t.opts.Optimizer == "adamw8bit" && n >= small8bit {
		blocks := (n + 255) / 256
		p.moments = compute.Moments{
			M: d.Alloc(compute.U8, n), V: d.Alloc(compute.U8, n),
			AbsM: d.Alloc(compute.F32, blocks), AbsV: d.Alloc(compute.F32, blocks),
		}
	} else {
		p.moments = compute.Moments{M: d.Alloc(compute.F32, n), V: d.Alloc(compute.F32, n)}
	}
	t.params = append(t.params, p)
	return p
}

// adapter downloads the current values.
func (t *trainable) adapter() (*Adapter, error) {
	o := t.opts
	a := &Adapter{
		Rank: o.Rank, Alpha: o.Alpha, Dropout: o.Dropout, RSLoRA: o.RSLoRA,
		Targets: slices.Clone(o.Targets), Factors: map[string]Factor{},
	}
	if o.SO8T.Enabled {
		a.Gates = &so8t.Gates{}
	}
	for i, l := range t.tuning.Layers {
		for k, p := range []*phi3.Pair{l.QKV, l.O, l.GateUp, l.Down} {
			if p == nil {
				continue
			}
			target := Targets()[k]
			out, in := t.m.linearShape(target)
			f := Factor{In: in, Out: out, R: p.R, Scale: scaleOf(o), A: make([]float32, p.A.Len()), B: make([]float32, p.B.Len())}
			if err := t.download(f.A, p.A, f.B, p.B); err != nil {
				return nil, err
			}
			t.m.outward(i, target, f.A, f.B, f.R)
			a.Factors[LinearName(i, target)] = f
		}
		if l.Gate != nil {
			theta := make([]float32, l.Gate.Theta.Len())
			if err := t.m.dev.Download(theta, l.Gate.Theta); err != nil {
				return nil, err
			}
			a.Gates.Layers = append(a.Gates.Layers, theta)
		}
	}
	return a, nil
}

func (t *trainable) download(a []float32, pa compute.Buffer, b []float32, pb compute.Buffer) error {
	if err := t.m.dev.Download(a, pa); err != nil {
		return err
	}
	return t.m.dev.Download(b, pb)
}

// load replaces parameter values, for warm starts and tests.
func (t *trainable) load(a *Adapter) error {
	a = t.m.inwardAdapter(a)
	for i, l := range t.tuning.Layers {
		for k, p := range []*phi3.Pair{l.QKV, l.O, l.GateUp, l.Down} {
			if p == nil {
				continue
			}
			f, ok := a.Factors[LinearName(i, Targets()[k])]
			if !ok || len(f.A) != p.A.Len() || len(f.B) != p.B.Len() {
				return fmt.Errorf("qlora: adapter has no matching factors for %s", LinearName(i, Targets()[k]))
			}
			t.m.dev.Upload(p.A, f.A)
			t.m.dev.Upload(p.B, f.B)
		}
	}
	return t.m.dev.Sync()
}

// optimise applies one AdamW step from the accumulated gradients and clears
// them; it returns the gradient norm before clipping.
func (t *trainable) optimise(hyper, acc compute.Buffer, clip float64) (float64, error) {
	t.update(hyper, acc, clip)
	return t.norm(acc)
}

// update queues what optimise does.
func (t *trainable) update(hyper, acc compute.Buffer, clip float64) {
	d := t.m.dev
	d.Zero(acc)
	d.SumSquares(acc, t.grads)
	d.ClipScale(hyper, acc, float32(clip))
	for _, p := range t.params {
		d.AdamW(p.p, p.g, p.moments, hyper, p.adam)
	}
	d.Zero(t.grads)
}

// norm reads the norm that update left in acc.
func (t *trainable) norm(acc compute.Buffer) (float64, error) {
	norm := make([]float32, 1)
	err := t.m.dev.Download(norm, acc)
	return math.Sqrt(float64(norm[0])), err
}
