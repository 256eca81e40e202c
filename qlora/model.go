package qlora

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/dataset/tokenizer"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/open"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// What errors of loading and training wrap where a device is the cause.
var (
	// ErrUnsupported: no such device, driver or library here, or the device cannot.
	ErrUnsupported = compute.ErrUnsupported
	// ErrOutOfMemory: of the device; less of it may do.
	ErrOutOfMemory = compute.ErrOutOfMemory
	// ErrDeviceLost: the device does no more work until the program starts anew.
	ErrDeviceLost = compute.ErrDeviceLost
)

// Env is what is not data. The zero value is silent.
type Env struct {
	Logger   *slog.Logger
	Progress func(Progress)
}

// Progress is a step of long work.
type Progress struct {
	Stage       string // "load", "train", "eval", "merge"
	Done, Total int
	Loss        float64 // training loss of the step, when Stage is "train"
}

func (e Env) log() *slog.Logger {
	if e.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Logger
}

func (e Env) progress(p Progress) {
	if e.Progress != nil {
		e.Progress(p)
	}
}

// LoadOptions says where and in which form the weights are held.
type LoadOptions struct {
	// Device is "cpu", or "cuda" or "cuda:N" in a binary built with that tag. A list,
	// "cuda:0,1" or "cpu,cpu", holds the model on each: a Trainer then shares out
	// the micro-batches of a step, and everything else runs on the first. "cpu:go",
	// "cpu:avx2" and so on name the kernels, where "cpu" takes the processor's best.
	Device string `json:"device" yaml:"device"`
	// Weights is the form of the four linears of each block: "int8" (int8 weights
	// and activations), "int8w" (int8 weights only), "bf16", or "f32", the oracle.
	Weights string `json:"weights" yaml:"weights"`
	// Embeddings is the form of embedding and head: "bf16" (exact for bf16 files),
	// "f32", or "int8", which halves what a decoded token reads of the head.
	Embeddings string `json:"embeddings" yaml:"embeddings"`
	// KVCache is the form of keys and values while generating: "full", as the device
	// computes, and on the CPU also "f16" and "int8", codes with one scale a token and
	// head of absmax/127, each number off by absmax/254 at most (the bundled model loses
	// 0.1 % of perplexity by it). A token takes
	// 2·layers·KV heads·(head size·B) bytes, with B 4, 2 and 1 on the CPU, and for
	// "int8" 4 more a head: of Phi-3.5-mini 768, 384 and 200 KiB.
	KVCache string `json:"kv_cache" yaml:"kv_cache"`
	// Smoothing is the file of a Smoothing for this model, made by Calibrate: less
	// error of int8 linears where some channels are much larger than others. Empty
	// is none.
	Smoothing string `json:"smoothing,omitempty" yaml:"smoothing"`
	// Hadamard mixes down_proj's input, eight neighbours at a time, before it is
	// quantised, and the weight's columns alike: less error of int8 where a token's
	// large values are few. It costs a twelfth of the time of a forward pass on the
	// CPU and a sixteenth of a training step on an H100. Adapters are read and written
	// as ever, up to float32's rounding; their dropout falls on mixed inputs.
	Hadamard bool `json:"hadamard,omitempty" yaml:"hadamard"`
	// Mapped uses weights where they lie in their files, on a CPU and a system that
	// can: bf16 weights of bf16 files and f32 of f32, smoothed ones excepted. Loading
	// them takes no time, their memory is the system's page cache, and numbers that
	// are not finite show in results only. Until Close nobody may shorten the files:
	// the program would die of it (SIGBUS).
	Mapped bool `json:"mapped" yaml:"mapped"`
	// BlockTokens is how many tokens are scored or prefilled at once, at least 1.
	BlockTokens int `json:"block_tokens" yaml:"block_tokens"`
	// DeviceMemory is the most memory, in bytes, to take of each GPU for weights and
	// work, 0 for no limit; the driver takes about 0.3 GiB of its own. What would
	// exceed it fails with ErrOutOfMemory.
	DeviceMemory int64 `json:"device_memory,omitempty" yaml:"device_memory"`
}

