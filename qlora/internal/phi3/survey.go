package phi3

import (
	"context"
	"fmt"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// Probe is what one linear of one block met in a batch. Its slices are used again
// for the next one.
type Probe struct {
	Layer   int
	Name    string // tensor name without ".weight"
	In, Out int
	X       []float32         // [T, In], before any quantising
	Want    []float32         // [T, Out], by the reference's weights
	Got     []float32         // [T, Out], by those under test
	Rows    compute.RowSource // of the weight
}

// Survey runs a batch through the model block by block, by weights of the format
// ref, and shows every linear beside the same in the format test. One block at a
// time is in memory. The codes of a test format that has them are those of the
// same inputs, so that errors do not add up over blocks.
func Survey(ctx context.Context, dev compute.Device, cfg *hfconfig.Config, src *safetensors.Model, ref Formats, test compute.Format, s *Smoothing, b *Batch, use func(Probe) error) error {
	l := newLoader(ctx, dev, cfg, src, s)
	m := &Model{Dev: dev, Config: cfg, format: ref.Linear, layers: make([]layer, cfg.Layers), turn: l.hadamard(cfg)}
	m.Embed = l.matrix("model.embed_tokens.weight", ref.Embed, cfg.VocabSize, cfg.HiddenSize)
	if l.err != nil {
		return l.err
	}
	m.Fit(b.Longest())
	p := m.NewPass(b.Len(), Infer, nil)
	if err := p.Load(b); err != nil {
		return err
	}
	dev.Embed(p.stream(0), m.Embed, p.ids, p.n, 0, p.seq, compute.Random{})
	v := &survey{loader: l, pass: p, test: test, use: use}
	for i := range m.layers {
		if err := v.block(i); err != nil {
			return err
		}
	}
	return nil
}

type survey struct {
	*loader
	pass *Pass
	test compute.Format
	use  func(Probe) error
}

// block runs block i and shows its four linears.
func (v *survey) block(i int) error {
	p, m := v.pass, v.pass.m
	mark := v.dev.Mark()
	defer v.dev.Release(mark)
	m.layers[i] = v.layer(m.Config, m.format, i)
	if v.err != nil {
		return v.err
	}
	s, l := p.state[i], m.layers[i]
	p.forward(i, p.stream(i+1), p.stream(i), s, p.attention)
	prefix := fmt.Sprintf("model.layers.%d.", i)
	for _, x := range []struct {
		name string
		in   compute.Buffer
		w    compute.Weight
	}{
		{"self_attn.qkv_proj", s.norm1.X, l.qkv}, {"self_attn.o_proj", s.attn.X, l.o},
		{"mlp.gate_up_proj", s.norm2.X, l.gateUp}, {"mlp.down_proj", s.mlp.X, l.down},
	} {
		if err := v.show(i, prefix+x.name, x.in, x.w); err != nil {
			return err
		}
	}
	return nil
}

func (v *survey) show(layer int, name string, in compute.Buffer, w compute.Weight) error {
	mark := v.dev.Mark()
	defer v.dev.Release(mark)
	rows := v.rows(name+".weight", w.Cols())
	tested, err := v.dev.Weight(v.test, w.Rows(), w.Cols(), rows)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p := Probe{Layer: layer, Name: name, In: w.Cols(), Out: w.Rows(), Rows: rows, X: make([]float32, v.pass.n*w.Cols())}
	if err := v.dev.Download(p.X, in.Slice(0, len(p.X))); err != nil {
		return err
	}
	if p.Want, err = v.product(in, w); err != nil {
		return err
	}
	if p.Got, err = v.product(in, tested); err != nil {
		return err
	}
	return v.use(p)
}

func (v *survey) product(in compute.Buffer, w compute.Weight) ([]float32, error) {
	n := v.pass.n
	y, out := v.dev.Alloc(v.dev.Real(), n*w.Rows()), make([]float32, n*w.Rows())
	v.dev.Linear(y, nil, compute.Activation{X: in}, w, nil, nil, n, compute.Random{})
	return out, v.dev.Download(out, y)
}
