package qlora

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

const bundledModel = "../examples/fullpipeline/model"

// golden reads a reference file.
type golden struct {
	t *testing.T
	r *safetensors.Reader
}

func openGolden(t *testing.T, path string) golden {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	require.NoError(t, err)
	r, err := safetensors.NewReader(f, st.Size(), safetensors.DefaultLimits())
	require.NoError(t, err)
	return golden{t, r}
}

func (g golden) floats(name string) []float32 {
	g.t.Helper()
	v, err := g.r.Float32(name)
	require.NoError(g.t, err)
	return v
}

func (g golden) ints(name string) []int32 {
	g.t.Helper()
	sec, err := g.r.Section(name)
	require.NoError(g.t, err)
	b := make([]byte, sec.Size())
	_, err = sec.ReadAt(b, 0)
	require.NoError(g.t, err)
	out := make([]int32, len(b)/4)
	for i := range out {
		out[i] = int32(uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24)
	}
	return out
}

// loadOptions are the defaults on the device that BOREA_DEVICE names: ".ci/full
// paths" runs the tests on each set of kernels.
func loadOptions() LoadOptions {
	o := DefaultLoadOptions()
	if d := os.Getenv("BOREA_DEVICE"); d != "" {
		o.Device = d
	}
	return o
}

func loadModel(t testing.TB, dir, weights string) *Model {
	t.Helper()
	o := loadOptions()
	o.Weights = weights
	m, err := Load(context.Background(), dir, o, Env{})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// onDevices loads a model on a list of devices; without them the test is skipped.
func onDevices(t testing.TB, devices, dir, weights string) *Model {
	t.Helper()
	o := DefaultLoadOptions()
	o.Device, o.Weights = devices, weights
	m, err := Load(context.Background(), dir, o, Env{})
	if errors.Is(err, ErrUnsupported) {
		t.Skipf("no such devices here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// forwardAll returns the pass after a forward run over one document.
func forwardAll(t *testing.T, m *Model, ids []int32, mode phi3.Mode) *phi3.Pass {
	t.Helper()
	m.net.Fit(len(ids))
	p := m.net.NewPass(len(ids), mode, m.tuning)
	b := &phi3.Batch{}
	b.Add(ids, nil)
	require.NoError(t, p.Load(b))
	p.Forward(compute.Random{})
	require.NoError(t, m.dev.Sync())
	return p
}

func (m *Model) testLogits(t *testing.T, hidden compute.Buffer, rows []int32) []float32 {
	t.Helper()
	n, c, v := len(rows), m.cfg.HiddenSize, m.cfg.VocabSize
	index, x, y := m.dev.Alloc(compute.I32, n), m.dev.Alloc(m.dev.Real(), n*c), m.dev.Alloc(m.dev.Real(), n*v)
	m.dev.Upload(index, rows)
	m.dev.Gather(x, hidden, index, n, c)
	m.dev.Linear(y, nil, compute.Activation{X: x}, m.net.Head, nil, nil, n, compute.Random{})
	out := make([]float32, n*v)
	require.NoError(t, m.dev.Download(out, y))
	return out
}

func maxAbsDiff(a, b []float32) float64 {
	d := 0.0
	for i := range a {
		d = math.Max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// relNorm is |a-b| / |b| in the 2-norm.
func relNorm(a, b []float32) float64 {
	var d, n float64
	for i := range b {
		e := float64(a[i]) - float64(b[i])
		d, n = d+e*e, n+float64(b[i])*float64(b[i])
	}
	return math.Sqrt(d / n)
}

func TestGoldenLogitsAndHiddenStates(t *testing.T) {
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	m := loadModel(t, bundledModel, "f32")
	p := forwardAll(t, m, g.ints("input_ids"), phi3.Train)
	for i, name := range map[int]string{0: "hidden.0", 3: "hidden.3", 6: "hidden.6"} {
		want := g.floats(name)
		got := make([]float32, len(want))
		require.NoError(t, m.dev.Download(got, p.Stream(i)))
		require.Less(t, relNorm(got, want), 1e-4, name)
	}
	want := g.floats("hidden.norm")
	got := make([]float32, len(want))
	require.NoError(t, m.dev.Download(got, p.Hidden()))
	require.Less(t, relNorm(got, want), 1e-4, "hidden.norm")
	logits := m.testLogits(t, p.Hidden(), g.ints("logits.positions"))
	require.Less(t, maxAbsDiff(logits, g.floats("logits")), 1e-3)
}

func TestGoldenLongContext(t *testing.T) {
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	m := loadModel(t, bundledModel, "f32")
	ids := g.ints("long.input_ids")
	want := g.floats("long.last_logits")
	p := forwardAll(t, m, ids, phi3.Infer)
	require.Less(t, maxAbsDiff(m.testLogits(t, p.Hidden(), []int32{int32(len(ids) - 1)}), want), 1e-3)
	dec := m.net.NewDecoder([]int{len(ids)}, 512, m.dev.Real(), nil)
	got, err := dec.Feed(0, ids)
	require.NoError(t, err)
	require.Less(t, maxAbsDiff(got, want), 1e-3, "cached, in blocks")
}

func greedy(t *testing.T, m *Model, prompt []int32, n int) []int32 {
	t.Helper()
	o := DefaultGenerateOptions()
	o.MaxNewTokens = n
	out := slices.Clone(prompt)
	for id, err := range m.Generate(context.Background(), prompt, o) {
		require.NoError(t, err)
		out = append(out, id)
	}
	return out
}

func TestGoldenGreedy(t *testing.T) {
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	m := loadModel(t, bundledModel, "f32")
	want := g.ints("greedy.output_ids")
	prompt := want[:g.ints("greedy.prompt_len")[0]]
	require.Equal(t, want, greedy(t, m, prompt, 64))
	require.Equal(t, g.ints("chat.output_ids"), greedy(t, m, g.ints("chat.prompt_ids"), 64))
}

func TestGoldenGreedyChatInt8(t *testing.T) {
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	m := loadModel(t, bundledModel, "int8")
	require.Equal(t, g.ints("chat.output_ids"), greedy(t, m, g.ints("chat.prompt_ids"), 64))
}

func TestGoldenMiniatures(t *testing.T) {
	for _, name := range []string{"phi3-mini-untied", "phi3-mini-gqa"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			g := openGolden(t, filepath.Join(dir, "golden.safetensors"))
			m := loadModel(t, dir, "f32")
			ids := g.ints("input_ids")
			p := forwardAll(t, m, ids, phi3.Infer)
			rows := make([]int32, len(ids))
			for i := range rows {
				rows[i] = int32(i)
			}
			require.Less(t, maxAbsDiff(m.testLogits(t, p.Hidden(), rows), g.floats("logits")), 1e-3)
		})
	}
}

type goldenFigures struct {
	LoRALoss0 float64      `json:"lora_loss0"`
	Curve     [][2]float64 `json:"lora_curve"`
	Windows32 struct {
		PPL float64 `json:"ppl"`
	} `json:"dev_windows32"`
}

func readFigures(t *testing.T) goldenFigures {
	t.Helper()
	b, err := os.ReadFile("testdata/phi3-aozora-10m.json")
	require.NoError(t, err)
	var f goldenFigures
	require.NoError(t, json.Unmarshal(b, &f))
	return f
}

// goldenAdapter is the reference's start weights.
func goldenAdapter(g golden) *Adapter {
	a := &Adapter{Rank: 8, Alpha: 16, Targets: Targets(), Factors: map[string]Factor{}}
	for _, info := range g.r.Tensors() {
		name, ok := strings.CutPrefix(info.Name, "lora.model.")
		if !ok {
			continue
		}
		name = "model." + name
		linear, isA := strings.CutSuffix(name, ".lora_A.weight")
		if !isA {
			linear = strings.TrimSuffix(name, ".lora_B.weight")
		}
		f := a.Factors[linear]
		f.R, f.Scale = 8, 2
		if isA {
			f.A, f.In = g.floats(info.Name), info.Shape[1]
		} else {
			f.B, f.Out = g.floats(info.Name), info.Shape[0]
		}
		a.Factors[linear] = f
	}
	return a
}

func goldenTraining() Options {
	o := DefaultOptions()
	o.Rank, o.Alpha, o.Dropout, o.LearningRate = 8, 16, 0, 1e-3
	o.Scheduler, o.WarmupRatio, o.Optimizer, o.WeightDecay = "constant", 0, "adamw", 0.01
	o.Epochs, o.MaxSteps, o.BatchSize, o.Accumulation, o.MaxLength = 30, 30, 4, 1, 128
	o.Recompute, o.SaveSeconds = "none", 0
	return o
}

func goldenExamples(g golden) []Example {
	ids := g.ints("lora.train_ids")
	var out []Example
	for i := range 4 {
		out = append(out, Example{IDs: ids[i*128 : (i+1)*128]})
	}
	return out
}

// checkGradients compares loss and gradients of the first step with the
// reference's and returns how many gradients that has.
func checkGradients(t *testing.T, m *Model, g golden, o Options, wantLoss float64) (checked int) {
	t.Helper()
	tr, err := NewTrainer(m, o, Dirs{}, Env{})
	require.NoError(t, err)
	require.NoError(t, tr.SetAdapter(goldenAdapter(g)))
	tr.plan = newPlan(goldenExamples(g), o)
	loss, err := tr.microStep(tr.batches([][]int{{0, 1, 2, 3}})[0], 0)
	require.NoError(t, err)
	require.InEpsilon(t, wantLoss, loss, 1e-5)
	for _, p := range tr.tr.params {
		name := "lora_grad." + p.name + ".weight"
		if _, ok := g.r.Info(name); !ok {
			continue
		}
		got := make([]float32, p.g.Len())
		require.NoError(t, m.dev.Download(got, p.g))
		require.Less(t, relNorm(got, g.floats(name)), 1e-3, name)
		checked++
	}
	return checked
}

func TestGoldenLoRAGradients(t *testing.T) {
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	for _, recompute := range []string{"none", "full"} {
		m := loadModel(t, bundledModel, "f32")
		o := goldenTraining()
		o.Recompute = recompute
		require.Equal(t, 16, checkGradients(t, m, g, o, readFigures(t).LoRALoss0))
	}
}

// followCurve trains on the reference's rows from its start weights and hands out
// the loss of each step.
func followCurve(t *testing.T, m *Model, steps int, use func(step int, loss float64)) {
	t.Helper()
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	tr, err := NewTrainer(m, goldenTraining(), Dirs{}, Env{})
	require.NoError(t, err)
	require.NoError(t, tr.SetAdapter(goldenAdapter(g)))
	rows := readIDs(t, "testdata/lora200.ids.gz", 128)
	tr.plan = newPlan(goldenExamples(g), goldenTraining())
	for step := range steps {
		tr.plan.data = nil
		for _, row := range rows[4*step : 4*step+4] {
			tr.plan.data = append(tr.plan.data, Example{IDs: row})
		}
		tr.plan.epoch, tr.plan.cached = 0, [][][]int{{{0, 1, 2, 3}}}
		tr.plan.starts, tr.plan.total = []int{step}, steps+1
		require.NoError(t, tr.oneStep())
		use(step, tr.losses[step])
	}
}

func TestGoldenLossCurve(t *testing.T) {
	want := readFigures(t).Curve
	followCurve(t, loadModel(t, bundledModel, "f32"), len(want), func(step int, loss float64) {
		require.InEpsilon(t, want[step][0], loss, 1e-3, "step %d", step)
	})
}
