package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/eval/plot"
	"github.com/borea-go/borea/qlora"
)

// comparisonReport is comparison.json: every system's report on every part.
type comparisonReport struct {
	Parts []partReport `json:"parts"`
}

type partReport struct {
	Name    string                 `json:"name"`
	Systems map[string]eval.Report `json:"systems"`
}

// write makes report.html, report.json with its schema, predictions.jsonl, and
// comparison.json, and prints the comparison.
func (p *program) write(c *comparison, judge string, page plot.Page) error {
	page.Records, page.Texts = c.records[judge], map[string]string{}
	for _, r := range c.items {
		page.Texts[r.id] = r.text
	}
	var err error
	if page.Report, err = eval.Evaluate(page.Records, eval.DefaultOptions(), c.baselinesOf(judge)...); err != nil {
		return err
	}
	page.Report.Hashes = p.hashes()
	if page.Parts, err = p.partsOf(c); err != nil {
		return err
	}
	if err := os.MkdirAll(p.flags.out, 0o755); err != nil {
		return err
	}
	p.print(page)
	return p.files(page)
}

// baselinesOf are the other systems' decisions.
func (c *comparison) baselinesOf(judge string) (out []eval.Baseline) {
	for _, s := range c.systems {
		if s.name == judge {
			continue
		}
		b := eval.Baseline{Name: s.name}
		for _, r := range c.records[s.name] {
			b.Pred = append(b.Pred, r.Pred)
		}
		out = append(out, b)
	}
	return out
}

// hashes say what was judged by what.
func (p *program) hashes() map[string]string {
	name, version := p.rules.Name()
	h := map[string]string{"requests_sha256": p.data.hash, "rules": fmt.Sprintf("%s %d", name, version)}
	if p.data.vectors == nil {
		h["model"] = "bundled"
		if p.flags.model != "" {
			h["model"] = filepath.Base(p.flags.model)
		}
	}
	return h
}

// partsOf evaluates every system on every part that has requests.
func (p *program) partsOf(c *comparison) ([]plot.Part, error) {
	var out []plot.Part
	o := eval.DefaultOptions()
	o.Bootstrap.Replicates = 0 // intervals are in the judge's own report
	for _, pt := range p.parts() {
		one := plot.Part{Name: pt.name, Note: pt.note}
		for _, s := range c.systems {
			records := c.of(s.name, pt)
			if len(records) == 0 {
				continue
			}
			rep, err := eval.Evaluate(records, o)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", pt.name, s.name, err)
			}
			one.Systems = append(one.Systems, plot.System{Name: s.name, Report: rep})
		}
		if len(one.Systems) > 0 {
			out = append(out, one)
		}
	}
	return out, nil
}

// print writes the comparison as text.
func (p *program) print(page plot.Page) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, pt := range page.Parts {
		fmt.Fprintf(w, "%s (%d)\tmacro F1\taccuracy\tunsafe allowed\tat most\tescalated\tECE\n", pt.Name, pt.Systems[0].Report.N)
		for _, s := range pt.Systems {
			r := s.Report
			fmt.Fprintf(w, "  %s\t%s\t%s\t%d of %d\t%s\t%s\t%s\n", s.Name, three(r.Decision.MacroFixed.F1), three(r.Decision.Accuracy.Rate),
				r.Safety.FalseAllow.K, r.Safety.FalseAllow.N, three(r.Safety.FalseAllow.UpperOneSided), three(r.Safety.EscalationLoad.Rate), three(r.Calibration.Width.L1))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintf(p.out, "report: %s\n", filepath.Join(p.flags.out, "report.html"))
}

func three(m eval.Measure) string {
	if v, ok := m.Value(); ok {
		return fmt.Sprintf("%.3f", v)
	}
	return "n/a"
}

func (p *program) files(page plot.Page) error {
	cmp := comparisonReport{}
	for _, pt := range page.Parts {
		one := partReport{pt.Name, map[string]eval.Report{}}
		for _, s := range pt.Systems {
			one.Systems[s.Name] = s.Report
		}
		cmp.Parts = append(cmp.Parts, one)
	}
	in := func(name string) string { return filepath.Join(p.flags.out, name) }
	return errors.Join(
		create(in("report.html"), func(f *os.File) error { return page.WriteHTML(f, plot.DefaultStyle()) }),
		create(in("report.json"), func(f *os.File) error { return page.Report.WriteJSON(f) }),
		os.WriteFile(in("report.schema.json"), []byte(eval.ReportSchema()), 0o644),
		create(in("predictions.jsonl"), func(f *os.File) error { return eval.WriteRecords(f, page.Records) }),
		qlora.WriteReport(in("comparison.json"), cmp),
		p.confusion(page),
	)
}

// confusion also saves the matrix as PNG and SVG, for use elsewhere.
func (p *program) confusion(page plot.Page) error {
	f, err := plot.ConfusionCounts(page.Report.Decision.Confusion, "Requests", plot.DefaultStyle())
	if err != nil {
		return err
	}
	return f.Save(filepath.Join(p.flags.out, "confusion"))
}

func create(path string, write func(*os.File) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
