// Bench converts a model of Phi-3.5-mini's true shape, made while it is read, and
// prints what it cost as JSON: wall and core seconds, peak memory. bench_convert.py
// drives it; Linux and macOS.
//
//	go run ./gguf/testdata/bench -type Q5_K_M -out FILE
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/borea-go/borea/gguf"
	"github.com/borea-go/borea/gguf/internal/phi3gen"
)

func main() {
	opts := gguf.DefaultConvertOptions()
	recipe := flag.String("type", string(opts.Recipe), "recipe")
	out := flag.String("out", "", "file to write")
	tok := flag.String("tokenizer", "examples/fullpipeline/model", "directory with tokenizer files")
	layers := flag.Int("layers", 32, "fewer make a smaller model")
	flag.IntVar(&opts.Writer.Workers, "workers", 0, "goroutines")
	flag.Int64Var(&opts.Writer.MemoryBytes, "memory", opts.Writer.MemoryBytes, "bytes")
	flag.Parse()
	opts.Recipe = gguf.Recipe(*recipe)
	if err := run(*out, *tok, *layers, opts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(out, tok string, layers int, opts gguf.ConvertOptions) error {
	shape := phi3gen.Mini()
	shape.Layers = layers
	src, err := phi3gen.NewVirtual(shape, os.DirFS(tok))
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	start := time.Now()
	report, err := gguf.ConvertHF(context.Background(), src, f, opts, gguf.Env{})
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return err
	}
	wall := time.Since(start)
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"weights": report.Parameters, "bytes": report.Bytes, "wall_seconds": wall.Seconds(),
		"user_seconds": seconds(use.Utime), "system_seconds": seconds(use.Stime), "peak_rss_kib": use.Maxrss,
	})
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
