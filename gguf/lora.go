package gguf

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
)

// LoRAOptions says what to make of an adapter directory.
type LoRAOptions struct {
	// Type of the factors: F32 (default), F16, BF16 or Q8_0. Rows that Q8_0's block
	// does not divide become F16.
	Type Type `json:"type" yaml:"type"`
	// Name becomes general.name; default none.
	Name string `json:"name" yaml:"name"`
	// Licence becomes general.license, an SPDX name; default none.
	Licence string `json:"licence" yaml:"licence"`
	// Writer is how the file is laid out.
	Writer WriterOptions `json:"writer" yaml:"writer"`
}

// loraFileTypes gives general.file_type of the types that factors may have.
var loraFileTypes = map[Type]Recipe{F32: "F32", F16: "F16", BF16: "BF16", Q8_0: "Q8_0"}

// DefaultLoRAOptions returns the defaults named in LoRAOptions.
func DefaultLoRAOptions() LoRAOptions {
	return LoRAOptions{Type: F32, Writer: DefaultWriterOptions()}
}

// Validate checks type and writer options.
func (o LoRAOptions) Validate() error {
	if _, ok := loraFileTypes[o.Type]; !ok {
		return fmt.Errorf("gguf: %w: adapters of type %v, want F32, F16, BF16 or Q8_0", ErrOption, o.Type)
	}
	return o.Writer.Validate()
}

// ConvertLoRA converts a PEFT LoRA directory for Phi-3 (adapter_config.json,
// adapter_model.safetensors) to a GGUF adapter, which llama.cpp applies to a model
// converted from the same base (--lora). Metadata and names are those of
// convert_lora_to_gguf.py, except that rank-stabilised scaling (use_rslora) and
// alpha_pattern, which that script passes over, are kept: llama.cpp scales a pair
// of rank r by adapter.lora.alpha/r, so alpha takes what all pairs have in common
// and lora_b the rest. What the format can not say is refused: DoRA, biases,
// embeddings, unfused projections. After an error what dst holds is worthless.
func ConvertLoRA(ctx context.Context, src fs.FS, dst io.WriterAt, opts LoRAOptions, env Env) (Report, error) {
	if err := opts.Validate(); err != nil {
		return Report{}, err
	}
	config, err := readPEFT(src)
	if err != nil {
		return Report{}, err
	}
	f, err := src.Open(peftWeights)
	if err != nil {
		return Report{}, fmt.Errorf("gguf: %w", err)
	}
	defer f.Close()
	r, err := openSafetensors(f)
	if err != nil {
		return Report{}, inputError(fmt.Errorf("%s: %w", peftWeights, err))
	}
	w, err := NewWriter(dst, opts.Writer)
	if err != nil {
		return Report{}, err
	}
	w.Progress = env.Progress
	c := &loraConversion{config: config, r: r, opts: opts, w: w, report: Report{Recipe: loraFileTypes[opts.Type], Name: opts.Name, BytesByType: map[string]int64{}}}
	if err := c.run(ctx); err != nil {
		return Report{}, err
	}
	return c.report, nil
}

// ConvertLoRAFile converts the adapter directory at dir into the file at path,
// which appears only when it is whole.
func ConvertLoRAFile(ctx context.Context, dir, path string, opts LoRAOptions, env Env) (Report, error) {
	var report Report
	err := atomicfile.WriteFile(path, 0o644, func(w io.Writer) (err error) {
		at, ok := w.(io.WriterAt)
		if !ok {
			return fmt.Errorf("gguf: %w: %s can not be written at offsets", ErrUnsupported, path)
		}
		if report, err = ConvertLoRA(ctx, os.DirFS(dir), at, opts, env); err != nil {
			return fmt.Errorf("convert %s: %w", dir, err)
		}
		return nil
	})
	return report, err
}

func openSafetensors(f fs.File) (*safetensors.Reader, error) {
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("%w: the file can not be read at offsets", ErrUnsupported)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return safetensors.NewReader(at, info.Size(), safetensors.DefaultLimits())
}

