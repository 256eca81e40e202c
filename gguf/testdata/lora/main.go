// Lora makes what lora_check.mjs compares: a random adapter over the bundled model
// as a PEFT directory and as GGUF files, the base and the merged model as GGUF files
// of F32, and the tokens that our own forward pass generates with the merged model,
// greedily.
//
//	go run ./gguf/testdata/lora -out DIR
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/gguf"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora"
)

func main() {
	model := flag.String("model", "examples/fullpipeline/model", "base")
	golden := flag.String("golden", "gguf/testdata/golden_paths.json", "prompts")
	out := flag.String("out", "", "directory to write")
	flag.Parse()
	if err := run(context.Background(), *model, *golden, *out); err != nil {
		fmt.Fprintln(os.Stderr, "lora:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, model, golden, out string) error {
	cfg, err := hfconfig.Read(os.DirFS(model))
	if err != nil {
		return err
	}
	for name, rslora := range map[string]bool{"plain": false, "rslora": true} {
		dir := filepath.Join(out, name)
		if err := adapter(cfg, rslora).WriteDir(dir, qlora.WriteOptions{}); err != nil {
			return err
		}
		for _, typ := range []gguf.Type{gguf.F32, gguf.F16} {
			opts := gguf.DefaultLoRAOptions()
			opts.Type = typ
			if _, err := gguf.ConvertLoRAFile(ctx, dir, fmt.Sprintf("%s-%s.gguf", dir, typ), opts, gguf.Env{}); err != nil {
				return err
			}
		}
		merged := filepath.Join(out, name+"-merged")
		if err := merge(ctx, model, dir, merged); err != nil {
			return err
		}
		if err := tokens(ctx, merged, golden, filepath.Join(out, name+".json")); err != nil {
			return err
		}
	}
	return convert(ctx, model, filepath.Join(out, "base.gguf"))
}

func convert(ctx context.Context, dir, path string) error {
	opts := gguf.DefaultConvertOptions()
	opts.Recipe = "F32"
	_, err := gguf.ConvertHFFile(ctx, dir, path, opts, gguf.Env{})
	return err
}

// merge makes the merged model, as a directory and as a file.
func merge(ctx context.Context, model, dir, merged string) error {
	a, err := qlora.LoadAdapter(os.DirFS(dir))
	if err != nil {
		return err
	}
	if _, err := qlora.Merge(ctx, os.DirFS(model), a, merged, qlora.Env{}); err != nil {
		return err
	}
	return convert(ctx, merged, merged+".gguf")
}

// adapter is large enough to change what the model says, and small enough to leave
// it sure of its words, so that rounding does not decide between two.
func adapter(cfg *hfconfig.Config, rslora bool) *qlora.Adapter {
	rng := rand.New(rand.NewPCG(11, 12))
	normal := func(n int, s float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64() * s)
		}
		return v
	}
	const rank = 4
	a := &qlora.Adapter{Base: "bundled", Rank: rank, Alpha: 8, RSLoRA: rslora, Targets: qlora.Targets(), Factors: map[string]qlora.Factor{}}
	const scale = 2
	if rslora {
		a.Alpha = 4 // 4/sqrt(rank)
	}
	c, f := cfg.HiddenSize, cfg.IntermediateSize
	kv := cfg.KVHeads * cfg.HeadDim
	shapes := map[string][2]int{qlora.QKVProj: {cfg.Heads*cfg.HeadDim + 2*kv, c}, qlora.OProj: {c, cfg.Heads * cfg.HeadDim}, qlora.GateUpProj: {2 * f, c}, qlora.DownProj: {c, f}}
	for layer := range cfg.Layers {
		for _, target := range qlora.Targets() {
			out, in := shapes[target][0], shapes[target][1]
			a.Factors[qlora.LinearName(layer, target)] = qlora.Factor{Out: out, In: in, R: rank, Scale: scale, A: normal(rank*in, 0.05), B: normal(out*rank, 0.03)}
		}
	}
	return a
}

func tokens(ctx context.Context, dir, golden, path string) error {
	raw, err := os.ReadFile(golden)
	if err != nil {
		return err
	}
	var prompts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &prompts); err != nil {
		return err
	}
	load := qlora.DefaultLoadOptions()
	load.Weights, load.Embeddings = "f32", "f32"
	m, err := qlora.Load(ctx, dir, load, qlora.Env{})
	if err != nil {
		return err
	}
	defer m.Close()
	gen := qlora.DefaultGenerateOptions()
	gen.MaxNewTokens = 64
	out := map[string]any{}
	for _, name := range []string{"chat", "plain"} {
		var p struct{ Prompt []int32 }
		if err := json.Unmarshal(prompts[name], &p); err != nil {
			return err
		}
		var said []int32
		for id, err := range m.Generate(ctx, p.Prompt, gen) {
			if err != nil {
				return err
			}
			said = append(said, id)
		}
		out[name] = map[string][]int32{"prompt": p.Prompt, "output": said}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
