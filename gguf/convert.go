package gguf

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/internal/hfconfig"
)

// ConvertOptions says what to make of a model directory.
type ConvertOptions struct {
	// Recipe is the mix of types; default Q5_K_M.
	Recipe Recipe `json:"recipe" yaml:"recipe"`
	// Policy picks each tensor's type; default llama.cpp-2026.
	Policy Policy `json:"policy" yaml:"policy"`
	// Name becomes general.name. llama.cpp looks for "phi-3" or "phi3" in it to set the
	// strip rules of special tokens, so a name without gets " (phi-3)" behind it;
	// default "Phi-3".
	Name string `json:"name" yaml:"name"`
	// Licence becomes general.license, an SPDX name; default none.
	Licence string `json:"licence" yaml:"licence"`
	// Source becomes general.source.url; default none.
	Source string `json:"source" yaml:"source"`
	// Imatrix holds an importance for each column of tensors by GGUF name; tensors
	// without are quantized plainly. See ReadImatrix. Default none.
	Imatrix map[string][]float32 `json:"-" yaml:"-"`
	// Writer is how the file is laid out and how much memory and how many processors
	// may be used.
	Writer WriterOptions `json:"writer" yaml:"writer"`
}

// DefaultConvertOptions returns the defaults named in ConvertOptions.
func DefaultConvertOptions() ConvertOptions {
	return ConvertOptions{Recipe: "Q5_K_M", Policy: Policy2026, Name: "Phi-3", Writer: DefaultWriterOptions()}
}

