// Command perplexity scores a JSONL file of texts with a Phi-3 model: documents
// as 1 + ids + 32000, joined, cut into full windows; the first token of a window
// is not scored.
//
//	go run ./examples/perplexity -data texts.jsonl.zst -window 1024 -json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/eval/harness"
	"github.com/borea-go/borea/qlora"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "perplexity:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("model", "", "model directory (default: the bundled model, found from the working directory upwards)")
	adapter := flag.String("adapter", "", "adapter directory")
	data := flag.String("data", "", "texts: FILE.jsonl, .jsonl.zst or .jsonl.gz")
	window := flag.Int("window", 1024, "tokens a window")
	windows := flag.Int("windows", 0, "score the first N windows; 0 is all")
	asJSON := flag.Bool("json", false, "print one line of JSON")
	load := qlora.DefaultLoadOptions()
	flag.StringVar(&load.Device, "device", load.Device, "cpu or cuda")
	flag.StringVar(&load.Weights, "weights", load.Weights, "int8, int8w, bf16 or f32")
	flag.Parse()
	if *data == "" {
		return errors.New("-data is required")
	}
	texts, err := readTexts(*data)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := qlora.OpenWithAdapter(ctx, *dir, *adapter, load, qlora.Env{})
	if err != nil {
		return err
	}
	defer m.Close()
	r, err := harness.Perplexity(ctx, m, texts, harness.PerplexityOptions{Window: *window, Windows: *windows})
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("perplexity %.4f (nll %.5f, %d tokens, %d windows)\n", r.PPL, r.NLL, r.Tokens, r.Windows)
	return nil
}

func readTexts(path string) ([]string, error) {
	var texts []string
	for s, err := range dataset.ReadFile(path, dataset.DefaultReadOptions()) {
		if err != nil {
			return nil, err
		}
		texts = append(texts, s.Text)
	}
	return texts, nil
}
