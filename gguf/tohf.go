package gguf

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
)

// ToHFOptions says how to write a model directory.
type ToHFOptions struct {
	// DType of the weights: "F32" keeps what the GGUF file decodes to (default), "BF16"
	// rounds it to nearest even.
	DType safetensors.DType `json:"dtype" yaml:"dtype"`
}

// DefaultToHFOptions returns F32.
func DefaultToHFOptions() ToHFOptions { return ToHFOptions{DType: "F32"} }

// Validate checks the type.
func (o ToHFOptions) Validate() error {
	if o.DType != "F32" && o.DType != "BF16" {
		return fmt.Errorf("gguf: %w: dtype %q, want F32 or BF16", ErrOption, o.DType)
	}
	return nil
}

// sideFiles are what a model directory holds beside weights and configuration.
var sideFiles = []string{"generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
	"added_tokens.json", "special_tokens_map.json", "chat_template.jinja"}

// ToHF writes the weights of a Phi-3 GGUF file, decoded, as a safetensors file
// with the names and shapes of the Hugging Face layout.
func ToHF(ctx context.Context, r *Reader, dst io.Writer, opts ToHFOptions, env Env) (Report, error) {
	if err := opts.Validate(); err != nil {
		return Report{}, err
	}
	if arch, err := Lookup[string](&r.Metadata, "general.architecture"); err != nil || arch != "phi3" {
		return Report{}, fmt.Errorf("gguf: %w: architecture %q, only phi3 becomes a model directory", ErrUnsupported, arch)
	}
	b := &backward{opts: opts, env: env, report: Report{BytesByType: map[string]int64{}}}
	b.report.Name, _ = Lookup[string](&r.Metadata, "general.name") // optional
	tensors, err := b.plan(ctx, r)
	if err != nil {
		return Report{}, err
	}
	w := bufio.NewWriterSize(dst, 1<<20)
	if err := safetensors.Write(w, tensors, map[string]string{"format": "pt"}); err != nil {
		return Report{}, fmt.Errorf("gguf: %w", err)
	}
	return b.report, w.Flush()
}

// backward is the state of one ToHF.
type backward struct {
	opts        ToHFOptions
	env         Env
	report      Report
	done, total int64
}

// plan names the tensors; the rope factors belong to the configuration.
func (b *backward) plan(ctx context.Context, r *Reader) ([]safetensors.Tensor, error) {
	var out []safetensors.Tensor
	for name, t := range r.Tensors() {
		if name == ropeLong || name == ropeShort {
			b.report.Left = append(b.report.Left, name)
			continue
		}
		hf, ok := ggufToHF(name)
		if !ok {
			return nil, &TensorError{name, fmt.Errorf("%w: Phi-3 has no such tensor", ErrUnsupported)}
		}
		if !t.Type.Encodable() {
			return nil, &TensorError{name, fmt.Errorf("%w: decoding %v", ErrUnsupported, t.Type)}
		}
		size := t.Elements() * int64(b.opts.DType.Size())
		b.total += size
		b.report.Bytes += size
		b.report.Parameters += t.Elements()
		b.report.BytesByType[string(b.opts.DType)] += size
		b.report.Tensors = append(b.report.Tensors, TensorReport{Name: hf, From: name, Type: string(b.opts.DType), Shape: t.Shape, Bytes: size})
		out = append(out, safetensors.Tensor{
			Info: safetensors.Info{Name: hf, DType: b.opts.DType, Shape: t.Shape},
			Data: func(w io.Writer) error { return b.stream(ctx, t, w) },
		})
	}
	return out, nil
}

func (b *backward) stream(ctx context.Context, t *Tensor, w io.Writer) error {
	weights := make([]float32, min(t.Elements(), decodeChunk))
	encode := encodeF32
	if b.opts.DType == "BF16" {
		encode = encodeBF16
	}
	out := make([]byte, len(weights)*b.opts.DType.Size())
	for at := 0; int64(at) < t.Elements(); at += len(weights) {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := weights[:min(int64(len(weights)), t.Elements()-int64(at))]
		if err := t.ReadFloat32(at, part); err != nil {
			return err
		}
		bytes := out[:len(part)*b.opts.DType.Size()]
		encode(bytes, part, nil)
		if _, err := w.Write(bytes); err != nil {
			return err
		}
		b.done += int64(len(bytes))
		if b.env.Progress != nil {
			b.env.Progress(b.done, b.total)
		}
	}
	return nil
}

