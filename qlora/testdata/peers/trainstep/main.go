// Command trainstep takes one LoRA training step for every line on its standard
// input and answers with the seconds it took, by the clock and of processors:
// one side of train.py. Unix only.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/borea-go/borea/qlora"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "trainstep:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("model", "", "model directory")
	weights := flag.String("weights", "int8", "form of the base weights")
	batch := flag.Int("batch", 4, "sequences")
	length := flag.Int("length", 512, "tokens a sequence")
	recompute := flag.String("recompute", "none", "none, selective or full")
	steps := flag.Int("steps", 1000, "steps at most")
	profile := flag.String("cpuprofile", "", "file for a processor profile")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	o := qlora.DefaultOptions()
	o.Rank, o.Alpha, o.Dropout = 16, 32, 0
	o.BatchSize, o.MaxLength, o.Accumulation, o.Packing = *batch, *length, 1, false
	o.MaxSteps, o.Epochs, o.Recompute, o.EvalEvery = *steps, *steps, *recompute, 0
	load := qlora.DefaultLoadOptions()
	load.Weights = *weights
	ctx := context.Background()
	m, err := qlora.Load(ctx, *dir, load, qlora.Env{})
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	var start time.Time
	var used time.Duration
	next := func() {
		if !in.Scan() {
			os.Exit(0)
		}
		start, used = time.Now(), cpuTime()
	}
	tr, err := qlora.NewTrainer(m, o, qlora.Dirs{}, qlora.Env{Progress: func(p qlora.Progress) {
		if p.Stage == "train" {
			fmt.Printf("%.6f %.6f %.6f\n", time.Since(start).Seconds(), (cpuTime() - used).Seconds(), p.Loss)
			next()
		}
	}})
	if err != nil {
		return err
	}
	fmt.Println("ready", m.Device())
	next()
	_, err = tr.Run(ctx, examples(*batch, *length, m.VocabSize()), nil)
	return err
}

// examples are random tokens: every step costs the same whatever they are.
func examples(n, length, vocab int) []qlora.Example {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]qlora.Example, n)
	for i := range out {
		out[i].IDs = make([]int32, length)
		for j := range out[i].IDs {
			out[i].IDs[j] = int32(rng.IntN(min(vocab, 32000)))
		}
	}
	return out
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
