package phi3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// Model is the frozen weights on one device, and the rotary table.
type Model struct {
	Dev    compute.Device
	Config *hfconfig.Config
	Embed  compute.Weight // [V, C]
	Head   compute.Weight // [V, C]; Embed itself when tied
	norm   compute.Buffer // final norm, F32 [C]
	layers []layer
	rope   ropeTable
	format compute.Format
	turn   compute.Buffer // Hadamard matrices before down_proj, nil for none
}

type layer struct {
	inNorm, postNorm     compute.Buffer // F32 [C]
	qkv, o, gateUp, down compute.Weight
}

// Formats says how weights are stored: the four linears of each layer, and
// embedding and head.
type Formats struct{ Linear, Embed compute.Format }

// ShapeError reports a tensor whose shape does not follow from config.json.
type ShapeError struct {
	Tensor    string
	Got, Want []int
}

// Error implements error.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("tensor %s has shape %v, config.json asks for %v; take weights and config.json from one model", e.Tensor, e.Got, e.Want)
}

// MissingError reports a tensor that the model directory lacks.
type MissingError struct{ Tensor string }

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("tensor %s, which config.json asks for, is missing from the model directory; take weights and config.json from one model", e.Tensor)
}

// ValueError reports a weight that is not finite.
type ValueError struct {
	Tensor string
	Index  int // element index in row-major order
	Value  float32
}

// Error implements error.
func (e *ValueError) Error() string {
	return fmt.Sprintf("tensor %s holds %v at element %d; the file is damaged or its training diverged", e.Tensor, e.Value, e.Index)
}

// ExtraError reports tensors that config.json has no place for.
type ExtraError struct{ Tensors []string }

// Error implements error.
func (e *ExtraError) Error() string {
	return fmt.Sprintf("the model directory holds %d tensors that config.json has no place for, the first is %s; take weights and config.json from one model", len(e.Tensors), e.Tensors[0])
}

// extra lists the tensors that were not asked for. A head beside tied embeddings
// and tables of rotary frequencies, which old files hold, are known and unused.
func (l *loader) extra(tied bool) error {
	var names []string
	for _, info := range l.src.Tensors() {
		known := l.used[info.Name] || tied && info.Name == "lm_head.weight" || strings.HasSuffix(info.Name, ".rotary_emb.inv_freq")
		if !known {
			names = append(names, info.Name)
		}
	}
	if names == nil {
		return nil
	}
	return &ExtraError{names}
}

// Load reads every tensor of the model onto the device, smoothed unless s is nil.
// progress, which may be nil, is called with tensors done and in all.
func Load(ctx context.Context, dev compute.Device, cfg *hfconfig.Config, src *safetensors.Model, f Formats, s *Smoothing, progress func(done, total int)) (*Model, error) {
	l := newLoader(ctx, dev, cfg, src, s)
	l.total, l.progress = 3+6*cfg.Layers, progress
	m := l.model(cfg, f)
	if l.err == nil {
		l.err = l.extra(cfg.TieWordEmbeddings)
	}
	if l.err == nil {
		l.err = dev.Sync()
	}
	return m, l.err
}

// Outline allocates what Load does and fills nothing: for devices that count. src
// may be nil where nothing is mapped.
func Outline(dev compute.Device, cfg *hfconfig.Config, src *safetensors.Model, f Formats, s *Smoothing) *Model {
	l := newLoader(context.Background(), dev, cfg, src, s)
	l.outline = true
	return l.model(cfg, f)
}

// model lists the tensors in their order in memory.
func (l *loader) model(cfg *hfconfig.Config, f Formats) *Model {
	m := &Model{Dev: l.dev, Config: cfg, format: f.Linear, turn: l.hadamard(cfg)}
	m.Embed = l.table("model.embed_tokens.weight", f.Embed, cfg.VocabSize, cfg.HiddenSize, cfg.TieWordEmbeddings)
	for i := range cfg.Layers {
		m.layers = append(m.layers, l.layer(cfg, f.Linear, i))
	}
	m.norm = l.vector("model.norm.weight", cfg.HiddenSize)
	m.Head = m.Embed
	if !cfg.TieWordEmbeddings {
		m.Head = l.matrix("lm_head.weight", f.Embed, cfg.VocabSize, cfg.HiddenSize)
	}
	return m
}

// loader keeps the first error, so that loading reads as a list of tensors.
type loader struct {
	ctx         context.Context
	dev         compute.Device
	src         *safetensors.Model
	done, total int
	progress    func(done, total int)
	outline     bool // nothing is read
	used        map[string]bool
	smooth      map[string]factors
	turned      bool
	raw         sync.Pool // *[]byte of a few rows: garbage of the file's size would double the heap
	err         error
}

func newLoader(ctx context.Context, dev compute.Device, cfg *hfconfig.Config, src *safetensors.Model, s *Smoothing) *loader {
	return &loader{ctx: ctx, dev: dev, src: src, used: map[string]bool{}, smooth: s.factors(cfg.IntermediateSize), turned: s != nil && s.Hadamard}
}

func (l *loader) layer(cfg *hfconfig.Config, f compute.Format, i int) layer {
	p := fmt.Sprintf("model.layers.%d.", i)
	c, h := cfg.HiddenSize, headsOf(cfg)
	return layer{
		inNorm:   l.vector(p+"input_layernorm.weight", c),
		qkv:      l.matrix(p+"self_attn.qkv_proj.weight", f, h.QKV(), c),
		o:        l.matrix(p+"self_attn.o_proj.weight", f, c, h.H*h.D),
		postNorm: l.vector(p+"post_attention_layernorm.weight", c),
		gateUp:   l.matrix(p+"mlp.gate_up_proj.weight", f, 2*cfg.IntermediateSize, c),
		down:     l.matrix(p+"mlp.down_proj.weight", f, c, cfg.IntermediateSize),
	}
}

