// Command randommodel writes a model directory of a given size with random bf16
// weights, and the configuration and tokenizer of another, to measure time and
// memory with. Its head size and rotary factors are those of the other.
//
//	go run ./qlora/testdata/peers/randommodel -shape 3.8b -out DIR
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

type shape struct{ hidden, layers, heads, mlp int }

var shapes = map[string]shape{
	"60m":  {480, 12, 5, 1280},
	"1b":   {1920, 24, 20, 5120},
	"3.8b": {3072, 32, 32, 8192}, // Phi-3.5-mini
}

const vocab = 32064

func main() {
	name := flag.String("shape", "1b", "60m, 1b or 3.8b")
	base := flag.String("base", "examples/fullpipeline/model", "directory with configuration and tokenizer")
	out := flag.String("out", "", "directory to write")
	flag.Parse()
	if err := run(shapes[*name], *base, *out); err != nil {
		fmt.Fprintln(os.Stderr, "randommodel:", err)
		os.Exit(1)
	}
}

func run(s shape, base, out string) error {
	if s.hidden == 0 || out == "" {
		return fmt.Errorf("a known -shape and -out are required")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := writeConfig(s, base, out); err != nil {
		return err
	}
	for _, f := range []string{"generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"} {
		b, err := os.ReadFile(filepath.Join(base, f))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(out, f), b, 0o644); err != nil {
			return err
		}
	}
	return writeShards(s, out)
}

func writeConfig(s shape, base, out string) error {
	b, err := os.ReadFile(filepath.Join(base, "config.json"))
	if err != nil {
		return err
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"] = s.hidden, s.mlp, s.layers
	c["num_attention_heads"], c["num_key_value_heads"] = s.heads, s.heads
	c["vocab_size"], c["tie_word_embeddings"] = vocab, false
	if b, err = json.MarshalIndent(c, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "config.json"), b, 0o644)
}

func writeShards(s shape, out string) error {
	shards := [][]safetensors.Tensor{{matrix("model.embed_tokens.weight", vocab, s.hidden), vector("model.norm.weight", s.hidden)}}
	for i := range s.layers {
		if i%8 == 0 {
			shards = append(shards, nil)
		}
		p, last := fmt.Sprintf("model.layers.%d.", i), len(shards)-1
		shards[last] = append(shards[last],
			vector(p+"input_layernorm.weight", s.hidden),
			matrix(p+"mlp.down_proj.weight", s.hidden, s.mlp),
			matrix(p+"mlp.gate_up_proj.weight", 2*s.mlp, s.hidden),
			vector(p+"post_attention_layernorm.weight", s.hidden),
			matrix(p+"self_attn.o_proj.weight", s.hidden, s.hidden),
			matrix(p+"self_attn.qkv_proj.weight", 3*s.hidden, s.hidden))
	}
	shards = append(shards, []safetensors.Tensor{matrix("lm_head.weight", vocab, s.hidden)})
	index, errs := map[string]string{}, make([]error, len(shards))
	var wait sync.WaitGroup
	for i, tensors := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		for _, t := range tensors {
			index[t.Name] = name
		}
		wait.Go(func() { errs[i] = writeShard(filepath.Join(out, name), tensors) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": index})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "model.safetensors.index.json"), b, 0o644)
}

func writeShard(path string, tensors []safetensors.Tensor) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err := safetensors.Write(w, tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func vector(name string, n int) safetensors.Tensor {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return safetensors.BF16Tensor(name, []int{n}, v)
}

// matrix draws its numbers from a table of normal ones, standard deviation 0.02.
func matrix(name string, rows, cols int) safetensors.Tensor {
	info := safetensors.Info{Name: name, DType: "BF16", Shape: []int{rows, cols}, Size: int64(rows) * int64(cols) * 2}
	return safetensors.Tensor{Info: info, Data: func(w io.Writer) error {
		rng := rand.New(rand.NewPCG(1, crc(name)))
		var table [1 << 16]uint16
		for i := range table {
			table[i] = safetensors.BF16(float32(rng.NormFloat64() * 0.02))
		}
		row := make([]byte, 2*cols)
		for range rows {
			for i := 0; i < len(row); i += 8 {
				u := rng.Uint64()
				for j := 0; j < 8 && i+j < len(row); j += 2 {
					binary.LittleEndian.PutUint16(row[i+j:], table[u&0xffff])
					u >>= 16
				}
			}
			if _, err := w.Write(row); err != nil {
				return err
			}
		}
		return nil
	}}
}

func crc(name string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(name))) }