// Validate checks recipe, policy and writer options.
func (o ConvertOptions) Validate() error {
	for _, err := range []error{o.Recipe.Validate(), o.Policy.Validate(), o.Writer.Validate()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Env is what conversion is told beside data. The zero value is silent.
type Env struct {
	// Progress is told bytes of tensors written so far and in all; calls do not
	// overlap.
	Progress func(done, total int64)
}

// Report says what a conversion made.
type Report struct {
	Recipe      Recipe           `json:"recipe"`
	Policy      Policy           `json:"policy"`
	Name        string           `json:"name"`
	Parameters  int64            `json:"parameters"` // weights written
	Bytes       int64            `json:"bytes"`      // of the tensors, without padding
	BytesByType map[string]int64 `json:"bytes_by_type"`
	Fallbacks   int              `json:"fallbacks"`      // tensors whose row length forced another type
	Tensors     []TensorReport   `json:"tensors"`        // in file order
	Left        []string         `json:"left,omitempty"` // tensors of the directory that were not written
}

// TensorReport is one tensor of a Report.
type TensorReport struct {
	Name     string `json:"name"`
	From     string `json:"from,omitempty"` // the name in the model directory
	Type     string `json:"type"`
	Shape    []int  `json:"shape"`
	Bytes    int64  `json:"bytes"`
	Fallback bool   `json:"fallback,omitempty"`
	Weighted bool   `json:"weighted,omitempty"` // an importance matrix was used
}

// ConvertHF converts a Phi-3 model directory in Hugging Face layout (config.json,
// tokenizer files, one or more safetensors) to a GGUF file in one pass. Metadata
// is what llama.cpp's conversion/phi.py writes. After an error what dst holds is
// worthless; ConvertHFFile keeps it from a final name.
func ConvertHF(ctx context.Context, src fs.FS, dst io.WriterAt, opts ConvertOptions, env Env) (Report, error) {
	if err := opts.Validate(); err != nil {
		return Report{}, err
	}
	cfg, err := hfconfig.Read(src)
	if err != nil {
		return Report{}, inputError(err)
	}
	model, err := safetensors.OpenModel(src)
	if err != nil {
		return Report{}, inputError(err)
	}
	defer model.Close()
	w, err := NewWriter(dst, opts.Writer)
	if err != nil {
		return Report{}, err
	}
	w.Progress = env.Progress
	c := &conversion{cfg: cfg, model: model, opts: opts, w: w,
		report: Report{Recipe: opts.Recipe, Policy: opts.Policy, Name: modelName(opts.Name), BytesByType: map[string]int64{}}}
	if err := c.run(ctx, src); err != nil {
		return Report{}, err
	}
	return c.report, nil
}

// ConvertHFFile converts the directory at dir into the file at path, which appears
// only when it is whole.
func ConvertHFFile(ctx context.Context, dir, path string, opts ConvertOptions, env Env) (Report, error) {
	var report Report
	err := atomicfile.WriteFile(path, 0o644, func(w io.Writer) (err error) {
		at, ok := w.(io.WriterAt)
		if !ok {
			return fmt.Errorf("gguf: %w: %s can not be written at offsets", ErrUnsupported, path)
		}
		if report, err = ConvertHF(ctx, os.DirFS(dir), at, opts, env); err != nil {
			return fmt.Errorf("convert %s: %w", dir, err)
		}
		return nil
	})
	return report, err
}

type conversion struct {
	cfg    *hfconfig.Config
	model  *safetensors.Model
	opts   ConvertOptions
	w      *Writer
	report Report
}

// A planned tensor is what one name of the directory becomes.
type planned struct {
	name, from string
	shape      []int
	values     []float32 // for tensors that are in no file
}

func (c *conversion) run(ctx context.Context, src fs.FS) error {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	slices.SortFunc(plan, func(a, b planned) int { return compareNames(a.name, b.name) })
	for _, p := range plan {
		if err := c.add(p); err != nil {
			return err
		}
	}
	c.setModel()
	if err := setTokenizer(&c.w.Metadata, src, c.cfg); err != nil {
		return err
	}
	return c.w.Close(ctx)
}

// add announces one tensor and reports it.
func (c *conversion) add(p planned) error {
	mix := Mix{Recipe: c.opts.Recipe, Policy: c.opts.Policy, Layers: c.cfg.Layers, Tied: c.cfg.TieWordEmbeddings, Weighted: len(c.opts.Imatrix) > 0}
	typ, fallback := mix.Type(p.name, p.shape)
	source := Values(p.values)
	if p.values == nil {
		source = c.source(p.from)
	}
	if typ != F32 {
		source.Imatrix = c.opts.Imatrix[p.name]
	}
	info := TensorInfo{Name: p.name, Type: typ, Shape: p.shape}
	if err := c.w.AddTensor(info, source); err != nil {
		return err
	}
	size, err := typ.Bytes(info.Elements())
	if err != nil {
		return err
	}
	c.report.add(TensorReport{p.name, p.from, typ.String(), p.shape, 0, fallback, source.Imatrix != nil}, size)
	return nil
}

func (r *Report) add(t TensorReport, size int64) {
	t.Bytes = size
	r.Tensors = append(r.Tensors, t)
	r.Parameters += TensorInfo{Shape: t.Shape}.Elements()
	r.Bytes += size
	r.BytesByType[t.Type] += size
	if t.Fallback {
		r.Fallbacks++
	}
}

func (c *conversion) source(name string) Source {
	if info, ok := c.model.Info(name); ok && info.DType == "BF16" {
		if section, err := c.model.Section(name); err == nil {
			return bfloat16s(section)
		}
	}
	return Source{Float32: func(first int, dst []float32) error {
		if err := c.model.ReadFloat32(name, first, dst); err != nil {
			return inputError(err)
		}
		return nil
	}}
}

// setModel writes the keys that llama.cpp's Phi3MiniModel.set_gguf_parameters does.
func (c *conversion) setModel() {
	m, cfg := &c.w.Metadata, c.cfg
	m.SetString("general.architecture", "phi3")
	m.SetString("general.type", "model")
	m.SetString("general.name", c.report.Name)
	m.SetString("general.size_label", sizeLabel(c.report.Parameters))
	m.setText("general.license", c.opts.Licence)
	m.setText("general.source.url", c.opts.Source)
	set := func(key string, v int) { m.SetUint32("phi3."+key, uint32(v)) }
	set("context_length", cfg.MaxPosition)
	set("rope.scaling.original_context_length", cfg.OriginalMaxPosition)
	set("embedding_length", cfg.HiddenSize)
	set("feed_forward_length", cfg.IntermediateSize)
	set("block_count", cfg.Layers)
	set("attention.head_count", cfg.Heads)
	set("attention.head_count_kv", cfg.KVHeads)
	m.SetFloat32("phi3.attention.layer_norm_rms_epsilon", float32(cfg.RMSNormEps))
	set("rope.dimension_count", cfg.HeadDim)
	m.SetFloat32("phi3.rope.freq_base", float32(cfg.RopeTheta))
	m.SetUint32("general.file_type", c.opts.Recipe.FileType())
	set("attention.sliding_window", cfg.SlidingWindow)
	if cfg.Rope.Type != "" {
		m.SetFloat32("phi3.rope.scaling.attn_factor", float32(cfg.Rope.AttentionFactor))
	}
	m.SetUint32("general.quantization_version", 2)
}

// sizeLabel rounds as gguf-py's model_weight_count_rounded_notation: two digits at
// least.
func sizeLabel(n int64) string {
	v, suffix := float64(n)/1e3, "K"
	for _, s := range []struct {
		from   float64
		suffix string
	}{{1e6, "M"}, {1e9, "B"}, {1e12, "T"}} {
		if float64(n) > s.from {
			v, suffix = float64(n)/s.from, s.suffix
		}
	}
	digits := 0
	if math.RoundToEven(v) < 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f%s", digits, v, suffix)
}
