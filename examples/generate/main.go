// Command generate continues a prompt with a Phi-3 model.
//
//	go run ./examples/generate -chat -prompt "宇宙開発について教えてください。"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/borea-go/borea/dataset/tokenizer"
	"github.com/borea-go/borea/qlora"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("model", "", "model directory (default: the bundled model, found from the working directory upwards)")
	adapter := flag.String("adapter", "", "adapter directory")
	prompt := flag.String("prompt", "", "text to continue")
	chat := flag.Bool("chat", false, "treat the prompt as a user's message")
	ids := flag.Bool("ids", false, "print token ids instead of text")
	load, gen := qlora.DefaultLoadOptions(), qlora.DefaultGenerateOptions()
	flag.StringVar(&load.Device, "device", load.Device, "cpu, cpu:KERNELS (go, avx2, avx512) or cuda")
	flag.StringVar(&load.Weights, "weights", load.Weights, "int8, int8w, bf16, nf4 or f32")
	flag.StringVar(&load.Embeddings, "embeddings", load.Embeddings, "bf16, f32 or int8: embedding and head")
	flag.StringVar(&load.KVCache, "kv-cache", load.KVCache, "full, f16 or int8: keys and values")
	flag.BoolVar(&load.Mapped, "mapped", false, "use bf16 weights of bf16 files where they lie in the files, which must not shrink")
	flag.IntVar(&gen.MaxNewTokens, "max-new-tokens", 128, "longest continuation")
	flag.Float64Var(&gen.Temperature, "temperature", 0, "0 takes the most likely token")
	flag.IntVar(&gen.TopK, "top-k", 0, "keep the K most likely tokens; 0 keeps all")
	flag.Float64Var(&gen.TopP, "top-p", 1, "nucleus sampling")
	flag.Float64Var(&gen.MinP, "min-p", 0, "drop tokens below this share of the most likely one's probability")
	flag.Float64Var(&gen.RepetitionPenalty, "repetition-penalty", 1, "above 1 makes tokens already present less likely")
	flag.Uint64Var(&gen.Seed, "seed", 0, "seed of the sampler")
	flag.Parse()
	if *prompt == "" {
		return errors.New("-prompt is required")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := qlora.OpenWithAdapter(ctx, *dir, *adapter, load, qlora.Env{})
	if err != nil {
		return err
	}
	defer m.Close()
	return print(ctx, m, encode(m.Tokenizer(), *prompt, *chat), gen, *ids)
}

func encode(tok *tokenizer.Tokenizer, prompt string, chat bool) []int32 {
	if chat {
		return tok.Encode(tokenizer.ChatText([]tokenizer.Message{{Role: "user", Content: prompt}}, true))
	}
	return append([]int32{tokenizer.BOS}, tok.Encode(prompt)...)
}

func print(ctx context.Context, m *qlora.Model, prompt []int32, gen qlora.GenerateOptions, ids bool) error {
	dec := m.Tokenizer().NewDecoder()
	for id, err := range m.Generate(ctx, prompt, gen) {
		if err != nil {
			return err
		}
		if ids {
			fmt.Println(id)
		} else {
			fmt.Print(dec.Push(id))
		}
	}
	if !ids {
		fmt.Println(dec.Flush())
	}
	return nil
}
