// Command fourclass trains a four-class judge on labelled requests, or evaluates a saved
// one, and writes an HTML report with pictures.
//
//	go run ./examples/fourclass                        # the bundled requests and model: train, test, report
//	go run ./examples/fourclass -folds 5               # compare majority, keywords, rules, frozen head, LoRA
//	go run ./examples/fourclass -data requests.jsonl -model path/to/model
//	go run ./examples/fourclass -judge out/judge -data other.jsonl
//	go run ./examples/fourclass -features features.csv # without a model
//	go run ./examples/fourclass -certify 0.05          # allow only above a certified threshold
//
// A training that was interrupted goes on when the same command is run again.
//
// Requests are dataset.Sample lines with a label; feature lines are a class and
// numbers. Samples of one template_id are never on both sides of a split.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/label"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, context.Canceled) || errors.Is(err, classifier.ErrInterrupted):
		fmt.Fprintln(os.Stderr, "fourclass: interrupted; a training goes on when the same command is run again")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fourclass:", err)
		os.Exit(1)
	}
}

type flags struct {
	data, features, model, judge, config, out string
	folds                                     int
	frozen                                    bool
	seed                                      uint64
	certify                                   float64
}

func parse(args []string, log io.Writer) (f flags, err error) {
	fs := flag.NewFlagSet("fourclass", flag.ContinueOnError)
	fs.SetOutput(log)
	fs.StringVar(&f.data, "data", "", "labelled requests, JSONL (default: the bundled hand-labelled ones)")
	fs.StringVar(&f.features, "features", "", "feature vectors instead of requests: CSV lines of a class and numbers; needs no model")
	fs.StringVar(&f.model, "model", "", "model directory below the judge (default: the bundled model)")
	fs.StringVar(&f.judge, "judge", "", "evaluate this saved judge on all requests instead of training one")
	fs.StringVar(&f.config, "config", "", "YAML file (default: built-in values)")
	fs.StringVar(&f.out, "out", "fourclass-out", "output folder")
	fs.IntVar(&f.folds, "folds", 0, "compare all systems by cross-validation over so many grouped folds")
	fs.BoolVar(&f.frozen, "frozen", false, "train the head only")
	fs.Float64Var(&f.certify, "certify", 0, "allow only above a threshold that bounds the false-allow rate by this, certified with 95 % confidence on a part of its own (0: do not); without enough requests nothing is allowed")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of everything (default: the configuration's)")
	if err := fs.Parse(args); err != nil {
		return f, err
	}
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case f.judge != "" && f.folds != 0:
		err = errors.New("-judge and -folds exclude each other")
	case f.certify != 0 && (f.judge != "" || f.folds != 0):
		err = errors.New("-certify belongs to a training")
	case !(f.certify >= 0 && f.certify < 1):
		err = fmt.Errorf("-certify %v, want 0 to below 1", f.certify)
	case f.folds < 0 || f.folds == 1 || f.folds > 50:
		err = fmt.Errorf("-folds %d, want 2 to 50", f.folds)
	}
	return f, err
}

// program is one run.
type program struct {
	flags flags
	cfg   config
	data  requests
	rules label.Rules
	out   io.Writer // results
	log   io.Writer // progress
	tenth int
	what  string
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	p := &program{out: out, log: log}
	var err error
	if p.flags, err = parse(args, log); err != nil {
		return err
	}
	if p.cfg, err = readConfig(p.flags.config, p.flags.seed); err != nil {
		return err
	}
	if p.rules, err = label.Preset("default"); err != nil {
		return err
	}
	if p.data, err = readRequests(p.flags.data, p.flags.features); err != nil {
		return err
	}
	switch {
	case p.flags.judge != "":
		return p.evaluate(ctx)
	case p.flags.folds > 0:
		return p.compare(ctx)
	}
	return p.train(ctx)
}

// progress prints a line every tenth of a training.
func (p *program) progress(what string, step, total int, loss float64) {
	if what != p.what || step == 1 {
		p.what, p.tenth = what, 0
	}
	if t := 10 * step / total; t > p.tenth {
		p.tenth = t
		fmt.Fprintf(p.log, "%s: step %d of %d, loss %.4f\n", what, step, total, loss)
	}
}
