package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/borea-go/borea/gguf"
)

func convert(ctx context.Context, a arguments) error {
	if a.imatrix != "" {
		m, err := gguf.ReadImatrixFile(a.imatrix)
		if err != nil {
			return err
		}
		a.opts.Imatrix = m
	}
	env := gguf.Env{}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		env.Progress = bar()
	}
	start := time.Now()
	report, err := gguf.ConvertHFFile(ctx, a.model, a.out, a.opts, env)
	if err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	summary(os.Stdout, a.out, report, time.Since(start))
	return nil
}

func bar() func(done, total int64) {
	var b *progressbar.ProgressBar
	return func(done, total int64) {
		if b == nil {
			b = progressbar.DefaultBytes(total, "converting")
		}
		_ = b.Set64(done) // a bar that can not be drawn must not stop the conversion
	}
}

func summary(w io.Writer, out string, r gguf.Report, took time.Duration) {
	fmt.Fprintf(w, "%s: %s by %s, %d tensors, %d weights, %.1f MB, %.2f bits a weight, in %v\n", out, r.Recipe, r.Policy,
		len(r.Tensors), r.Parameters, float64(r.Bytes)/1e6, 8*float64(r.Bytes)/float64(r.Parameters), took.Round(time.Millisecond))
	for _, name := range slices.Sorted(maps.Keys(r.BytesByType)) {
		fmt.Fprintf(w, "  %-5s %10.3f MB\n", name, float64(r.BytesByType[name])/1e6)
	}
	if r.Fallbacks > 0 {
		fmt.Fprintf(w, "  %d tensors have rows that the wanted type does not divide and took another, as llama.cpp chooses\n", r.Fallbacks)
	}
}
