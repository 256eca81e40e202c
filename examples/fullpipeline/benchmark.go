package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/eval/harness"
	"github.com/borea-go/borea/gguf"
	"github.com/borea-go/borea/qlora"
)

// modelScore is one model's figures.
type modelScore struct {
	Model string `json:"model"`
	// HeldBack is the split's test part, Templates and Pages its two kinds; Prose
	// is the bundled passages. Perplexities are per token.
	HeldBack  qlora.NLLReport          `json:"held_back"`
	Templates qlora.NLLReport          `json:"templates"`
	Pages     *qlora.NLLReport         `json:"pages,omitempty"`
	Prose     harness.PerplexityResult `json:"prose"`
	Choice    harness.ChoiceResult     `json:"multiple_choice"`
}

// benchmark scores base, tuned, baked and every quantised file on text that no
// phase trained on.
func (p *pipeline) benchmark(ctx context.Context, w *stage.Work) error {
	test, err := readAll(filepath.Join(p.dir("splitting"), "test.jsonl"))
	if err != nil {
		return err
	}
	adapter := filepath.Join(p.dir("finetune"), "adapter")
	baked := filepath.Join(p.dir("bake"), "model")
	var scores []modelScore
	for _, c := range []struct{ name, dir, adapter string }{{"base", p.model, ""}, {"tuned", p.model, adapter}, {"baked", baked, ""}} {
		s, err := p.score(ctx, c.name, c.dir, c.adapter, p.cfg.Load.FirstDevice(), test)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		scores = append(scores, s)
	}
	for _, t := range p.cfg.GGUF.Types {
		s, err := p.scoreGGUF(ctx, w, t, baked, test)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		scores = append(scores, s)
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), scores)
}

// scoreGGUF decodes a GGUF file to bf16 weights and scores those unquantised, so
// that the file's own loss is all that is seen.
func (p *pipeline) scoreGGUF(ctx context.Context, w *stage.Work, name, source string, test []dataset.Sample) (modelScore, error) {
	dir := filepath.Join(w.Dir, ".decoded-"+name)
	if err := os.RemoveAll(dir); err != nil {
		return modelScore{}, err
	}
	file := filepath.Join(p.dir("gguf"), "model-"+name+".gguf")
	if _, err := gguf.ToHFDir(ctx, file, dir, os.DirFS(source), gguf.ToHFOptions{DType: "F32"}, gguf.Env{}); err != nil {
		return modelScore{}, err
	}
	defer os.RemoveAll(dir)
	o := p.cfg.Load.FirstDevice()
	o.Weights, o.Embeddings = "f32", "f32"
	return p.score(ctx, "gguf "+name, dir, "", o, test)
}

func (p *pipeline) score(ctx context.Context, name, dir, adapter string, o qlora.LoadOptions, test []dataset.Sample) (s modelScore, err error) {
	m, err := qlora.OpenWithAdapter(ctx, dir, adapter, o, qlora.Env{})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s.Model = name
	p.bar.show(name, 1, 4)
	if s.HeldBack, err = p.nll(ctx, m, test); err != nil {
		return s, err
	}
	if s.Templates, err = p.nll(ctx, m, onlySource(test, "synthetic")); err != nil {
		return s, err
	}
	p.bar.show(name, 2, 4)
	if pages := onlySource(test, "crawl"); len(pages) > 0 {
		r, err := p.nll(ctx, m, pages)
		if err != nil {
			return s, err
		}
		s.Pages = &r
	}
	p.bar.show(name, 3, 4)
	if s.Prose, err = harness.Perplexity(ctx, m, proseTexts(), harness.PerplexityOptions{Window: p.cfg.Benchmark.Window}); err != nil {
		return s, err
	}
	s.Choice, err = p.choice(ctx, m)
	p.bar.show(name, 4, 4)
	return s, err
}

func (p *pipeline) nll(ctx context.Context, m *qlora.Model, samples []dataset.Sample) (qlora.NLLReport, error) {
	if n := p.cfg.Benchmark.MaxExamples; n > 0 && len(samples) > n {
		samples = samples[:n]
	}
	ex, _, err := qlora.Encode(m.Tokenizer(), samples, p.cfg.Encode)
	if err != nil {
		return qlora.NLLReport{}, err
	}
	return m.NLL(ctx, ex)
}
