//go:build cuda && cgo && linux && amd64

package qlora

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda"
)

// shapeFS is a model directory of Phi-3.5-mini's true shape with random bfloat16
// weights of deviation 0.02, which exist only while they are read.
type shapeFS struct {
	config []byte
	header []byte
	size   int64
	noise  []byte
}

func newShapeFS(t testing.TB, layers int) *shapeFS {
	t.Helper()
	f := &shapeFS{config: phi35Config(t, layers)}
	type tensor struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	all, at := map[string]tensor{}, int64(0)
	add := func(name string, shape ...int) {
		n := int64(2)
		for _, s := range shape {
			n *= int64(s)
		}
		all[name] = tensor{"BF16", shape, [2]int64{at, at + n}}
		at += n
	}
	add("model.embed_tokens.weight", 32064, 3072)
	for i := range layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"input_layernorm.weight", 3072)
		add(p+"self_attn.qkv_proj.weight", 9216, 3072)
		add(p+"self_attn.o_proj.weight", 3072, 3072)
		add(p+"post_attention_layernorm.weight", 3072)
		add(p+"mlp.gate_up_proj.weight", 16384, 3072)
		add(p+"mlp.down_proj.weight", 3072, 8192)
	}
	add("model.norm.weight", 3072)
	add("lm_head.weight", 32064, 3072)
	h, err := json.Marshal(all)
	require.NoError(t, err)
	h = append(h, strings.Repeat(" ", (8-len(h)%8)%8)...)
	f.header = append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)
	f.size = int64(len(f.header)) + at
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1<<20 + 7 {
		f.noise = binary.LittleEndian.AppendUint16(f.noise, safetensors.BF16(float32(rng.NormFloat64()*0.02)))
	}
	return f
}