// DefaultLoadOptions is int8 on the CPU, 1,024 tokens a block.
func DefaultLoadOptions() LoadOptions {
	return LoadOptions{Device: "cpu", Weights: "int8", Embeddings: "bf16", KVCache: "full", BlockTokens: 1024}
}

// OptionError reports an option outside its range.
type OptionError struct {
	Name  string // JSON name
	Value any
	Want  string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("qlora: option %s = %v, want %s", e.Name, e.Value, e.Want)
}

var formats = map[string]compute.Format{
	"f32": compute.FormatF32, "bf16": compute.FormatBF16, "int8": compute.FormatInt8,
	"int8w": compute.FormatInt8W, "nf4": compute.FormatNF4,
}

// fullCache stands for the device's own type of activations.
const fullCache = compute.F32

var cacheTypes = map[string]compute.Type{"full": fullCache, "f16": compute.F16, "int8": compute.I8}

// OnCPU reports whether Device is the CPU, on whichever kernels.
func (o LoadOptions) OnCPU() bool { return open.IsCPU(o.Device) }

// FirstDevice returns the options with the first of the listed devices alone: all
// that anything but a Trainer uses.
func (o LoadOptions) FirstDevice() LoadOptions {
	o.Device = open.Split(o.Device)[0]
	return o
}

// CheckDevice opens the devices named and closes them again, so that a long program
// can refuse what it cannot use before it begins.
func (o LoadOptions) CheckDevice() error {
	devices, group, err := open.All(o.Device)
	if err != nil {
		return err
	}
	m := &Model{dev: devices[0]}
	m.addReplicas(devices[1:], group)
	return m.closeDevices()
}

// Validate reports the first option outside its range.
func (o LoadOptions) Validate() error {
	if _, ok := formats[o.Weights]; !ok {
		return &OptionError{"weights", o.Weights, "f32, bf16, int8, int8w or nf4"}
	}
	if o.Embeddings != "bf16" && o.Embeddings != "f32" && o.Embeddings != "int8" {
		return &OptionError{"embeddings", o.Embeddings, "bf16, f32 or int8"}
	}
	if typ, ok := cacheTypes[o.KVCache]; !ok || typ != fullCache && !o.OnCPU() {
		return &OptionError{"kv_cache", o.KVCache, "full, or on the CPU f16 or int8"}
	}
	if o.BlockTokens < 1 {
		return &OptionError{"block_tokens", o.BlockTokens, "at least 1"}
	}
	if o.DeviceMemory < 0 || o.DeviceMemory > 0 && o.OnCPU() {
		return &OptionError{"device_memory", o.DeviceMemory, "at least 0, and on the CPU 0"}
	}
	return nil
}

// Model is a Phi-3 model on a device, with its tokenizer. Its methods may be
// called from several goroutines; they take turns.
type Model struct {
	mu          sync.Mutex
	net         *phi3.Model
	dev         compute.Device
	tok         *tokenizer.Tokenizer
	cfg         *hfconfig.Config
	opts        LoadOptions
	tuning      *phi3.Tuning // attached adapter, nil for none
	use         *attached
	held        int // trainers and backbones that have memory on the device
	env         Env
	fingerprint string     // of the base weights, and of smoothing if there is one
	smoothing   *Smoothing // nil for none

	replicas []*Model      // the same weights on the other devices, for a Trainer
	group    compute.Group // joins the devices, nil for one
	files    io.Closer     // of mapped weights, nil for none
}

// Load reads a model directory in Hugging Face layout.
func Load(ctx context.Context, dir string, opts LoadOptions, env Env) (*Model, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("qlora: model directory: %w", err)
	}
	m, err := LoadFS(ctx, os.DirFS(dir), opts, env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// LoadFS is Load from a file system.
func LoadFS(ctx context.Context, fsys fs.FS, opts LoadOptions, env Env) (*Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	cfg, err := hfconfig.Read(fsys)
	if err != nil {
		return nil, err
	}
	tok, err := openTokenizer(fsys, cfg)
	if err != nil {
		return nil, err
	}
	devices, group, err := open.All(opts.Device)
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		if l, ok := d.(compute.Limiter); ok {
			l.Limit(opts.DeviceMemory)
		}
	}
	m := &Model{dev: devices[0], tok: tok, cfg: cfg, opts: opts, env: env}
	m.addReplicas(devices[1:], group)
	if err := m.loadAll(ctx, fsys); err != nil {
		return nil, fmt.Errorf("%w", joinClose(err, m.Close()))
	}
	return m, nil
}

