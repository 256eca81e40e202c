// Command trainlora fine-tunes a LoRA adapter on a JSONL file.
//
//	go run ./examples/trainlora -config examples/trainlora/config.yaml -data train.jsonl -out adapter
//
// It resumes by itself: run the same command again after an interruption.
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

	"github.com/goccy/go-yaml"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/qlora"
)

type config struct {
	Load     qlora.LoadOptions   `yaml:"load"`
	Encode   qlora.EncodeOptions `yaml:"encode"`
	Training qlora.Options       `yaml:"training"`
}

func main() {
	err := run()
	if errors.Is(err, qlora.ErrInterrupted) {
		fmt.Fprintln(os.Stderr, "trainlora:", err)
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "trainlora:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("model", "", "model directory (default: the bundled model, found from the working directory upwards)")
	path := flag.String("config", "", "YAML file (default: built-in values)")
	data := flag.String("data", "", "training samples, JSONL")
	eval := flag.String("eval", "", "evaluation samples, JSONL")
	out := flag.String("out", "adapter", "output folder; checkpoints and logs go below it")
	device := flag.String("device", "", "cpu, or cuda in a program built with that tag; cuda:0,1 trains on two (default: the configuration's)")
	flag.Parse()
	if *data == "" {
		return errors.New("-data is required")
	}
	cfg, err := readConfig(*path)
	if err != nil {
		return err
	}
	if *device != "" {
		cfg.Load.Device = *device
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := qlora.Env{Progress: func(p qlora.Progress) {
		if p.Stage == "train" {
			fmt.Fprintf(os.Stderr, "step %d of %d: loss %.4f\n", p.Done, p.Total, p.Loss)
		}
	}}
	if *dir == "" {
		if *dir, err = qlora.FindBundledModel(); err != nil {
			return err
		}
	}
	plan, err := qlora.PredictMemory(os.DirFS(*dir), cfg.Load, cfg.Training)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "memory:", plan)
	m, err := qlora.OpenWithAdapter(ctx, *dir, "", cfg.Load, env)
	if err != nil {
		return err
	}
	defer m.Close()
	return train(ctx, m, cfg, *data, *eval, *out, env)
}

func train(ctx context.Context, m *qlora.Model, cfg config, data, eval, out string, env qlora.Env) error {
	examples, err := read(m, data, cfg.Encode)
	if err != nil {
		return err
	}
	var held []qlora.Example
	if eval != "" {
		if held, err = read(m, eval, cfg.Encode); err != nil {
			return err
		}
	}
	dirs := qlora.Dirs{Checkpoints: filepath.Join(out, "checkpoints"), Logs: filepath.Join(out, "logs")}
	tr, err := qlora.NewTrainer(m, cfg.Training, dirs, env)
	if err != nil {
		return err
	}
	rep, err := tr.Run(ctx, examples, held)
	if err != nil {
		return err
	}
	a, err := tr.Adapter()
	if err != nil {
		return err
	}
	fmt.Printf("%d steps, loss %.4f to %.4f\n", rep.Steps, rep.FirstLoss, rep.LastLoss)
	return a.Save(out)
}

func readConfig(path string) (config, error) {
	c := config{
		Load:     qlora.DefaultLoadOptions(),
		Encode:   qlora.EncodeOptions{MaxLength: 512, ResponsesOnly: true},
		Training: qlora.DefaultOptions(),
	}
	c.Training.MaxLength = 512
	if path == "" {
		return c, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict()); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, c.Training.Validate()
}

func read(m *qlora.Model, path string, o qlora.EncodeOptions) ([]qlora.Example, error) {
	var samples []dataset.Sample
	for s, err := range dataset.ReadFile(path, dataset.DefaultReadOptions()) {
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	ex, rep, err := qlora.Encode(m.Tokenizer(), samples, o)
	if err == nil {
		fmt.Fprintf(os.Stderr, "%s: %d examples, %d tokens, %d cut\n", path, rep.Examples, rep.Tokens, rep.Cut)
	}
	return ex, err
}
