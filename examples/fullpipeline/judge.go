package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/qlora"
)

// judgeReport is the four_class phase's report.
type judgeReport struct {
	Training classifier.Report `json:"training"`
	// LabelSources names who labelled the training requests.
	LabelSources map[string]int `json:"label_sources"`
	Train        int            `json:"train"`
	Val          int            `json:"val"`
}

// requests returns the labelled requests of one part: conversations only, since a
// page is no request. limit bounds each class, 0 for all.
func (p *pipeline) requests(part string, limit int, sources map[string]int) ([]classifier.Example, []dataset.Sample, error) {
	samples, err := readAll(filepath.Join(p.dir("splitting"), part+".jsonl"))
	if err != nil {
		return nil, nil, err
	}
	var out []classifier.Example
	var kept []dataset.Sample
	var count [label.Count]int
	for _, s := range samples {
		k := s.Label.Index()
		if len(s.Messages) == 0 || k < 0 || limit > 0 && count[k] >= limit {
			continue
		}
		count[k]++
		sources[s.LabelSource]++
		out = append(out, classifier.Example{Text: s.Request(), Class: s.Label})
		kept = append(kept, s)
	}
	return out, kept, nil
}

func (p *pipeline) trainJudge(ctx context.Context, w *stage.Work) error {
	rep := judgeReport{LabelSources: map[string]int{}}
	train, _, err := p.requests("train", p.judge.MaxPerClass, rep.LabelSources)
	if err != nil {
		return err
	}
	val, _, err := p.requests("val", p.judge.MaxPerClass, rep.LabelSources)
	if err != nil {
		return err
	}
	rep.Train, rep.Val = len(train), len(val)
	m, err := p.load(ctx, filepath.Join(p.dir("bake"), "model"))
	if err != nil {
		return err
	}
	defer m.Close()
	b, err := qlora.NewBackbone(m, p.judge.Backbone)
	if err != nil {
		return err
	}
	head, err := p.fit(ctx, b, train, val, w.Dir, &rep)
	if err != nil {
		return err
	}
	return p.saveJudge(w.Dir, head, b, rep)
}

func (p *pipeline) fit(ctx context.Context, b *qlora.Backbone, train, val []classifier.Example, dir string, rep *judgeReport) (head *classifier.Head, err error) {
	store, err := checkpoint.Open(filepath.Join(dir, ".checkpoints"), checkpoint.DefaultOptions(), checkpoint.Env{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	env := classifier.Env{Checkpoints: store, Progress: func(step, total int, _ float64) { p.bar.show("judge", step, total) }}
	head, rep.Training, err = classifier.Train(ctx, b, train, val, p.judge.Training, env)
	rep.Training.ResumedFrom = 0
	return head, err
}

func (p *pipeline) saveJudge(dir string, head *classifier.Head, b *qlora.Backbone, rep judgeReport) error {
	a, err := b.Adapter()
	if err != nil {
		return err
	}
	a.Base = "bake/model"
	if err := a.Save(filepath.Join(dir, "judge", "adapter")); err != nil {
		return err
	}
	if err := classifier.SaveHead(filepath.Join(dir, "judge"), head, p.judge.Training); err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(dir, "report.json"), rep)
}

// loadJudge reads the judge back from its files.
func (p *pipeline) loadJudge(ctx context.Context) (*classifier.Judge, func() error, error) {
	m, err := p.load(ctx, filepath.Join(p.dir("bake"), "model"))
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(p.dir("four_class"), "judge")
	a, err := qlora.LoadAdapter(os.DirFS(filepath.Join(dir, "adapter")))
	if err == nil {
		err = m.Attach(a)
	}
	if err != nil {
		return nil, nil, errors.Join(err, m.Close())
	}
	head, _, err := classifier.LoadHead(os.DirFS(dir))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", dir, err), m.Close())
	}
	return &classifier.Judge{Head: head, Backbone: m, BatchSize: 32}, m.Close, nil
}
