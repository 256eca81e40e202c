package qlora

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
	"github.com/borea-go/borea/qlora/internal/compute/cuda"
	"github.com/borea-go/borea/qlora/internal/compute/open"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// MemoryPlan is the memory that training is expected to take at its peak, in bytes:
// of the process on the CPU, and of each GPU with CUDA.
type MemoryPlan struct {
	Weights     int64 `json:"weights"`     // frozen, norms and rotary table included
	Mapped      int64 `json:"mapped"`      // of files: the system's page cache, which it takes back when it must
	Adapters    int64 `json:"adapters"`    // factors, their gradients and moments
	Activations int64 `json:"activations"` // of one batch, and their gradients
	Scratch     int64 `json:"scratch"`     // packed operands, logits of a chunk
	Snapshot    int64 `json:"snapshot"`    // copies of the adapters while they are saved; a GPU's lie in host memory
	Runtime     int64 `json:"runtime"`     // program, tokenizer, collector's slack; the driver's context of a GPU
}

// Total is the predicted peak.
func (p MemoryPlan) Total() int64 {
	return p.Weights + p.Mapped + p.Adapters + p.Activations + p.Scratch + p.Snapshot + p.Runtime
}

// String lists the parts in MiB.
func (p MemoryPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d MiB expected at the peak:", p.Total()>>20)
	for _, x := range []struct {
		name string
		n    int64
	}{
		{"weights", p.Weights}, {"adapters", p.Adapters}, {"activations", p.Activations},
		{"scratch", p.Scratch}, {"snapshot", p.Snapshot}, {"runtime", p.Runtime},
	} {
		fmt.Fprintf(&b, " %s %d", x.name, x.n>>20)
	}
	if p.Mapped > 0 {
		fmt.Fprintf(&b, ", and %d mapped from files, which the system drops and reads again when memory is short", p.Mapped>>20)
	}
	return b.String()
}

// runtimeBytes is what the program takes before any weight: measured with the
// Phi-3 tokenizer loaded.
const runtimeBytes = 64 << 20

// PredictMemory tells, from config.json and, with Mapped, the headers of the
// weights, the peak memory of loading the model of fsys and training it with these
// options. It runs the planning of Load and NewTrainer against a device that only
// counts; scratch memory follows the formulas of cpu.Scratch and cuda.Scratch. No
// GPU is needed to predict for one.
func PredictMemory(fsys fs.FS, load LoadOptions, train Options) (MemoryPlan, error) {
	var p MemoryPlan
	for _, err := range []error{load.Validate(), train.Validate()} {
		if err != nil {
			return p, err
		}
	}
	cfg, err := hfconfig.Read(fsys)
	if err != nil {
		return p, err
	}
	count := &ledger{real: compute.F32, weight: cpu.WeightBytes}
	m := &Model{dev: count, cfg: cfg, opts: load}
	if !load.OnCPU() {
		count.real, count.weight = compute.BF16, cuda.WeightBytes
		m.dev = &gpuLedger{count}
	}
	if err := m.outline(fsys); err != nil {
		return p, err
	}
	m.net.Fit(max(train.MaxLength, min(cfg.OriginalMaxPosition, cfg.MaxPosition)))
	p.Weights, p.Mapped = count.take(), count.mapped
	tr := newTrainable(m, train)
	p.Adapters = count.take()
	n := train.BatchSize * train.MaxLength
	m.net.NewPass(n, modes[train.Recompute], tr.tuning)
	p.Activations = count.take()
	if !load.OnCPU() {
		p.Scratch, p.Runtime = gpuScratch(m, load, train), cuda.ContextBytes
		return p, nil
	}
	h, devices := m.net.Heads(), len(open.Split(load.Device))
	p.Scratch = cpu.Scratch(max(1, runtime.GOMAXPROCS(0)/devices), cpu.Shape{
		Tokens: n, Hidden: cfg.HiddenSize, MLP: cfg.IntermediateSize, Vocab: cfg.VocabSize, Heads: h,
		Rank: train.Rank, Dropout: train.Dropout > 0,
	})
	for _, part := range []*int64{&p.Weights, &p.Adapters, &p.Activations, &p.Scratch} {
		*part *= int64(devices)
	}
	p.Snapshot, p.Runtime = tr.snapshotBytes(), runtimeBytes
	return p, nil
}

// outline makes the weights of a model on a device that counts. For mapped ones it
// maps the files of fsys.
func (m *Model) outline(fsys fs.FS) (err error) {
	var src *safetensors.Model
	if err := m.readSmoothing(); err != nil {
		return err
	}
	if m.opts.Mapped {
		if src, err = safetensors.OpenModel(fsys); err != nil {
			return err
		}
		m.files = src
		if err := m.mapFiles(src); err != nil {
			return errors.Join(err, m.closeFiles())
		}
	}
	m.net = phi3.Outline(m.dev, m.cfg, src, phi3.Formats{Linear: formats[m.opts.Weights], Embed: formats[m.opts.Embeddings]}, m.evened())
	return m.closeFiles()
}

