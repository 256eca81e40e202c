package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/borea-go/borea/gguf"
)

type arguments struct {
	model, lora, inspect         string // one of them
	recipe, out, imatrix, policy string
	name, licence, source        string
	workers                      int
	memoryMiB                    int64
	progress                     string
	json, check                  bool

	opts    gguf.ConvertOptions
	adapter gguf.LoRAOptions
}

func parse(args []string, stderr io.Writer) (arguments, error) {
	var a arguments
	d := gguf.DefaultConvertOptions()
	f := flag.NewFlagSet("hftogguf", flag.ContinueOnError)
	f.SetOutput(io.Discard) // the error says it once
	f.StringVar(&a.model, "model", "", "model `directory` in Hugging Face layout")
	f.StringVar(&a.lora, "lora", "", "PEFT LoRA `directory` to convert instead of a model")
	f.StringVar(&a.inspect, "inspect", "", "show what this GGUF `file` holds and do nothing else")
	f.StringVar(&a.recipe, "type", "", fmt.Sprintf("one of %v (default %s); of an adapter F32, F16, BF16 or Q8_0 (default F32)", gguf.Recipes(), d.Recipe))
	f.StringVar(&a.out, "out", "", "`file` to write (default: the directory's name, the type and .gguf)")
	f.StringVar(&a.imatrix, "imatrix", "", "importance matrix of llama-imatrix, a GGUF `file` or the older .dat")
	f.StringVar(&a.policy, "policy", string(d.Policy), fmt.Sprintf("rule for the type of each tensor: %s or %s", gguf.Policy2026, gguf.Policy2025))
	f.StringVar(&a.name, "name", "", "general.name (default: the directory's name)")
	f.StringVar(&a.licence, "licence", "", "general.license, an SPDX name")
	f.StringVar(&a.source, "source", "", "general.source.url")
	f.IntVar(&a.workers, "workers", 0, "goroutines that quantize (default: one a processor)")
	f.Int64Var(&a.memoryMiB, "memory", d.Writer.MemoryBytes>>20, "most memory for buffers in `MiB`")
	f.StringVar(&a.progress, "progress", "auto", "progress bar on standard error: auto (on a terminal), on or off")
	f.BoolVar(&a.check, "check", false, "with -inspect, read all tensors and fail on NaN and infinities")
	f.BoolVar(&a.json, "json", false, "print JSON: the report of a conversion, or what -inspect shows")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		usage(f, stderr)
		return a, err
	case err != nil:
		return a, fmt.Errorf("%w: %w; -help lists the flags", errUsage, err)
	case f.NArg() > 0:
		return a, fmt.Errorf("%w: unexpected %q", errUsage, f.Args())
	}
	return a, a.complete()
}

func usage(f *flag.FlagSet, w io.Writer) {
	fmt.Fprintln(w, "Converts a model (-model) or an adapter (-lora) to GGUF, or shows a GGUF file (-inspect).")
	f.SetOutput(w)
	f.PrintDefaults()
}

func (a *arguments) complete() error {
	given := 0
	for _, s := range []string{a.model, a.lora, a.inspect} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return fmt.Errorf("%w: -model names a model directory to convert, -lora an adapter directory, or -inspect a file to show; give one of them", errUsage)
	case a.inspect != "":
		return nil
	case a.check:
		return fmt.Errorf("%w: -check goes with -inspect; conversion always checks", errUsage)
	case a.progress != "auto" && a.progress != "on" && a.progress != "off":
		return fmt.Errorf("%w: -progress %q, want auto, on or off", errUsage, a.progress)
	case a.lora != "":
		return a.completeLoRA()
	}
	a.opts = gguf.DefaultConvertOptions()
	if a.recipe == "" {
		a.recipe = string(a.opts.Recipe)
	}
	r, err := gguf.ParseRecipe(a.recipe)
	if err != nil {
		return err
	}
	a.opts.Recipe, a.opts.Policy, a.opts.Licence, a.opts.Source = r, gguf.Policy(a.policy), a.licence, a.source
	a.opts.Name = a.place(a.model, string(r))
	a.opts.Writer = a.writer(a.opts.Writer)
	return a.opts.Validate()
}

func (a *arguments) completeLoRA() error {
	if a.imatrix != "" {
		return fmt.Errorf("%w: -imatrix is for models, not for adapters", errUsage)
	}
	a.adapter = gguf.DefaultLoRAOptions()
	if a.recipe != "" {
		t, err := gguf.ParseType(a.recipe)
		if err != nil {
			return fmt.Errorf("%w: -type %s: %w", errUsage, a.recipe, err)
		}
		a.adapter.Type = t
	}
	a.adapter.Licence = a.licence
	a.adapter.Name = a.place(a.lora, a.adapter.Type.String())
	a.adapter.Writer = a.writer(a.adapter.Writer)
	return a.adapter.Validate()
}

// place sets the default of -out and returns the name that goes into the file.
func (a *arguments) place(dir, typ string) string {
	base := filepath.Base(filepath.Clean(dir))
	if abs, err := filepath.Abs(dir); err == nil {
		base = filepath.Base(abs)
	}
	if a.out == "" {
		a.out = fmt.Sprintf("%s-%s.gguf", base, typ)
	}
	if a.name != "" {
		return a.name
	}
	return base
}

func (a *arguments) writer(w gguf.WriterOptions) gguf.WriterOptions {
	w.Workers, w.MemoryBytes = a.workers, a.memoryMiB<<20
	return w
}
