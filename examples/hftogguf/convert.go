package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/borea-go/borea/gguf"
)

func convert(ctx context.Context, a arguments, stdout, stderr io.Writer) error {
	env, finish := progress(a.progress, stderr)
	start := time.Now()
	report, err := a.convert(ctx, env)
	finish(err == nil)
	if err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(stdout).Encode(report)
	}
	summary(stdout, a, report, time.Since(start))
	return nil
}

func (a arguments) convert(ctx context.Context, env gguf.Env) (gguf.Report, error) {
	if a.lora != "" {
		return gguf.ConvertLoRAFile(ctx, a.lora, a.out, a.adapter, env)
	}
	if a.imatrix != "" {
		m, err := gguf.ReadImatrixFile(a.imatrix)
		if err != nil {
			return gguf.Report{}, fmt.Errorf("-imatrix: %w", err)
		}
		a.opts.Imatrix = m
	}
	return gguf.ConvertHFFile(ctx, a.model, a.out, a.opts, env)
}

// progress returns a bar, or nothing where nobody watches. finish ends its line.
func progress(mode string, stderr io.Writer) (env gguf.Env, finish func(done bool)) {
	if f, ok := stderr.(*os.File); mode == "off" || mode == "auto" && !(ok && term.IsTerminal(int(f.Fd()))) {
		return gguf.Env{}, func(bool) {}
	}
	var b *progressbar.ProgressBar
	env.Progress = func(done, total int64) {
		if b == nil {
			b = progressbar.NewOptions64(total, progressbar.OptionSetDescription("converting"), progressbar.OptionSetWriter(stderr),
				progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true),
				progressbar.OptionSetWidth(24), progressbar.OptionUseANSICodes(false))
		}
		_ = b.Set64(done) // a bar that can not be drawn must not stop the conversion
	}
	return env, func(done bool) {
		if b == nil {
			return
		}
		if done {
			_ = b.Finish()
		}
		fmt.Fprintln(stderr)
	}
}

func summary(w io.Writer, a arguments, r gguf.Report, took time.Duration) {
	how := string(r.Recipe)
	if r.Policy != "" {
		how += " by " + string(r.Policy)
	}
	fmt.Fprintf(w, "%s: %s, %d tensors, %d weights, %.1f MB, %.2f bits a weight, in %v\n", a.out, how,
		len(r.Tensors), r.Parameters, float64(r.Bytes)/1e6, 8*float64(r.Bytes)/float64(r.Parameters), took.Round(time.Millisecond))
	for _, name := range slices.Sorted(maps.Keys(r.BytesByType)) {
		fmt.Fprintf(w, "  %-5s %10.3f MB\n", name, float64(r.BytesByType[name])/1e6)
	}
	if r.Fallbacks > 0 {
		fmt.Fprintf(w, "  %d tensors have rows that the wanted type does not divide and took another, as llama.cpp chooses\n", r.Fallbacks)
	}
	if a.imatrix != "" {
		weighted := 0
		for _, t := range r.Tensors {
			if t.Weighted {
				weighted++
			}
		}
		fmt.Fprintf(w, "  importance matrix used for %d tensors\n", weighted)
	}
	if len(r.Left) > 0 {
		fmt.Fprintf(w, "  not written, because llama.cpp derives them: %s\n", strings.Join(r.Left, ", "))
	}
}
