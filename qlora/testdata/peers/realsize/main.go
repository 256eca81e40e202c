// Command realsize takes a model directory through one phase and prints how long
// it took and the peak resident memory, predicted and measured. Linux only.
//
//	go run ./qlora/testdata/peers/randommodel -shape 3.8b -out M
//	go build -o realsize ./qlora/testdata/peers/realsize
//	./realsize -phase train -model M -adapter A   # load to int8, two steps of 256 tokens, gates and PET on
//	./realsize -phase merge -model M -adapter A -out B   # adapter merged, gates baked
//	./realsize -phase bake -model M -adapter A -out C    # gates alone
//	./realsize -phase load -model M [-mapped]   # bf16 weights, log-probabilities of as many tokens
//	go run ./examples/hftogguf -model B -type Q5_K_M -out B.gguf
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/so8t"
)

func main() {
	phase := flag.String("phase", "", "train, merge, bake or load")
	model := flag.String("model", "", "model directory")
	adapter := flag.String("adapter", "", "adapter directory: written by train, read by merge")
	out := flag.String("out", "", "directory that merge writes")
	tokens := flag.Int("tokens", 256, "tokens a step")
	rank := flag.Int("rank", 16, "rank of the adapter")
	mapped := flag.Bool("mapped", false, "load uses the weights where they lie in the files")
	flag.Parse()
	start := time.Now()
	err := fmt.Errorf("unknown phase %q", *phase)
	switch *phase {
	case "train":
		err = train(*model, *adapter, *tokens, *rank)
	case "bake":
		err = bake(*model, *adapter, *out)
	case "load":
		err = load(*model, *tokens, *mapped)
	case "merge":
		err = merge(*model, *adapter, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "realsize:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %.0f s, peak RSS %d MiB\n", *phase, time.Since(start).Seconds(), status("VmHWM")>>10)
}

func load(dir string, tokens int, mapped bool) error {
	ctx, o := context.Background(), qlora.DefaultLoadOptions()
	o.Weights, o.Mapped = "bf16", mapped
	start := time.Now()
	m, err := qlora.Load(ctx, dir, o, qlora.Env{})
	if err != nil {
		return err
	}
	defer m.Close()
	say := func(what string) {
		fmt.Printf("%s after %.2f s, RSS %d MiB, of files %d MiB\n", what, time.Since(start).Seconds(), status("VmRSS")>>10, status("RssFile")>>10)
	}
	say("loaded")
	_, err = m.LogProbs(ctx, [][]int32{randomIDs(tokens)})
	say("scored")
	return err
}

func randomIDs(n int) []int32 {
	rng, ids := rand.New(rand.NewPCG(1, 2)), make([]int32, n)
	for i := range ids {
		ids[i] = int32(rng.IntN(32000))
	}
	return ids
}

func train(dir, adapter string, tokens, rank int) error {
	ctx, load, o := context.Background(), qlora.DefaultLoadOptions(), qlora.DefaultOptions()
	o.Rank, o.Alpha = rank, float64(2*rank)
	o.BatchSize, o.MaxLength, o.Accumulation, o.MaxSteps = 1, tokens, 1, 2
	o.SO8T.Enabled, o.PET.Enabled = true, true
	plan, err := qlora.PredictMemory(os.DirFS(dir), load, o)
	if err != nil {
		return err
	}
	fmt.Println(plan)
	start := time.Now()
	m, err := qlora.Load(ctx, dir, load, qlora.Env{})
	if err != nil {
		return err
	}
	defer m.Close()
	fmt.Printf("loaded in %.0f s, RSS %d MiB\n", time.Since(start).Seconds(), status("VmRSS")>>10)
	tr, err := qlora.NewTrainer(m, o, qlora.Dirs{}, qlora.Env{Progress: func(p qlora.Progress) {
		fmt.Printf("%s %d of %d after %.0f s: loss %.4f, RSS %d MiB\n", p.Stage, p.Done, p.Total, time.Since(start).Seconds(), p.Loss, status("VmRSS")>>10)
	}})
	if err != nil {
		return err
	}
	ids := randomIDs(tokens)
	if _, err := tr.Run(ctx, []qlora.Example{{IDs: ids}, {IDs: ids}}, nil); err != nil {
		return err
	}
	a, err := tr.Adapter()
	if err != nil {
		return err
	}
	return a.Save(adapter)
}

func merge(dir, adapter, out string) error {
	a, err := qlora.LoadAdapter(os.DirFS(adapter))
	if err != nil {
		return err
	}
	rep, err := qlora.Merge(context.Background(), os.DirFS(dir), a, out, qlora.Env{})
	if err == nil {
		fmt.Printf("%d tensors, %d merged, %d baked\n", rep.Tensors, rep.Merged, rep.Baked)
	}
	return err
}

func bake(dir, adapter, out string) error {
	a, err := qlora.LoadAdapter(os.DirFS(adapter))
	if err != nil {
		return err
	}
	rep, err := so8t.BakeDir(context.Background(), os.DirFS(dir), a.Gates, out, so8t.Env{})
	if err == nil {
		fmt.Printf("%d tensors, %d baked\n", rep.Tensors, rep.Baked)
	}
	return err
}

// status reads a line of /proc/self/status, in KiB.
func status(key string) (n int) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}
