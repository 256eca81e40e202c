package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/eval/plot"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/split"
)

const classAllow = label.Allow

// comparison collects the records of several systems on the same requests, as they are
// and with every keyword of the rules hidden.
type comparison struct {
	systems []system
	items   []request
	records map[string][]eval.Record
	masked  map[string][]eval.Record
}

func newComparison(systems []system) *comparison {
	return &comparison{systems: systems, records: map[string][]eval.Record{}, masked: map[string][]eval.Record{}}
}

// ask adds a system's answers. The first system asked also adds the requests.
func (c *comparison) ask(ctx context.Context, s system, items []request, mask func(string) string) error {
	preds, err := s.answer(ctx, texts(items))
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if s.name == c.systems[0].name {
		c.items = append(c.items, items...)
	}
	c.records[s.name] = append(c.records[s.name], recordsOf(items, preds, s.probabilities)...)
	if mask == nil {
		return nil
	}
	hidden := texts(items)
	for i, t := range hidden {
		hidden[i] = mask(t)
	}
	if preds, err = s.answer(ctx, hidden); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	c.masked[s.name] = append(c.masked[s.name], recordsOf(items, preds, s.probabilities)...)
	return nil
}

// masker hides the rules' keywords; nil for vectors, which have no words.
func (p *program) masker() func(string) string {
	if p.data.vectors != nil {
		return nil
	}
	return func(text string) string { return label.Mask(text, p.rules) }
}

// compare runs the cross-validation: every request is judged once by systems that saw
// nothing of its group.
func (p *program) compare(ctx context.Context) error {
	parts := make([]split.Part, p.flags.folds)
	for i := range parts {
		parts[i] = split.Part{Name: fmt.Sprintf("fold%d", i+1), Fraction: 1 / float64(len(parts))}
	}
	folds, rep, err := deal(p.data.items, parts, p.cfg.Split.Seed)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.log, "%d requests in %d folds; nothing in common: %t\n", len(p.data.items), len(folds), rep.Proof.Disjoint)
	var c *comparison
	for k, test := range folds {
		fmt.Fprintf(p.log, "fold %d of %d\n", k+1, len(folds))
		if c, err = p.fold(ctx, c, slices.Concat(slices.Concat(folds[:k]...), slices.Concat(folds[k+1:]...)), test, k); err != nil {
			return err
		}
	}
	return p.writeComparison(c, len(folds), len(folds[0])+len(folds[1]))
}

// fold trains all systems on one part and asks them about the other.
func (p *program) fold(ctx context.Context, c *comparison, rest, test []request, k int) (_ *comparison, err error) {
	parts, _, err := deal(rest, []split.Part{{Name: "train", Fraction: .85}, {Name: "val", Fraction: .15}}, p.cfg.Split.Seed+uint64(k))
	if err != nil {
		return nil, err
	}
	systems, err := p.baselines(rest) // they need no validation part, so that they may have it all
	if err != nil {
		return nil, err
	}
	names, fits := []string{frozen}, []func(context.Context, []request, []request) (*trained, error){p.trainFrozen}
	if p.data.vectors == nil && !p.flags.frozen {
		names, fits = append(names, tuned), append(fits, p.trainLoRA)
	}
	for i, fit := range fits {
		t, err := fit(ctx, parts[0], parts[1])
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.close()) }()
		fmt.Fprintf(p.log, "%s: macro F1 %.3f on validation at epoch %d of %d\n", names[i], t.report.BestMacroF1, t.report.BestEpoch, len(t.report.Epochs))
		systems = append(systems, ofJudge(names[i], t.judge, nil))
	}
	if c == nil {
		c = newComparison(systems)
	}
	for _, s := range systems {
		if err := c.ask(ctx, s, test, p.masker()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// writeComparison certifies on the first two folds' answers, and reports.
func (p *program) writeComparison(c *comparison, folds, calibration int) error {
	best := c.systems[len(c.systems)-1].name
	thresholds, err := certify(c.records[best][:calibration], .01, .05)
	if err != nil {
		return err
	}
	intro := []string{
		fmt.Sprintf("Cross-validation over %d folds: each request was judged by systems that saw nothing of its group (minimal pair, template). %s is the judge; the figures below the comparison are its own.", folds, best),
		"Thresholds are calibrated on the answers of the first two folds; the table of thresholds counts all requests, those among them.",
	}
	return p.write(c, best, plot.Page{Title: "Four-class judge: comparison", Intro: intro, Thresholds: thresholds})
}

// part is a subset of the compared requests.
type part struct {
	name, note string
	masked     bool
	keep       func(request) bool
}

func (p *program) parts() []part {
	all, trained := func(request) bool { return true }, "What learns was trained on the full texts."
	if p.cfg.MaskedCopies {
		trained = "What learns was trained on the full texts and on masked copies of them."
	}
	out := []part{{name: "All requests", keep: all},
		{"Keywords hidden", "The same requests with every word that the rules know replaced by 〇. " + trained, true, all}}
	if p.flags.data != "" || p.data.vectors != nil {
		return out
	}
	return append(out,
		part{"Minimal pairs", "Requests that differ from their partners in intent only.", false, func(r request) bool { return r.kind == "pair" }},
		part{"Minimal pairs, keywords hidden", "", true, func(r request) bool { return r.kind == "pair" }},
		part{"Without typical words", "Requests without a word that is typical of their class.", false, func(r request) bool { return r.kind == "bare" }},
		part{"Danger words, harmless", "Harmless requests full of alarming words: all are ALLOW.", false, func(r request) bool { return r.kind == "danger" }},
		part{"Requests the rules were not written for", "Written after the rules' patterns; on the other requests the rules were tried while they were written.", false, func(r request) bool { return r.heldOut }},
	)
}

// of picks a system's records of a part.
func (c *comparison) of(name string, pt part) (out []eval.Record) {
	records := c.records[name]
	if pt.masked {
		records = c.masked[name]
	}
	for i, r := range records {
		if pt.keep(c.items[i]) {
			out = append(out, r)
		}
	}
	return out
}
