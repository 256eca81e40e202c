package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/gguf"
	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/so8t"
)

// env passes the library's progress and warnings to the display.
func (p *pipeline) env() qlora.Env {
	return qlora.Env{Logger: p.bar.logger(), Progress: func(s qlora.Progress) {
		if s.Stage == "train" || s.Stage == "merge" {
			p.bar.show(s.Stage, s.Done, s.Total)
		}
	}}
}

// load is for everything but fine-tuning, which alone uses several devices.
func (p *pipeline) load(ctx context.Context, dir string) (*qlora.Model, error) {
	return qlora.Load(ctx, dir, p.cfg.Load.FirstDevice(), p.env())
}

// finetuneReport is the finetune phase's report.
type finetuneReport struct {
	Encode   map[string]qlora.EncodeReport `json:"encode"`
	Training qlora.TrainReport             `json:"training"`
	Gates    *so8t.Report                  `json:"gates,omitempty"`
	Ablation []ablationResult              `json:"ablation,omitempty"`
}

// ablationResult is a short run of one variant.
type ablationResult struct {
	Variant string  `json:"variant"`
	Steps   int     `json:"steps"`
	EvalNLL float64 `json:"eval_nll"`
}

func (p *pipeline) finetune(ctx context.Context, w *stage.Work) error {
	m, err := qlora.Load(ctx, p.model, p.cfg.Load, p.env())
	if err != nil {
		return err
	}
	defer m.Close()
	rep := finetuneReport{Encode: map[string]qlora.EncodeReport{}}
	train, err := p.examples(m, "train", &rep)
	if err != nil {
		return err
	}
	val, err := p.examples(m, "val", &rep)
	if err != nil {
		return err
	}
	if err := p.mainRun(ctx, m, w.Dir, train, val, &rep); err != nil {
		return err
	}
	if rep.Ablation, err = p.ablation(ctx, m, w.Dir, train, val); err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), rep)
}

// examples encodes one part of the split.
func (p *pipeline) examples(m *qlora.Model, part string, rep *finetuneReport) ([]qlora.Example, error) {
	samples, err := readAll(filepath.Join(p.dir("splitting"), part+".jsonl"))
	if err != nil {
		return nil, err
	}
	if part == "train" {
		samples = repeat(samples, p.cfg.Repeat)
	}
	ex, r, err := qlora.Encode(m.Tokenizer(), samples, p.cfg.Encode)
	if rep != nil {
		rep.Encode[part] = r
	}
	return ex, err
}

func (p *pipeline) mainRun(ctx context.Context, m *qlora.Model, dir string, train, val []qlora.Example, rep *finetuneReport) error {
	dirs := qlora.Dirs{Checkpoints: filepath.Join(dir, ".checkpoints"), Logs: filepath.Join(p.out, "logs", "finetune")}
	tr, err := qlora.NewTrainer(m, p.cfg.Training, dirs, p.env())
	if err != nil {
		return err
	}
	if rep.Training, err = tr.Run(ctx, train, val); err != nil {
		return err
	}
	// How often the run was interrupted is not part of its result.
	rep.Training.ResumedFrom, rep.Training.Saves, rep.Training.Tokens = 0, 0, 0
	a, err := tr.Adapter()
	if err != nil {
		return err
	}
	a.Base = "base"
	if a.Gates != nil {
		g := a.Gates.Report()
		rep.Gates = &g
	}
	return errors.Join(a.Save(filepath.Join(dir, "adapter")), tr.Close())
}