// snapshotBytes is two copies of the state, of which a background save still
// holds one, or three of the factors, as writing the adapter takes; the larger.
func (t *trainable) snapshotBytes() int64 {
	var state, factors int64
	for _, p := range t.params {
		factors += 4 * int64(p.p.Len())
	}
	for _, b := range t.state() {
		state += int64(b.Len() * b.Type().Size())
	}
	return max(2*state, 3*factors)
}

// ledger is a device that counts what is asked of it and computes nothing.
type ledger struct {
	compute.Device
	real   compute.Type
	weight func(f compute.Format, rows, cols int) int64
	bytes  int64
	mapped int64 // of weights where they lie in files
}

// gpuLedger keeps tables in host memory.
type gpuLedger struct{ *ledger }

// counts reports whether the model is on a device that only counts: what would be
// uploaded need not be computed.
func (m *Model) counts() bool {
	switch m.dev.(type) {
	case *ledger, *gpuLedger:
		return true
	}
	return false
}

// gpuScratch includes what rounding to blocks leaves unused.
func gpuScratch(m *Model, load LoadOptions, train Options) int64 {
	c := m.cfg
	return cuda.Rounding + cuda.Scratch(cuda.DefaultOptions(), cuda.Shape{
		Tokens: train.BatchSize * train.MaxLength, Hidden: c.HiddenSize, MLP: c.IntermediateSize, Vocab: c.VocabSize,
		Heads: m.net.Heads(), Rank: train.Rank, Dropout: train.Dropout > 0,
		Linear: formats[load.Weights], Head: formats[load.Embeddings],
	})
}

// Table implements compute.Tabler.
func (l *gpuLedger) Table(f compute.Format, rows, cols int, _ compute.RowSource) (compute.Weight, error) {
	return &region{rows: rows, cols: cols, format: f}, nil
}

// MappedWeight implements compute.Mapper, and refuses all.
func (l *gpuLedger) MappedWeight(compute.Format, int, int, []byte) (compute.Weight, error) {
	return nil, compute.ErrUnsupported
}

// region is a buffer or weight of a ledger.
type region struct {
	typ        compute.Type
	n          int
	rows, cols int
	format     compute.Format
	bytes      int64
}

// take returns what was counted since the last call.
func (l *ledger) take() int64 {
	n := l.bytes
	l.bytes = 0
	return n
}

func (l *ledger) Real() compute.Type         { return l.real }
func (l *ledger) Sync() error                { return nil }
func (l *ledger) Upload(compute.Buffer, any) {}

func (l *ledger) Alloc(t compute.Type, n int) compute.Buffer {
	l.bytes += int64(n * t.Size())
	return &region{typ: t, n: n}
}

func (l *ledger) Activation(f compute.Format, n, cols int) compute.Activation {
	a := compute.Activation{X: l.Alloc(l.real, n*cols)}
	if f == compute.FormatInt8 {
		a.Q, a.S = l.Alloc(compute.I8, n*cols), l.Alloc(compute.F32, n)
	}
	return a
}

func (l *ledger) Weight(f compute.Format, rows, cols int, _ compute.RowSource) (compute.Weight, error) {
	r := &region{rows: rows, cols: cols, format: f, bytes: l.weight(f, rows, cols)}
	l.bytes += r.bytes
	return r, nil
}

// MappedWeight implements compute.Mapper.
func (l *ledger) MappedWeight(f compute.Format, rows, cols int, raw []byte) (compute.Weight, error) {
	if !cpu.Mappable(f, rows, cols, raw) {
		return nil, compute.ErrUnsupported
	}
	l.mapped += int64(len(raw))
	return &region{rows: rows, cols: cols, format: f, bytes: int64(len(raw))}, nil
}

// Type implements compute.Buffer.
func (r *region) Type() compute.Type { return r.typ }

// Len implements compute.Buffer.
func (r *region) Len() int { return r.n }

// Slice implements compute.Buffer.
func (r *region) Slice(_, n int) compute.Buffer { return &region{typ: r.typ, n: n} }

// Rows implements compute.Weight.
func (r *region) Rows() int { return r.rows }

// Cols implements compute.Weight.
func (r *region) Cols() int { return r.cols }

// Format implements compute.Weight.
func (r *region) Format() compute.Format { return r.format }

// Bytes implements compute.Weight.
func (r *region) Bytes() int64 { return r.bytes }