// Open implements fs.FS.
func (f *shapeFS) Open(name string) (fs.File, error) {
	switch name {
	case "config.json":
		return &shapeFile{Reader: bytes.NewReader(f.config), at: bytes.NewReader(f.config), size: int64(len(f.config)), name: name}, nil
	case safetensors.SingleFile:
		r := io.NewSectionReader(f, 0, f.size)
		return &shapeFile{Reader: r, at: r, size: f.size, name: name}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadAt implements io.ReaderAt: the header, then the noise over and over.
func (f *shapeFS) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off+int64(n) < f.size {
		at := off + int64(n)
		if at < int64(len(f.header)) {
			n += copy(p[n:], f.header[at:])
			continue
		}
		n += copy(p[n:], f.noise[(at-int64(len(f.header)))%int64(len(f.noise)):])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

type shapeFile struct {
	io.Reader
	at   io.ReaderAt
	size int64
	name string
}

func (f *shapeFile) Stat() (fs.FileInfo, error)              { return f, nil }
func (f *shapeFile) Close() error                            { return nil }
func (f *shapeFile) ReadAt(p []byte, off int64) (int, error) { return f.at.ReadAt(p, off) }
func (f *shapeFile) Name() string                            { return f.name }
func (f *shapeFile) Size() int64                             { return f.size }
func (f *shapeFile) Mode() fs.FileMode                       { return 0o444 }
func (f *shapeFile) ModTime() time.Time                      { return time.Time{} }
func (f *shapeFile) IsDir() bool                             { return false }
func (f *shapeFile) Sys() any                                { return nil }

// phi35 is a case of BenchmarkPhi35Mini.
type phi35 struct {
	weights, path string
	batch         int
	recompute     string
	direct        bool    // queued anew each step instead of replayed
	limit         float64 // of the device's memory, GiB; 0 for none
	hadamard      bool
}

// name is what cases are chosen by.
func (c phi35) name() string {
	n := fmt.Sprintf("%s-%s-batch%d-recompute-%s", c.weights, c.path, c.batch, c.recompute)
	if c.direct {
		n += "-direct"
	}
	if c.hadamard {
		n += "-hadamard"
	}
	if c.limit > 0 {
		n += fmt.Sprintf("-within-%.2fGiB", c.limit)
	}
	return n
}

func phi35Cases() []phi35 {
	var all []phi35
	for _, v := range []struct{ weights, path string }{{"int8", "auto"}, {"nf4", "auto"}, {"bf16", "auto"}, {"int8", "generic"}} {
		for _, recompute := range []string{"full", "selective", "none"} {
			all = append(all, phi35{weights: v.weights, path: v.path, batch: 4, recompute: recompute})
		}
		all = append(all, phi35{weights: v.weights, path: v.path, batch: 1, recompute: "full"})
	}
	return append(all,
		phi35{weights: "int8", path: "auto", batch: 1, recompute: "selective"},
		phi35{weights: "int8", path: "auto", batch: 2, recompute: "full"},
		phi35{weights: "int8", path: "auto", batch: 2, recompute: "selective"},
		phi35{weights: "int8", path: "auto", batch: 12, recompute: "full"},
		phi35{weights: "int8", path: "auto", batch: 1, recompute: "full", direct: true},
		phi35{weights: "int8", path: "auto", batch: 4, recompute: "full", direct: true},
		phi35{weights: "int8", path: "auto", batch: 4, recompute: "none", direct: true},
		phi35{weights: "int8", path: "auto", batch: 4, recompute: "full", hadamard: true},
		phi35{weights: "int8", path: "auto", batch: 1, recompute: "full", limit: 5.7},
		phi35{weights: "nf4", path: "auto", batch: 1, recompute: "full", limit: 4.1},
	)
}

// BenchmarkPhi35Mini measures training steps at Phi-3.5-mini's true shape with
// random weights: rank 64 on all four linears, documents of 2048 tokens. Beside
// the time it reports tokens a second, the seconds that opening the device and
// loading took, what the device held at most, and the whole process's share of the
// GPU. With BOREA_PROFILE set it prints every kernel's time.
func BenchmarkPhi35Mini(b *testing.B) {
	for _, c := range phi35Cases() {
		b.Run(c.name(), func(b *testing.B) {
			m, report := shapeModel(b, c)
			defer func() { require.NoError(b, m.Close()) }()
			benchmarkSteps(b, m, c)
			report()
		})
	}
}

// BenchmarkCheckpointStall measures what a checkpoint of 100 M parameters and their
// 8-bit moments, written in the background, costs the steps beside it.
func BenchmarkCheckpointStall(b *testing.B) {
	c := phi35{weights: "int8", path: "auto", batch: 1, recompute: "full"}
	m, _ := shapeModel(b, c)
	defer func() { require.NoError(b, m.Close()) }()
	tr, step := stepper(b, m, c)
	defer func() { require.NoError(b, tr.Close()) }()
	tr.dirs.Checkpoints = b.TempDir()
	require.NoError(b, tr.openStore(context.Background()))
	const steps = 40
	run := func(save bool) (all, begin float64) {
		start := time.Now()
		for i := range steps {
			if save && i == 0 {
				st, err := tr.snapshot()
				require.NoError(b, err)
				tr.collect(tr.store.SaveAsync(context.Background(), st))
				begin = time.Since(start).Seconds()
			}
			step()
		}
		all = time.Since(start).Seconds()
		require.NoError(b, tr.store.Wait())
		return all, begin
	}
	run(false)
	with, without, begin, rounds := 0.0, 0.0, 0.0, 0.0
	for b.Loop() {
		w, at := run(true)
		o, _ := run(false)
		with, without, begin, rounds = with+w, without+o, begin+at, rounds+1
	}
	b.ReportMetric(1000*(with-without)/rounds, "stall-ms")
	b.ReportMetric(1000*begin/rounds, "begin-ms")
	b.ReportMetric(1000*without/rounds/steps, "step-ms")
	require.NoError(b, tr.closeFiles())
}

// shapeModel loads the random model on a path of the GPU; report tells how long it
// took.
func shapeModel(b *testing.B, c phi35) (m *Model, report func()) {
	b.Helper()
	o := cuda.DefaultOptions()
	o.Path, o.Memory = c.path, int64(c.limit*(1<<30))
	start := time.Now()
	dev, err := cuda.New(o)
	if errors.Is(err, compute.ErrUnsupported) {
		b.Skipf("no such CUDA device here: %v", err)
	}
	require.NoError(b, err)
	opened := time.Since(start).Seconds()
	fsys := newShapeFS(b, 32)
	cfg, err := hfconfig.Read(fsys)
	require.NoError(b, err)
	m = &Model{dev: dev, cfg: cfg, opts: DefaultLoadOptions()}
	m.opts.Weights, m.opts.Hadamard = c.weights, c.hadamard
	start = time.Now()
	require.NoError(b, m.loadWeights(context.Background(), fsys))
	loaded := time.Since(start).Seconds()
	return m, func() {
		b.ReportMetric(opened, "open-s")
		b.ReportMetric(loaded, "load-s")
	}
}

// stepper returns a trainer and a function that takes one step of it.
func stepper(b *testing.B, m *Model, c phi35) (*Trainer, func()) {
	o := DefaultOptions()
	o.Rank, o.Alpha, o.Dropout = 64, 128, 0
	o.Epochs, o.BatchSize, o.Accumulation, o.MaxLength, o.Recompute = 1, c.batch, 1, 2048, c.recompute
	tr, err := NewTrainer(m, o, Dirs{}, Env{})
	require.NoError(b, err)
	if c.direct {
		tr.repeats.dev = nil
	}
	rng := rand.New(rand.NewPCG(2, 2))
	var data []Example
	for range c.batch {
		ids := make([]int32, 2048)
		for i := range ids {
			ids[i] = int32(rng.IntN(32000))
		}
		data = append(data, Example{IDs: ids})
	}
	tr.plan = newPlan(data, o)
	tr.plan.total = math.MaxInt32
	indices := make([]int, c.batch)
	for i := range indices {
		indices[i] = i
	}
	return tr, func() {
		micro := tr.batches([][]int{indices})
		tr.uploadHyper(1e-4, micro)
		_, err := tr.microStep(micro[0], tr.step)
		require.NoError(b, err)
		_, err = tr.optimise()
		require.NoError(b, err)
		tr.step++
	}
}

func benchmarkSteps(b *testing.B, m *Model, c phi35) {
	tr, step := stepper(b, m, c)
	defer func() { require.NoError(b, tr.Close()) }()
	for range 3 { // the second is recorded
		step()
	}
	b.ResetTimer()
	for b.Loop() {
		step()
	}
	b.StopTimer()
	b.ReportMetric(float64(c.batch*2048)*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
	report := m.dev.(*cuda.Device).MemoryReport()
	b.ReportMetric(float64(report.HighWater)/(1<<30), "GiB-held")
	b.ReportMetric(float64(report.Process)/(1<<30), "GiB-process")
	if os.Getenv("BOREA_PROFILE") != "" {
		tr.repeats.dev = nil
		printProfile(b, m.dev.(*cuda.Device), step)
	}
}

// printProfile lists the kernels of a step.
func printProfile(b *testing.B, d *cuda.Device, step func()) {
	list, err := d.Profile(step)
	require.NoError(b, err)
	total, launches := 0.0, 0
	for _, k := range list {
		total += k.Milliseconds
		launches += k.Count
	}
	for _, k := range list[:min(len(list), 45)] {
		fmt.Printf("%-28s %-14v %5d %9.3f ms %5.1f %%\n", k.Name, k.Grid, k.Count, k.Milliseconds, 100*k.Milliseconds/total)
	}
	fmt.Printf("all %d kernels %.1f ms\n", launches, total)
}
