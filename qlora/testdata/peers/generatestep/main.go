// Command generatestep times prefill and decoding, as it is told on its standard
// input: one side of generate.py. Unix only.
//
// A line "prefill N" feeds N tokens, "decode N" generates N after a short prompt
// and one more; answers are seconds by the clock and of processors.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/borea-go/borea/qlora"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generatestep:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("model", "", "model directory")
	load := qlora.DefaultLoadOptions()
	flag.StringVar(&load.Weights, "weights", load.Weights, "form of the base weights")
	flag.StringVar(&load.Embeddings, "embeddings", load.Embeddings, "form of embedding and head")
	flag.Parse()
	m, err := qlora.Load(context.Background(), *dir, load, qlora.Env{})
	if err != nil {
		return err
	}
	fmt.Println("ready", m.Device())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var what string
		var n int
		if _, err := fmt.Sscan(in.Text(), &what, &n); err != nil {
			return err
		}
		if err := measure(m, what, n); err != nil {
			return err
		}
	}
	return in.Err()
}

func measure(m *qlora.Model, what string, n int) error {
	o := qlora.DefaultGenerateOptions()
	o.MaxNewTokens, o.Stop = 1, []int32{}
	prompt := 8
	if what == "prefill" {
		prompt = n
	} else {
		o.MaxNewTokens = n + 1
	}
	ids := make([]int32, prompt)
	for i := range ids {
		ids[i] = int32(300 + i*37%30000)
	}
	start, used := time.Now(), cpuTime()
	first := true
	for _, err := range m.Generate(context.Background(), ids, o) {
		if err != nil {
			return err
		}
		if first && what == "decode" {
			start, used = time.Now(), cpuTime()
		}
		first = false
	}
	fmt.Printf("%.6f %.6f\n", time.Since(start).Seconds(), (cpuTime() - used).Seconds())
	return nil
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