// ToHFDir writes a model directory from the GGUF file at path: model.safetensors
// and config.json, and from source, the directory that the file was made of, a
// copy of its tokenizer and generation files. Without source (nil) config.json is
// made from the metadata and the tokenizer files are missing. Each file appears
// whole; dir is made if need be.
func ToHFDir(ctx context.Context, path, dir string, source fs.FS, opts ToHFOptions, env Env) (Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Report{}, err
	}
	r, err := NewReader(f, info.Size(), DefaultReaderOptions())
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Report{}, err
	}
	if err := writeSideFiles(r, dir, source, opts); err != nil {
		return Report{}, err
	}
	var report Report
	err = atomicfile.WriteFile(filepath.Join(dir, safetensors.SingleFile), 0o644, func(w io.Writer) (err error) {
		report, err = ToHF(ctx, r, w, opts, env)
		return err
	})
	return report, err
}

func writeSideFiles(r *Reader, dir string, source fs.FS, opts ToHFOptions) error {
	config, err := hfConfig(r, source, opts)
	if err != nil {
		return err
	}
	if err := writeWhole(dir, "config.json", config); err != nil || source == nil {
		return err
	}
	for _, name := range sideFiles {
		b, err := fs.ReadFile(source, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = writeWhole(dir, name, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeWhole(dir, name string, b []byte) error {
	return atomicfile.WriteFile(filepath.Join(dir, name), 0o644, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// hfConfig returns config.json: the source's with the weights' type, or one made
// from the metadata.
func hfConfig(r *Reader, source fs.FS, opts ToHFOptions) ([]byte, error) {
	fields := map[string]any{}
	if source != nil {
		raw, err := fs.ReadFile(source, "config.json")
		if err != nil {
			return nil, fmt.Errorf("gguf: %w", err)
		}
		kept := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw, &kept); err != nil {
			return nil, fmt.Errorf("gguf: config.json: %w", err)
		}
		for key, v := range kept {
			fields[key] = v
		}
	} else if err := configFields(r, fields); err != nil {
		return nil, err
	}
	fields["torch_dtype"] = map[safetensors.DType]string{"F32": "float32", "BF16": "bfloat16"}[opts.DType]
	b, err := json.MarshalIndent(fields, "", "  ")
	return append(b, '\n'), err
}

// configFields fills config.json's fields from the keys that ConvertHF writes.
func configFields(r *Reader, f map[string]any) error {
	_, untied := r.Tensor("output.weight")
	embedding, ok := r.Tensor("token_embd.weight")
	if !ok || len(embedding.Shape) != 2 {
		return &TensorError{"token_embd.weight", ErrNotFound}
	}
	maps.Copy(f, map[string]any{"architectures": []string{"Phi3ForCausalLM"}, "model_type": "phi3", "hidden_act": "silu",
		"tie_word_embeddings": !untied, "vocab_size": embedding.Shape[0]})
	integers := map[string]string{
		"phi3.context_length": "max_position_embeddings", "phi3.rope.scaling.original_context_length": "original_max_position_embeddings",
		"phi3.embedding_length": "hidden_size", "phi3.feed_forward_length": "intermediate_size", "phi3.block_count": "num_hidden_layers",
		"phi3.attention.head_count": "num_attention_heads", "phi3.attention.head_count_kv": "num_key_value_heads",
		"phi3.attention.sliding_window": "sliding_window",
		"tokenizer.ggml.bos_token_id":   "bos_token_id", "tokenizer.ggml.eos_token_id": "eos_token_id", "tokenizer.ggml.padding_token_id": "pad_token_id"}
	for _, key := range slices.Sorted(maps.Keys(integers)) {
		n, err := r.LookupInteger(key)
		if errors.Is(err, ErrNotFound) && optionalKey(key) {
			continue
		}
		if err != nil {
			return err
		}
		f[integers[key]] = n
	}
	if f["sliding_window"] == 0 {
		f["sliding_window"] = nil
	}
	for key, name := range map[string]string{"phi3.attention.layer_norm_rms_epsilon": "rms_norm_eps", "phi3.rope.freq_base": "rope_theta"} {
		v, err := Lookup[float32](&r.Metadata, key)
		if errors.Is(err, ErrNotFound) && name == "rope_theta" {
			v, err = 10000, nil
		}
		if err != nil {
			return err
		}
		f[name] = v
	}
	return ropeFields(r, f)
}

func optionalKey(key string) bool {
	return strings.HasPrefix(key, "tokenizer.") || strings.HasSuffix(key, "sliding_window") || strings.HasSuffix(key, "head_count_kv") || strings.HasSuffix(key, "original_context_length")
}

func ropeFields(r *Reader, f map[string]any) error {
	scaling := map[string]any{"type": "longrope"}
	for name, key := range map[string]string{ropeLong: "long_factor", ropeShort: "short_factor"} {
		t, ok := r.Tensor(name)
		if !ok {
			return nil
		}
		v, err := t.Float32()
		if err != nil {
			return err
		}
		scaling[key] = v
	}
	f["rope_scaling"] = scaling
	return nil
}
