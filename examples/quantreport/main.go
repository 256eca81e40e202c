// Command quantreport tells what int8 costs each linear of a Phi-3 model on real
// text, against bf16, and which input channels are to blame. It needs the memory of
// one block, not of the model. With -calibrate it also writes a smoothing for
// qlora.LoadOptions (load.smoothing in the configuration files) and measures again
// with it; -hadamard measures the option of that name (load.hadamard).
//
//	go run ./examples/quantreport -data texts.jsonl -hadamard -calibrate smoothing.json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/dataset/tokenizer"
	"github.com/borea-go/borea/qlora"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quantreport:", err)
		os.Exit(1)
	}
}

type arguments struct {
	model, data, calibrate string
	length                 int
	asJSON                 bool
	load                   qlora.LoadOptions
}

func parse(args []string) (arguments, error) {
	a := arguments{load: qlora.DefaultLoadOptions()}
	f := flag.NewFlagSet("quantreport", flag.ContinueOnError)
	f.StringVar(&a.model, "model", "", "model directory (default: the bundled model, found from the working directory upwards)")
	f.StringVar(&a.data, "data", "", "texts: FILE.jsonl, .jsonl.zst or .jsonl.gz")
	f.StringVar(&a.calibrate, "calibrate", "", "write a smoothing to this file")
	f.IntVar(&a.length, "length", 512, "tokens of a text; longer ones are cut")
	f.BoolVar(&a.asJSON, "json", false, "print a line of JSON a report")
	f.IntVar(&a.load.BlockTokens, "tokens", a.load.BlockTokens, "tokens in all")
	f.StringVar(&a.load.Device, "device", a.load.Device, "cpu or cuda")
	f.StringVar(&a.load.Weights, "weights", a.load.Weights, "the form to measure: int8, int8w, nf4 or bf16")
	f.StringVar(&a.load.Smoothing, "smoothing", "", "measure with this smoothing")
	f.BoolVar(&a.load.Hadamard, "hadamard", false, "measure with down_proj's input mixed by Hadamard matrices")
	err := f.Parse(args)
	if err == nil && a.data == "" {
		err = errors.New("-data is required")
	}
	return a, err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	a, err := parse(args)
	if err != nil {
		return err
	}
	if a.model == "" {
		if a.model, err = qlora.FindBundledModel(); err != nil {
			return err
		}
	}
	seqs, err := readTexts(a)
	if err != nil {
		return err
	}
	if err := a.report(ctx, seqs, out); err != nil || a.calibrate == "" {
		return err
	}
	s, err := qlora.Calibrate(ctx, os.DirFS(a.model), a.load, seqs, qlora.Env{})
	if err != nil {
		return err
	}
	if err := s.WriteFile(a.calibrate); err != nil {
		return err
	}
	a.load.Smoothing = a.calibrate
	return a.report(ctx, seqs, out)
}

func (a arguments) report(ctx context.Context, seqs [][]int32, out io.Writer) error {
	r, err := qlora.Quantisation(ctx, os.DirFS(a.model), a.load, seqs, qlora.Env{})
	if err != nil {
		return err
	}
	if a.asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	fmt.Fprintf(out, "%s against bf16 on %d tokens, smoothed: %v, hadamard: %v\n\n", r.Weights, r.Tokens, r.Smoothed, r.Hadamard)
	if err := r.WriteTable(out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out)
	return err
}

// readTexts reads texts until there are as many tokens as asked for.
func readTexts(a arguments) ([][]int32, error) {
	tok, err := tokenizer.Open(os.DirFS(a.model))
	if err != nil {
		return nil, err
	}
	var seqs [][]int32
	left := a.load.BlockTokens
	for s, err := range dataset.ReadFile(a.data, dataset.DefaultReadOptions()) {
		if err != nil {
			return nil, err
		}
		ids := append([]int32{tokenizer.BOS}, tok.EncodePlain(s.Text)...)
		ids = ids[:min(len(ids), a.length, left)]
		if left -= len(ids); len(ids) == 0 {
			break
		}
		seqs = append(seqs, ids)
	}
	return seqs, nil
}
