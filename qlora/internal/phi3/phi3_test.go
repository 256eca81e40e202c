package phi3

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/ref"
)

func loadMini(t *testing.T, name string) (*Model, []int32, []float32) {
	t.Helper()
	fsys := os.DirFS(filepath.Join("../../testdata", name))
	cfg, err := hfconfig.Read(fsys)
	check(t, err)
	src, err := safetensors.OpenModel(fsys)
	check(t, err)
	defer src.Close()
	m, err := Load(context.Background(), ref.New(), cfg, src, Formats{}, nil, nil)
	check(t, err)
	m.Fit(64)
	return m, readInts(t, name, "input_ids"), readFloats(t, name, "logits")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func goldenReader(t *testing.T, name string) *safetensors.Reader {
	f, err := os.Open(filepath.Join("../../testdata", name, "golden.safetensors"))
	check(t, err)
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	check(t, err)
	r, err := safetensors.NewReader(f, st.Size(), safetensors.DefaultLimits())
	check(t, err)
	return r
}

func readFloats(t *testing.T, name, tensor string) []float32 {
	v, err := goldenReader(t, name).Float32(tensor)
	check(t, err)
	return v
}

func readInts(t *testing.T, name, tensor string) []int32 {
	sec, err := goldenReader(t, name).Section(tensor)
	check(t, err)
	b := make([]byte, sec.Size())
	_, err = sec.ReadAt(b, 0)
	check(t, err)
	v := make([]int32, len(b)/4)
	for i := range v {
		v[i] = int32(b[4*i]) | int32(b[4*i+1])<<8 | int32(b[4*i+2])<<16 | int32(b[4*i+3])<<24
	}
	return v
}

func TestMiniaturesMatchTransformers(t *testing.T) {
	for _, name := range []string{"phi3-mini-untied", "phi3-mini-gqa"} {
		m, ids, want := loadMini(t, name)
		p := m.NewPass(len(ids), Infer, nil)
		b := &Batch{}
		b.Add(ids, nil)
		check(t, p.Load(b))
		p.Forward(compute.Random{})
		n, v := len(ids), m.Config.VocabSize
		y := m.Dev.Alloc(compute.F32, n*v)
		m.Dev.Linear(y, nil, compute.Activation{X: p.Hidden()}, m.Head, nil, nil, n, compute.Random{})
		got := make([]float32, n*v)
		check(t, m.Dev.Download(got, y))
		for i := range want {
			if d := math.Abs(float64(got[i] - want[i])); d > 1e-4 {
				t.Fatalf("%s: logit %d differs by %g", name, i, d)
			}
		}
	}
}

func TestDecoderEqualsForward(t *testing.T) {
	m, ids, want := loadMini(t, "phi3-mini-gqa")
	v := m.Config.VocabSize
	for _, block := range []int{1, 7, 40} {
		m.Fit(len(ids))
		dec := m.NewDecoder([]int{len(ids)}, block, m.Dev.Real(), nil)
		if _, err := dec.Feed(0, ids[:len(ids)-2]); err != nil {
			t.Fatal(err)
		}
		for k := 2; k >= 1; k-- {
			got, err := dec.Feed(0, ids[len(ids)-k:len(ids)-k+1])
			check(t, err)
			for i, g := range got {
				if d := math.Abs(float64(g - want[(len(ids)-k)*v+i])); d > 1e-4 {
					t.Fatalf("block %d: logit %d differs by %g", block, i, d)
				}
			}
		}
	}
}

// tuned returns a model with a random adapter on every linear and a gate on
// every layer, and the named parameters with their gradients.
func tuned(m *Model) (*Tuning, map[string][2]compute.Buffer) {
	rng := rand.New(rand.NewPCG(3, 4))
	params := map[string][2]compute.Buffer{}
	add := func(name string, n int, s float64) (p, g compute.Buffer) {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64() * s
		}
		p, g = m.Dev.Alloc(compute.F32, n), m.Dev.Alloc(compute.F32, n)
		m.Dev.Upload(p, v)
		params[name] = [2]compute.Buffer{p, g}
		return p, g
	}
	tune := &Tuning{Layers: make([]LayerTuning, m.Layers())}
	c, f, h := m.Config.HiddenSize, m.Config.IntermediateSize, m.Heads()
	for i := range tune.Layers {
		id := string(rune('0' + i))
		pair := func(name string, out, in int) *Pair {
			a, ga := add(id+name+".A", 3*in, 0.1)
			b, gb := add(id+name+".B", out*3, 0.1)
			return &Pair{compute.Adapter{A: a, B: b, R: 3, Scale: 0.7}, compute.AdapterGrad{A: ga, B: gb}}
		}
		theta, gt := add(id+"theta", h.H*h.D/8*28, 0.2)
		tune.Layers[i] = LayerTuning{
			QKV: pair("qkv", h.QKV(), c), O: pair("o", c, h.H*h.D),
			GateUp: pair("gu", 2*f, c), Down: pair("down", c, f), Gate: NewGate(m.Dev, theta, gt),
		}
	}
	return tune, params
}

// TestGradientsMatchCentralDifferences checks the whole backward pass, packed
// documents and PET included, in float64.
func TestGradientsMatchCentralDifferences(t *testing.T) {
	m, ids, _ := loadMini(t, "phi3-mini-gqa")
	for _, mode := range []Mode{Train, TrainSelective, TrainRecompute} {
		tune, params := tuned(m)
		p := m.NewPass(12, mode, tune)
		b := &Batch{}
		b.Add(ids[:5], nil)
		b.Add(ids[5:12], []float32{0, 1, 0, 1, 1, 0.5, 1})
		check(t, p.Load(b))
		coef, pet := m.Dev.Alloc(compute.F32, 1), m.Dev.Alloc(compute.F32, 1)
		m.Dev.Upload(coef, []float64{0.01})
		loss := func(backward bool) float64 {
			p.Forward(compute.Random{})
			nll := make([]float64, b.Len())
			check(t, m.Dev.Download(nll, p.Loss(backward)))
			m.Dev.Zero(pet)
			dh := compute.Buffer(nil)
			if backward {
				dh = p.HiddenGrad()
			}
			m.Dev.PET(pet, dh, p.Hidden(), p.Sequence(), coef, 0, b.Len(), m.Config.HiddenSize)
			if backward {
				p.Backward()
			}
			s := make([]float64, 1)
			check(t, m.Dev.Download(s, pet))
			for _, v := range nll {
				s[0] += v
			}
			return s[0]
		}
		loss(true)
		for name, pg := range params {
			checkGradient(t, m.Dev, name, pg, func() float64 { return loss(false) })
		}
	}
}

func checkGradient(t *testing.T, dev compute.Device, name string, pg [2]compute.Buffer, loss func() float64) {
	t.Helper()
	v, g := make([]float64, pg[0].Len()), make([]float64, pg[0].Len())
	check(t, dev.Download(v, pg[0]))
	check(t, dev.Download(g, pg[1]))
	for _, i := range []int{0, len(v) / 2, len(v) - 1} {
		const step = 1e-5
		x := v[i]
		v[i] = x + step
		dev.Upload(pg[0], v)
		up := loss()
		v[i] = x - step
		dev.Upload(pg[0], v)
		down := loss()
		v[i] = x
		dev.Upload(pg[0], v)
		want := (up - down) / (2 * step)
		if d := math.Abs(want - g[i]); d > 1e-6*math.Max(1e-2, math.Abs(want)) {
			t.Errorf("%s[%d]: gradient %g, central difference %g", name, i, g[i], want)
		}
	}
}
