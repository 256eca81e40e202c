package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/qlora"
)

// version of the phases' outputs; raise it when the code changes them.
const version = "2"

// phase is one step: what it reads, what decides its output, and the work.
type phase struct {
	name    string
	inputs  []string // names of earlier phases; "model" is the model directory
	options func(*pipeline) any
	run     func(*pipeline, context.Context, *stage.Work) error
}

// phases lists them in order.
func phases() []phase {
	return []phase{
		{"base_gguf", []string{"model"}, noOptions, (*pipeline).baseGGUF},
		{"data_collection", nil, func(p *pipeline) any { return p.cfg.Collect }, (*pipeline).collect},
		{"data_cleaning", []string{"data_collection"}, func(p *pipeline) any { return p.cfg.Clean }, (*pipeline).clean},
		{"labeling", []string{"data_cleaning"}, noOptions, (*pipeline).label},
		{"splitting", []string{"labeling"}, func(p *pipeline) any { return p.cfg.Split }, (*pipeline).split},
		{"finetune", []string{"model", "splitting"}, finetuneOptions, (*pipeline).finetune},
		{"bake", []string{"model", "finetune"}, noOptions, (*pipeline).bake},
		{"four_class", []string{"bake", "splitting"}, judgeOptions, (*pipeline).trainJudge},
		{"evaluation", []string{"bake", "splitting", "four_class"}, judgeOptions, (*pipeline).evaluate},
		{"gguf", []string{"bake"}, func(p *pipeline) any { return p.cfg.GGUF }, (*pipeline).quantise},
		{"benchmark", []string{"model", "splitting", "finetune", "bake", "gguf"}, benchmarkOptions, (*pipeline).benchmark},
	}
}

func noOptions(*pipeline) any { return nil }

func finetuneOptions(p *pipeline) any {
	return []any{p.cfg.Load, p.cfg.Encode, p.cfg.Training, p.cfg.Ablation, p.cfg.Repeat}
}

func judgeOptions(p *pipeline) any { return []any{p.cfg.Load, p.judge} }

func benchmarkOptions(p *pipeline) any { return []any{p.cfg.Load, p.cfg.Encode, p.cfg.Benchmark} }

func phaseNames() []string {
	var names []string
	for _, p := range phases() {
		names = append(names, p.name)
	}
	return names
}

// pipeline is one run of the program.
type pipeline struct {
	cfg    config
	judge  judgeConfig
	model  string // directory
	out    string
	fresh  bool
	unlock func() error
	bar    *display
	done   []phaseResult
}

type phaseResult struct {
	stage.Result
	took time.Duration
}

func newPipeline(f flags) (*pipeline, error) {
	if f.phase != "all" && !slices.Contains(phaseNames(), f.phase) {
		return nil, fmt.Errorf("-phase %s: unknown; it is all or one of %s", f.phase, strings.Join(phaseNames(), ", "))
	}
	c, j, err := readConfigs(f)
	if err != nil {
		return nil, err
	}
	model := f.model
	if model == "" {
		if model, err = qlora.FindBundledModel(); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(model, "config.json")); err != nil {
		return nil, fmt.Errorf("-model: %w; name a directory in Hugging Face layout", err)
	}
	if err := c.Load.CheckDevice(); err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return nil, fmt.Errorf("-out: %w", err)
	}
	unlock, err := checkpoint.Lock(filepath.Join(f.out, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("-out %s: %w", f.out, err)
	}
	return &pipeline{cfg: c, judge: j, model: model, out: f.out, fresh: f.fresh, unlock: unlock, bar: newDisplay(os.Stderr)}, nil
}

func (p *pipeline) close() {
	if err := p.unlock(); err != nil {
		fmt.Fprintln(os.Stderr, "fullpipeline:", err)
	}
}

// dir returns the output folder of a phase, or of the model.
func (p *pipeline) dir(name string) string {
	if name == "model" {
		return p.model
	}
	return filepath.Join(p.out, name)
}

func (p *pipeline) run(ctx context.Context, only string) error {
	for _, ph := range phases() {
		if only != "all" && ph.name != only {
			continue
		}
		if err := p.runPhase(ctx, ph); err != nil {
			return err
		}
	}
	return nil
}

func (p *pipeline) runPhase(ctx context.Context, ph phase) error {
	spec := stage.Spec{Name: ph.name, Dir: p.out, Options: ph.options(p), Version: version}
	for _, in := range ph.inputs {
		dir := p.dir(in)
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && in != "model" {
			return fmt.Errorf("phase %s needs the output of %s, which is not in %s; run -phase %s first, or all", ph.name, in, p.out, in)
		}
		spec.Inputs = append(spec.Inputs, dir)
	}
	start := time.Now()
	p.bar.phase(ph.name)
	res, err := stage.Run(ctx, spec, stage.Env{Fresh: p.fresh, Logger: p.bar.logger()}, func(ctx context.Context, w *stage.Work) error {
		return ph.run(p, ctx, w)
	})
	p.bar.end()
	if err != nil {
		return err
	}
	p.done = append(p.done, phaseResult{res, time.Since(start)})
	p.bar.finished(res, time.Since(start))
	return nil
}