func joinClose(err, closeErr error) error {
	if closeErr != nil {
		return fmt.Errorf("%w (and closing the device: %v)", err, closeErr)
	}
	return err
}

// openTokenizer allows a directory without a tokenizer, so that bare weights can
// be scored by token ids; text functions then return ErrNoTokenizer.
func openTokenizer(fsys fs.FS, cfg *hfconfig.Config) (*tokenizer.Tokenizer, error) {
	if !exists(fsys, "tokenizer.json") && !exists(fsys, "tokenizer.model") {
		return nil, nil
	}
	tok, err := tokenizer.Open(fsys)
	if err != nil {
		return nil, err
	}
	if tok.VocabSize() > cfg.VocabSize {
		return nil, fmt.Errorf("qlora: tokenizer has %d tokens, the model %d", tok.VocabSize(), cfg.VocabSize)
	}
	return tok, nil
}

func exists(fsys fs.FS, name string) bool {
	_, err := fs.Stat(fsys, name)
	return err == nil
}

func (m *Model) loadWeights(ctx context.Context, fsys fs.FS) error {
	src, err := safetensors.OpenModel(fsys)
	if err != nil {
		return err
	}
	m.files = src
	if m.opts.Mapped && m.opts.OnCPU() {
		if err := m.mapFiles(src); err != nil {
			return err
		}
	} else {
		defer m.closeFiles()
	}
	if m.fingerprint, err = weightsFingerprint(m.cfg, src); err != nil {
		return err
	}
	if err := m.smooth(); err != nil {
		return err
	}
	f := phi3.Formats{Linear: formats[m.opts.Weights], Embed: formats[m.opts.Embeddings]}
	m.net, err = phi3.Load(ctx, m.dev, m.cfg, src, f, m.evened(), func(done, total int) {
		m.env.progress(Progress{Stage: "load", Done: done, Total: total})
	})
	if err != nil {
		return err
	}
	m.net.Fit(min(m.cfg.OriginalMaxPosition, m.cfg.MaxPosition))
	return m.dev.Sync()
}

// mapFiles maps the weights, or says in the log why they will be read.
func (m *Model) mapFiles(src *safetensors.Model) error {
	err := src.Map()
	if errors.Is(err, safetensors.ErrNotMappable) {
		m.env.log().Warn("weights are read, not mapped", "cause", err)
		return nil
	}
	return err
}

func (m *Model) closeFiles() error {
	if m.files == nil {
		return nil
	}
	err := m.files.Close()
	m.files = nil
	return err
}

// Close frees the device memory.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closeDevices()
}

// Tokenizer returns the model's tokenizer, nil when the directory has none.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tok }

// VocabSize returns V.
func (m *Model) VocabSize() int { return m.cfg.VocabSize }

// HiddenSize returns C.
func (m *Model) HiddenSize() int { return m.cfg.HiddenSize }

// Layers returns the number of blocks.
func (m *Model) Layers() int { return m.cfg.Layers }

// MaxTokens returns the longest sequence the model was made for.
func (m *Model) MaxTokens() int { return m.cfg.MaxPosition }

// StopTokens returns the ids that end a generation.
func (m *Model) StopTokens() []int32 { return slices.Clone(m.cfg.EOS) }

// Device returns the names and paths of the devices.
func (m *Model) Device() string {
	name := m.dev.Name()
	for _, r := range m.replicas {
		name += ", " + r.dev.Name()
	}
	return name
}

// WeightBytes returns the memory of the frozen weights on each device, mapped ones
// included.
func (m *Model) WeightBytes() int64 { return m.net.Bytes() }
