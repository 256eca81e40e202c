package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/qlora"
)

func main() {
	f := parseFlags()
	ctx, stop := untilSignal()
	err := run(ctx, f)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "fullpipeline:", err)
	var sig signalError
	if errors.As(context.Cause(ctx), &sig) && (errors.Is(err, context.Canceled) || errors.Is(err, qlora.ErrInterrupted) || errors.Is(err, classifier.ErrInterrupted) || errors.As(err, &sig)) {
		fmt.Fprintln(os.Stderr, "fullpipeline: stopped; run the same command again to go on")
		os.Exit(128 + int(sig.number))
	}
	os.Exit(1)
}

// flags are the command line.
type flags struct {
	phase, sources, model, out, config, judge, device, notify string
	target, workers                                           int
	seed                                                      uint64
	fresh                                                     bool
}

func parseFlags() flags {
	var f flags
	flag.StringVar(&f.phase, "phase", "all", "one of "+strings.Join(phaseNames(), ", ")+" or all")
	flag.IntVar(&f.target, "target-samples", 0, "samples to collect; 0 takes the configuration's")
	flag.StringVar(&f.sources, "sources", "", "comma-separated: synthetic, crawl, wikipedia, cc100, c4; empty takes the configuration's")
	flag.StringVar(&f.model, "model", "", "model directory (default: the bundled model, found from the working directory upwards)")
	flag.StringVar(&f.out, "out", "run", "output folder")
	flag.StringVar(&f.config, "config", "", "YAML file (default: configs/small.yaml, built in)")
	flag.StringVar(&f.judge, "classifier-config", "", "YAML file of the judge (default: configs/four_class_small.yaml, built in)")
	flag.StringVar(&f.device, "device", "", "cpu or cuda; cuda:0,1 fine-tunes on two; empty takes the configuration's")
	flag.Uint64Var(&f.seed, "seed", 0, "seed of everything random; 0 takes the configuration's")
	flag.IntVar(&f.workers, "workers", 0, "processors to use; 0 is all")
	flag.StringVar(&f.notify, "notify", "bell", "sound at the end: FILE.wav, bell or off")
	flag.BoolVar(&f.fresh, "fresh", false, "do every phase again")
	flag.Parse()
	return f
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ number syscall.Signal }

// Error implements error.
func (e signalError) Error() string { return "received " + e.number.String() }

// untilSignal returns a context that the first interrupt or termination ends; a
// second one leaves at once. On Windows both Ctrl-C and Ctrl-Break arrive as an
// interrupt, closing the window as a termination.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first, ok := (<-signals).(syscall.Signal)
		if !ok {
			return
		}
		fmt.Fprintln(os.Stderr, "\nfinishing the step and saving; once more to leave at once")
		cancel(signalError{first})
		second, _ := (<-signals).(syscall.Signal)
		os.Exit(128 + int(second))
	}()
	return ctx, func() { signal.Stop(signals) }
}

func run(ctx context.Context, f flags) error {
	if f.workers > 0 {
		runtime.GOMAXPROCS(f.workers)
	}
	p, err := newPipeline(f)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.run(ctx, f.phase); err != nil {
		return err
	}
	p.summary(os.Stdout)
	notify(f.notify, os.Stderr)
	return nil
}