func headsOf(cfg *hfconfig.Config) compute.Heads {
	return compute.Heads{H: cfg.Heads, K: cfg.KVHeads, D: cfg.HeadDim}
}

// check finds the tensor and compares its shape; false after any error.
func (l *loader) check(name string, want ...int) bool {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err != nil {
		return false
	}
	if l.outline {
		return true
	}
	l.used[name] = true
	info, ok := l.src.Info(name)
	if !ok {
		l.err = &MissingError{Tensor: name}
		return false
	}
	if !slices.Equal(info.Shape, want) {
		l.err = &ShapeError{Tensor: name, Got: info.Shape, Want: want}
	}
	return l.err == nil
}

func (l *loader) tick() {
	l.done++
	if l.progress != nil {
		l.progress(l.done, l.total)
	}
}

func (l *loader) vector(name string, n int) compute.Buffer {
	if !l.check(name, n) {
		return nil
	}
	b := l.dev.Alloc(compute.F32, n)
	if l.outline {
		return b
	}
	v := make([]float32, n)
	if l.err = l.read(name, 0, v); l.err != nil {
		return nil
	}
	l.dev.Upload(b, v)
	l.tick()
	return b
}

func (l *loader) matrix(name string, f compute.Format, rows, cols int) compute.Weight {
	return l.store(l.dev.Weight, name, f, rows, cols)
}

// table stores the embedding: in host memory where the device can and no head
// shares it.
func (l *loader) table(name string, f compute.Format, rows, cols int, tied bool) compute.Weight {
	if t, ok := l.dev.(compute.Tabler); ok && !tied {
		return l.store(t.Table, name, f, rows, cols)
	}
	return l.matrix(name, f, rows, cols)
}

type storing func(f compute.Format, rows, cols int, src compute.RowSource) (compute.Weight, error)

func (l *loader) store(how storing, name string, f compute.Format, rows, cols int) compute.Weight {
	if !l.check(name, rows, cols) {
		return nil
	}
	w, err := l.mapped(name, f, rows, cols)
	if errors.Is(err, compute.ErrUnsupported) {
		w, err = how(f, rows, cols, l.rows(name, cols))
	}
	if err != nil {
		l.err = fmt.Errorf("load %s: %w", name, err)
		return nil
	}
	l.tick()
	return w
}

// mapped returns a matrix as it lies in its file. It is not looked through for
// numbers that are not finite: that would read it all.
func (l *loader) mapped(name string, f compute.Format, rows, cols int) (compute.Weight, error) {
	d, can := l.dev.(compute.Mapper)
	if _, smoothed := l.smooth[name]; !can || smoothed || l.src == nil {
		return nil, compute.ErrUnsupported
	}
	info, _ := l.src.Info(name)
	raw, alike := l.src.Mapped(name), info.DType == "F32" && f == compute.FormatF32 || info.DType == "BF16" && f == compute.FormatBF16
	if raw == nil || !alike {
		return nil, compute.ErrUnsupported
	}
	return d.MappedWeight(f, rows, cols, raw)
}

// rows reads a matrix.
func (l *loader) rows(name string, cols int) compute.RowSource {
	return func(first int, dst []float32) error { return l.read(name, first*cols, dst) }
}

// read fetches elements from first on, smooths them and refuses any that is not
// finite.
func (l *loader) read(name string, first int, dst []float32) error {
	if err := l.fetch(name, first, dst); err != nil {
		return err
	}
	f, smoothed := l.smooth[name]
	if smoothed {
		f.apply(first, dst)
	} else if info, _ := l.src.Info(name); info.DType == "BF16" {
		return nil // checked as it was read
	}
	return notFinite(name, first, dst, safetensors.FirstNotFinite(dst))
}

// notFinite is the error for element i of v, if i is one.
func notFinite(name string, first int, v []float32, i int) error {
	if i < 0 {
		return nil
	}
	return &ValueError{Tensor: name, Index: first + i, Value: v[i]}
}

// fetch is ReadFloat32 of the source with memory of its own for bfloat16. Devices
// call it from several goroutines.
func (l *loader) fetch(name string, first int, dst []float32) error {
	info, _ := l.src.Info(name)
	if info.DType != "BF16" {
		return l.src.ReadFloat32(name, first, dst)
	}
	sec, err := l.src.Section(name)
	if err != nil {
		return err
	}
	buf, _ := l.raw.Get().(*[]byte)
	if buf == nil || len(*buf) < 2*len(dst) {
		fresh := make([]byte, 2*len(dst))
		buf = &fresh
	}
	defer l.raw.Put(buf)
	raw := (*buf)[:2*len(dst)]
	if n, err := sec.ReadAt(raw, 2*int64(first)); n < len(raw) {
		return fmt.Errorf("%s: tensor %s at byte %d: %w", l.src.Shard(name), name, 2*first+n, err)
	}
	safetensors.WidenBF16(dst, raw)
	return notFinite(name, first, dst, safetensors.FirstNotFiniteBF16(raw))
}

// Heads returns the attention shape.
func (m *Model) Heads() compute.Heads { return headsOf(m.Config) }

// Layers returns the number of blocks.
func (m *Model) Layers() int { return len(m.layers) }

// Bytes returns the device memory of all weights.
func (m *Model) Bytes() int64 {
	n := m.Embed.Bytes()
	if m.Head != m.Embed {
		n += m.Head.Bytes()
	}
	for _, l := range m.layers {
		n += l.qkv.Bytes() + l.o.Bytes() + l.gateUp.Bytes() + l.down.Bytes()
	}
	return n
}
