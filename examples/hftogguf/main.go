// Command hftogguf converts a Phi-3 model directory into a GGUF file for llama.cpp,
// or shows what a GGUF file holds.
//
//	go run ./examples/hftogguf -model path/to/model -type Q5_K_M -out model.gguf
//	go run ./examples/hftogguf -inspect model.gguf -json
//
// The file appears under its name only when it is whole. Exit codes: 0 done, 1
// failed, 2 wrong usage, 130 interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/borea-go/borea/gguf"
)

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "hftogguf: interrupted, no file written")
		os.Exit(130)
	case errors.Is(err, errUsage), errors.Is(err, gguf.ErrOption):
		fmt.Fprintln(os.Stderr, "hftogguf:", err)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "hftogguf:", err)
	os.Exit(1)
}

type arguments struct {
	model, recipe, out, imatrix, policy string
	inspect                             string
	memoryMiB                           int64
	json                                bool
	opts                                gguf.ConvertOptions
}

func parse(args []string) (arguments, error) {
	a := arguments{opts: gguf.DefaultConvertOptions()}
	f := flag.NewFlagSet("hftogguf", flag.ContinueOnError)
	f.StringVar(&a.model, "model", "", "model directory in Hugging Face layout")
	f.StringVar(&a.recipe, "type", string(a.opts.Recipe), fmt.Sprintf("one of %v", gguf.Recipes()))
	f.StringVar(&a.out, "out", "", "file to write (default: the directory's name, the type and .gguf)")
	f.StringVar(&a.imatrix, "imatrix", "", "importance matrix of llama-imatrix, GGUF or the older .dat")
	f.StringVar(&a.policy, "policy", string(a.opts.Policy), "rule for the type of each tensor: llama.cpp-2026 or llama.cpp-2025")
	f.StringVar(&a.opts.Name, "name", "", "general.name (default: the directory's name)")
	f.StringVar(&a.opts.Licence, "licence", "", "general.license, an SPDX name")
	f.StringVar(&a.opts.Source, "source", "", "general.source.url")
	f.IntVar(&a.opts.Writer.Workers, "workers", 0, "goroutines that quantize (default: one a processor)")
	f.Int64Var(&a.memoryMiB, "memory", a.opts.Writer.MemoryBytes>>20, "most memory for buffers in MiB")
	f.StringVar(&a.inspect, "inspect", "", "show what this GGUF file holds and do nothing else")
	f.BoolVar(&a.json, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return a, err
		}
		return a, fmt.Errorf("%w: %w", errUsage, err)
	}
	return a, a.complete(f.Args())
}

func (a *arguments) complete(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: unexpected %q", errUsage, rest)
	case a.inspect != "":
		return nil
	case a.model == "":
		return fmt.Errorf("%w: -model names the directory to convert, or -inspect a file to show", errUsage)
	}
	r, err := gguf.ParseRecipe(a.recipe)
	if err != nil {
		return err
	}
	a.opts.Recipe, a.opts.Policy, a.opts.Writer.MemoryBytes = r, gguf.Policy(a.policy), a.memoryMiB<<20
	base := filepath.Base(filepath.Clean(a.model))
	if a.opts.Name == "" {
		a.opts.Name = base
	}
	if a.out == "" {
		a.out = fmt.Sprintf("%s-%s.gguf", base, r)
	}
	return a.opts.Validate()
}

func run(ctx context.Context, args []string) error {
	a, err := parse(args)
	if err != nil {
		return err
	}
	if a.inspect != "" {
		return inspect(os.Stdout, a.inspect, a.json)
	}
	return convert(ctx, a)
}