type loraConversion struct {
	config peftConfig
	r      *safetensors.Reader
	opts   LoRAOptions
	w      *Writer
	report Report
}

// A loraPair is the two factors of one linear.
type loraPair struct {
	linear string // as in the model directory
	a, b   safetensors.Info
}

func (c *loraConversion) run(ctx context.Context) error {
	pairs, err := c.pairs()
	if err != nil {
		return err
	}
	m := &c.w.Metadata
	m.SetString("general.architecture", "phi3")
	m.SetString("general.type", "adapter")
	m.SetString("adapter.type", "lora")
	m.setText("general.name", c.opts.Name)
	m.setText("general.license", c.opts.Licence)
	if c.config.Base != "" {
		m.SetUint32("general.base_model.count", 1)
		m.SetString("general.base_model.0.name", c.config.Base)
	}
	m.SetUint32("general.file_type", loraFileTypes[c.opts.Type].FileType())
	m.SetFloat32("adapter.lora.alpha", float32(c.config.common()))
	m.SetUint32("general.quantization_version", 2)
	for _, name := range slices.SortedFunc(maps.Keys(pairs), compareNames) {
		if err := c.add(name, pairs[name]); err != nil {
			return err
		}
	}
	return c.w.Close(ctx)
}

// pairs collects the factors by GGUF name.
func (c *loraConversion) pairs() (map[string]loraPair, error) {
	out := map[string]loraPair{}
	for _, info := range c.r.Tensors() {
		linear, factor, err := splitPEFTName(info.Name)
		if err != nil {
			return nil, &TensorError{info.Name, err}
		}
		name, ok := hfToGGUF(linear + ".weight")
		if !ok || name == "token_embd.weight" || strings.Contains(name, "norm") {
			return nil, &TensorError{info.Name, fmt.Errorf("%w: Phi-3 has no such linear in a GGUF file, where qkv_proj and gate_up_proj are fused", ErrUnsupported)}
		}
		p := out[name]
		p.linear = linear
		if factor == "A" {
			p.a = info
		} else {
			p.b = info
		}
		out[name] = p
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("gguf: %s: %w: no factors", peftWeights, ErrNotFound)
	}
	for _, p := range out {
		if err := p.check(); err != nil {
			return nil, &TensorError{p.linear, err}
		}
	}
	return out, nil
}

func (p loraPair) check() error {
	switch {
	case p.a.Name == "":
		return fmt.Errorf("%w: lora_A is missing", ErrNotFound)
	case p.b.Name == "":
		return fmt.Errorf("%w: lora_B is missing", ErrNotFound)
	case len(p.a.Shape) != 2 || len(p.b.Shape) != 2 || p.a.Shape[0] != p.b.Shape[1] || p.a.Shape[0] == 0:
		return fmt.Errorf("%w: lora_A is %v, lora_B %v", ErrFormat, p.a.Shape, p.b.Shape)
	}
	return nil
}

// add announces both factors.
func (c *loraConversion) add(name string, p loraPair) error {
	if err := c.factor(name+".lora_a", p.a, 1); err != nil {
		return err
	}
	return c.factor(name+".lora_b", p.b, c.config.alpha(p.linear, p.a.Shape[0])/c.config.common())
}

func (c *loraConversion) factor(name string, info safetensors.Info, scale float64) error {
	typ, fallback := fitRow(c.opts.Type, info.Shape[1])
	if err := c.w.AddTensor(TensorInfo{Name: name, Type: typ, Shape: info.Shape}, c.source(info.Name, scale)); err != nil {
		return err
	}
	c.report.add(TensorReport{Name: name, From: info.Name, Type: typ.String(), Shape: info.Shape, Fallback: fallback}, c.w.tensors[len(c.w.tensors)-1].Size)
	return nil
}

func (c *loraConversion) source(name string, scale float64) Source {
	return Source{Float32: func(first int, dst []float32) error {
		if err := c.r.ReadFloat32(name, first, dst); err != nil {
			return inputError(err)
		}
		if scale == 1 {
			return nil
		}
		for i, v := range dst {
			dst[i] = float32(float64(v) * scale)
		}
		return nil
	}}
}
