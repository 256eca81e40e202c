package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/split"
)

// watch shows progress over a stream.
func (p *pipeline) watch(what string, total int, in iter.Seq2[dataset.Sample, error]) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		n := 0
		for s, err := range in {
			n++
			p.bar.show(what, n, total)
			if !yield(s, err) {
				return
			}
		}
	}
}

// writeSamples writes at most limit samples and returns how many.
func writeSamples(path string, limit int, in iter.Seq2[dataset.Sample, error]) (n int64, err error) {
	err = create(path, func(w io.Writer) error {
		n, err = dataset.Write(w, dataset.FormatOf(path), take(limit, in))
		return err
	})
	return n, err
}

func take(limit int, in iter.Seq2[dataset.Sample, error]) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		n := 0
		for s, err := range in {
			if n++; n > limit || !yield(s, err) {
				return
			}
		}
	}
}

// readAll reads a JSONL file into memory.
func readAll(path string) ([]dataset.Sample, error) {
	var out []dataset.Sample
	for s, err := range dataset.ReadFile(path, dataset.DefaultReadOptions()) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *pipeline) clean(ctx context.Context, w *stage.Work) error {
	files, err := filepath.Glob(filepath.Join(p.dir("data_collection"), "*.jsonl"))
	if err != nil {
		return err
	}
	in := func(yield func(dataset.Sample, error) bool) {
		for _, f := range files {
			for s, err := range dataset.ReadFile(f, dataset.DefaultReadOptions()) {
				if !yield(s, err) {
					return
				}
			}
		}
	}
	kept, rep := dataset.Clean(ctx, in, p.cfg.Clean, dataset.Env{})
	n, err := writeSamples(filepath.Join(w.Dir, "cleaned.jsonl"), 1<<62, kept)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("nothing is left of %d samples after cleaning; see the drops: %v", rep.In, rep.Dropped)
	}
	if err := rep.Check(); err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), rep)
}

// labelReport counts labels by class and by who gave them.
type labelReport struct {
	Samples int            `json:"samples"`
	Classes map[string]int `json:"classes"`
	Sources map[string]int `json:"label_sources"`
	// Agreement is the share of template-labelled requests that the rules label
	// alike; it says how hard the task is for rules, not how good the labels are.
	Agreement float64 `json:"rules_agree_with_templates"`
}

// label gives a class to what has none, by rules; templates keep theirs.
func (p *pipeline) label(_ context.Context, w *stage.Work) error {
	samples, err := readAll(filepath.Join(p.dir("data_cleaning"), "cleaned.jsonl"))
	if err != nil {
		return err
	}
	rules, err := label.Preset("default")
	if err != nil {
		return err
	}
	rep := labelReport{Samples: len(samples), Classes: map[string]int{}, Sources: map[string]int{}}
	agree, templates := 0, 0
	for i := range samples {
		s := &samples[i]
		d := label.FourClass(s.Request(), rules)
		if s.Label.Valid() {
			templates++
			if d.Class == s.Label {
				agree++
			}
		} else {
			s.Label, s.LabelSource, s.Why = d.Class, "rules", d.RuleIDs()
		}
		rep.Classes[s.Label.String()]++
		rep.Sources[s.LabelSource]++
	}
	rep.Agreement = float64(agree) / float64(max(1, templates))
	if _, err := writeSamples(filepath.Join(w.Dir, "labeled.jsonl"), len(samples), each(samples)); err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), rep)
}

func each(samples []dataset.Sample) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		for _, s := range samples {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// split divides by class; a template, or a page, is on one side only.
func (p *pipeline) split(_ context.Context, w *stage.Work) error {
	samples, err := readAll(filepath.Join(p.dir("labeling"), "labeled.jsonl"))
	if err != nil {
		return err
	}
	keys := split.Keys[dataset.Sample]{
		ID:     func(s dataset.Sample) string { return s.ID },
		Class:  func(s dataset.Sample) string { return s.Label.String() },
		Groups: groupsOf,
	}
	res, err := split.Stratified(samples, keys, p.cfg.Split)
	if err != nil {
		return err
	}
	for i, part := range p.cfg.Split.Parts {
		items := split.Take(samples, res, i)
		if _, err := writeSamples(filepath.Join(w.Dir, part.Name+".jsonl"), len(items), each(items)); err != nil {
			return err
		}
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), res.Report)
}

// groupsOf keeps a template's samples together, and a page's by its address.
func groupsOf(s dataset.Sample) []string {
	groups := []string{s.TemplateID}
	if u, err := url.Parse(s.URL); err == nil && s.URL != "" {
		groups = append(groups, u.Host+u.Path)
	}
	return groups
}
