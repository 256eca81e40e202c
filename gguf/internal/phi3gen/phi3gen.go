// Package phi3gen writes Phi-3 model directories of any shape with random weights,
// for tests of conversion: rows that 256 divides, untied heads, many layers.
//
// What it does not do: the models say nothing; it trains none.
package phi3gen

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// Shape is the configuration of a model.
type Shape struct {
	Hidden, Heads, KVHeads, Layers, MLP, Vocab int
	Tied                                       bool
	EOS                                        int // end of text, and padding
	Seed                                       uint64
}

// Default is a model whose rows 256 divides: hidden 768, 8 heads of 96, 4 layers,
// untied, with Phi-3.5's vocabulary.
func Default() Shape {
	return Shape{Hidden: 768, Heads: 8, KVHeads: 8, Layers: 4, MLP: 2048, Vocab: 32064, EOS: 32000, Seed: 1}
}

// tokenizerFiles are copied as they are where they exist.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json",
	"special_tokens_map.json", "chat_template.jinja", "generation_config.json"}

// Write makes the directory: config.json with longrope, bf16 weights in
// model.safetensors, and the tokenizer files of another model. Equal shapes give
// equal bytes.
func Write(dir string, s Shape, tokenizer fs.FS) error {
	for _, name := range tokenizerFiles {
		b, err := fs.ReadFile(tokenizer, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			return err
		}
	}
	config, err := json.MarshalIndent(s.config(), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		return err
	}
	return s.writeWeights(filepath.Join(dir, safetensors.SingleFile))
}

func (s Shape) writeWeights(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = safetensors.Write(w, s.tensors(), map[string]string{"format": "pt"})
	return errors.Join(err, w.Flush(), f.Close())
}

func (s Shape) config() map[string]any {
	half := s.Hidden / s.Heads / 2
	short, long := make([]float64, half), make([]float64, half)
	for i := range short {
		short[i], long[i] = 1+float64(i)/64, 1+float64(i)
	}
	return map[string]any{
		"architectures": []string{"Phi3ForCausalLM"}, "model_type": "phi3", "hidden_act": "silu", "torch_dtype": "bfloat16",
		"hidden_size": s.Hidden, "intermediate_size": s.MLP, "num_hidden_layers": s.Layers, "vocab_size": s.Vocab,
		"num_attention_heads": s.Heads, "num_key_value_heads": s.KVHeads, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "sliding_window": 262144,
		"bos_token_id": 1, "eos_token_id": s.EOS, "pad_token_id": s.EOS, "tie_word_embeddings": s.Tied,
		"rope_scaling": map[string]any{"type": "longrope", "short_factor": short, "long_factor": long},
	}
}

func (s Shape) tensors() []safetensors.Tensor {
	kv := s.Hidden / s.Heads * s.KVHeads
	out := []safetensors.Tensor{s.tensor("model.embed_tokens.weight", s.Vocab, s.Hidden), s.tensor("model.norm.weight", s.Hidden)}
	if !s.Tied {
		out = append(out, s.tensor("lm_head.weight", s.Vocab, s.Hidden))
	}
	for i := range s.Layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		out = append(out,
			s.tensor(p+"input_layernorm.weight", s.Hidden),
			s.tensor(p+"self_attn.qkv_proj.weight", s.Hidden+2*kv, s.Hidden),
			s.tensor(p+"self_attn.o_proj.weight", s.Hidden, s.Hidden),
			s.tensor(p+"post_attention_layernorm.weight", s.Hidden),
			s.tensor(p+"mlp.gate_up_proj.weight", 2*s.MLP, s.Hidden),
			s.tensor(p+"mlp.down_proj.weight", s.Hidden, s.MLP))
	}
	return out
}

// tensor draws matrices from N(0, 0.02²) and norms from 1 + N(0, 0.1²), keyed by
// seed and name.
func (s Shape) tensor(name string, shape ...int) safetensors.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return safetensors.Tensor{
		Info: safetensors.Info{Name: name, DType: "BF16", Shape: shape},
		Data: func(w io.Writer) error {
			h := fnv.New64a()
			_, _ = io.WriteString(h, name) // a hash never fails
			rng := rand.New(rand.NewPCG(s.Seed, h.Sum64()))
			return draw(w, n, len(shape) == 1, rng)
		},
	}
}

func draw(w io.Writer, n int, norm bool, rng *rand.Rand) error {
	buf := make([]byte, 0, 1<<16)
	for i := range n {
		v := 0.02 * rng.NormFloat64()
		if norm {
			v = 1 + 5*v
		}
		buf = binary.LittleEndian.AppendUint16(buf, safetensors.BF16(float32(v)))
		if len(buf) == cap(buf) || i == n-1 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}