// ablation runs short variants: what gates and PET change at equal steps.
func (p *pipeline) ablation(ctx context.Context, m *qlora.Model, dir string, train, val []qlora.Example) ([]ablationResult, error) {
	var out []ablationResult
	if p.cfg.Ablation.Steps == 0 {
		return nil, nil
	}
	for _, v := range []struct {
		name       string
		gates, pet bool
	}{{"lora", false, false}, {"lora+gates", true, false}, {"lora+gates+pet", true, true}} {
		r, err := p.variant(ctx, m, filepath.Join(dir, ".ablation-"+v.name+".json"), v.name, v.gates, v.pet, train, val)
		if err != nil {
			return nil, fmt.Errorf("ablation %s: %w", v.name, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// variant runs one of them, unless an interrupted run left its result.
func (p *pipeline) variant(ctx context.Context, m *qlora.Model, path, name string, gates, pet bool, train, val []qlora.Example) (ablationResult, error) {
	var r ablationResult
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &r) == nil {
		return r, nil
	}
	o := p.cfg.Training
	o.MaxSteps, o.SO8T.Enabled, o.PET.Enabled = p.cfg.Ablation.Steps, gates, pet
	tr, err := qlora.NewTrainer(m, o, qlora.Dirs{}, p.env())
	if err != nil {
		return r, err
	}
	rep, err := tr.Run(ctx, train, val)
	if err = errors.Join(err, tr.Close()); err != nil {
		return r, err
	}
	r = ablationResult{name, rep.Steps, rep.Evals[len(rep.Evals)-1].NLL}
	return r, qlora.WriteReport(path, r)
}

// bakeReport is the bake phase's report.
type bakeReport struct {
	Merge      qlora.MergeReport `json:"merge"`
	Gates      *so8t.Report      `json:"gates,omitempty"`
	Divergence qlora.Divergence  `json:"divergence"` // tuned against baked, after rounding to bf16
}

// bake folds adapter and gates into the weights.
func (p *pipeline) bake(ctx context.Context, w *stage.Work) error {
	a, err := qlora.LoadAdapter(os.DirFS(filepath.Join(p.dir("finetune"), "adapter")))
	if err != nil {
		return err
	}
	var rep bakeReport
	if a.Gates != nil {
		g := a.Gates.Report()
		rep.Gates = &g
	}
	dir := filepath.Join(w.Dir, "model")
	if rep.Merge, err = qlora.Merge(ctx, os.DirFS(p.model), a, dir, p.env()); err != nil {
		return err
	}
	if rep.Divergence, err = p.diverge(ctx, a, dir); err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), rep)
}

// diverge compares adapter and baked weights where nothing is quantised.
func (p *pipeline) diverge(ctx context.Context, a *qlora.Adapter, baked string) (qlora.Divergence, error) {
	o := p.cfg.Load.FirstDevice()
	o.Weights = "bf16"
	tuned, err := qlora.Load(ctx, p.model, o, qlora.Env{})
	if err != nil {
		return qlora.Divergence{}, err
	}
	defer tuned.Close()
	if err := tuned.Attach(a); err != nil {
		return qlora.Divergence{}, err
	}
	other, err := qlora.Load(ctx, baked, o, qlora.Env{})
	if err != nil {
		return qlora.Divergence{}, err
	}
	defer other.Close()
	ids := append([]int32{1}, tuned.Encode(proseTexts()[0])...)
	return qlora.Diverge(ctx, tuned, other, ids[:min(len(ids), 128)])
}

func (p *pipeline) baseGGUF(ctx context.Context, w *stage.Work) error {
	return p.convert(ctx, p.model, w.Dir, "F16")
}

func (p *pipeline) quantise(ctx context.Context, w *stage.Work) error {
	for _, t := range p.cfg.GGUF.Types {
		if err := p.convert(ctx, filepath.Join(p.dir("bake"), "model"), w.Dir, t); err != nil {
			return err
		}
	}
	return nil
}

// convert writes model-TYPE.gguf and its report.
func (p *pipeline) convert(ctx context.Context, dir, out, name string) error {
	recipe, err := gguf.ParseRecipe(name)
	if err != nil {
		return err
	}
	o := gguf.DefaultConvertOptions()
	o.Recipe = recipe
	env := gguf.Env{Progress: func(done, total int64) { p.bar.show(name, int(done>>10), int(total>>10)) }}
	rep, err := gguf.ConvertHFFile(ctx, dir, filepath.Join(out, "model-"+name+".gguf"), o, env)
	if err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(out, "report-"+name+".json"), rep)
}

// repeat gives scarce sources the weight that the configuration asks for.
func repeat(samples []dataset.Sample, times map[string]int) []dataset.Sample {
	var out []dataset.Sample
	for _, s := range samples {
		for range max(1, times[s.Source]) {
			out = append(out, s)
		}
	}
	return out
}

// onlySource keeps samples of one source.
func onlySource(samples []dataset.Sample, source string) []dataset.Sample {
	var out []dataset.Sample
	for _, s := range samples {
		if s.Source == source {
			out = append(out, s)
		}
	}
	return out
}
