package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/eval/plot"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/qlora"
)

// evaluate measures the judge twice: on the split's held-back templates, whose
// labels come from the templates, and on the library's hand-labelled requests,
// which no rule and no template made.
func (p *pipeline) evaluate(ctx context.Context, w *stage.Work) error {
	judge, closeModel, err := p.loadJudge(ctx)
	if err != nil {
		return err
	}
	e := evaluation{p: p, judge: judge}
	if e.baselines, err = p.baselines(); err == nil {
		err = e.test(ctx, w.Dir)
	}
	if err == nil {
		err = e.authored(ctx, w.Dir)
	}
	return errors.Join(err, closeModel())
}

// evaluation is a judge and what it has to beat.
type evaluation struct {
	p         *pipeline
	judge     *classifier.Judge
	baselines []baseline
}

func (e evaluation) test(ctx context.Context, dir string) error {
	examples, samples, err := e.p.requests("test", 0, map[string]int{})
	if err != nil {
		return err
	}
	records := make([]eval.Record, len(samples))
	for i, s := range samples {
		records[i] = eval.Record{ID: s.ID, Truth: s.Label, Cluster: s.TemplateID, Domain: s.Domain, LabelSource: s.LabelSource}
	}
	return e.run(ctx, examples, records, dir, "Judge on held-back templates")
}

func (e evaluation) authored(ctx context.Context, dir string) error {
	gold, err := label.Gold()
	if err != nil {
		return err
	}
	var examples []classifier.Example
	var records []eval.Record
	for _, g := range gold {
		examples = append(examples, classifier.Example{Text: g.Text, Class: g.Label})
		records = append(records, eval.Record{ID: g.ID, Truth: g.Label, Cluster: g.Pair, Domain: g.Domain, LabelSource: g.Source})
	}
	return e.run(ctx, examples, records, filepath.Join(dir, "authored"), "Judge on hand-labelled requests")
}

// run predicts, measures against baselines, and writes report, records,
// pictures and the page that shows them together.
func (e evaluation) run(ctx context.Context, examples []classifier.Example, records []eval.Record, dir, title string) error {
	texts := make([]string, len(examples))
	for i, ex := range examples {
		texts[i] = ex.Text
	}
	preds, _, err := e.judge.Predict(ctx, texts)
	if err != nil {
		return err
	}
	for i, pr := range preds {
		records[i].Pred, records[i].Failure = pr.Class, pr.Failed
		if pr.Failed == "" {
			records[i].P = append([]float64(nil), pr.P[:]...)
		}
	}
	var baselines []eval.Baseline
	for _, b := range e.baselines {
		baselines = append(baselines, b.on(texts))
	}
	rep, err := eval.Evaluate(records, eval.DefaultOptions(), baselines...)
	if err != nil {
		return err
	}
	page := plot.Page{Title: title, Intro: []string{"Labels come from " + records[0].LabelSource + "; baselines learned from the same requests as the judge."},
		Report: rep, Records: records, Texts: map[string]string{}}
	for i, r := range records {
		page.Texts[r.ID] = texts[i]
	}
	return writeEvaluation(dir, page)
}

// baseline answers a text without a model.
type baseline struct {
	name  string
	class func(text string) label.Class
}

func (b baseline) on(texts []string) eval.Baseline {
	out := eval.Baseline{Name: b.name}
	for _, t := range texts {
		out.Pred = append(out.Pred, b.class(t))
	}
	return out
}

// baselines are what a judge has to beat: the majority class of the training
// part, the rules, and naive Bayes over the rules' keywords and over characters.
func (p *pipeline) baselines() ([]baseline, error) {
	train, _, err := p.requests("train", 0, map[string]int{})
	if err != nil {
		return nil, err
	}
	classes := make([]label.Class, len(train))
	for i, ex := range train {
		classes[i] = ex.Class
	}
	rules, err := label.Preset("default")
	if err != nil {
		return nil, err
	}
	most := eval.Majority(classes, 1)
	out := []baseline{{most.Name, func(string) label.Class { return most.Pred[0] }},
		{"rules", func(t string) label.Class { return label.FourClass(t, rules).Class }}}
	for _, c := range []struct {
		name  string
		words func(string) []string
	}{{"naive Bayes, the rules' keywords", rules.Keywords}, {"naive Bayes, 1 to 3 characters", classifier.CharNGrams(1, 3)}} {
		b, err := classifier.FitNaiveBayes(train, c.words, 1)
		if err != nil {
			return nil, err
		}
		out = append(out, baseline{c.name, func(t string) label.Class { return b.Predict(t).Class }})
	}
	return out, nil
}

func writeEvaluation(dir string, page plot.Page) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		qlora.WriteReport(filepath.Join(dir, "report.json"), page.Report),
		create(filepath.Join(dir, "predictions.jsonl"), func(w io.Writer) error { return eval.WriteRecords(w, page.Records) }),
		create(filepath.Join(dir, "report.html"), func(w io.Writer) error { return page.WriteHTML(w, plot.DefaultStyle()) }),
		drawConfusion(dir, page.Report))
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func drawConfusion(dir string, rep eval.Report) error {
	style := plot.DefaultStyle()
	counts, err := plot.ConfusionCounts(rep.Decision.Confusion, "Requests", style)
	if err != nil {
		return err
	}
	shares, err := plot.ConfusionShares(rep.Decision.Confusion, "Share of each true class", style)
	if err != nil {
		return err
	}
	return errors.Join(counts.Save(filepath.Join(dir, "confusion")), shares.Save(filepath.Join(dir, "confusion-shares")))
}

// verdict adds the judge's figures to the summary.
func (p *pipeline) verdict(w io.Writer) {
	for _, set := range []struct{ name, dir string }{{"judge, held-back templates", ""}, {"judge, hand-labelled", "authored"}} {
		var r eval.Report
		if !readReport(filepath.Join(p.dir("evaluation"), set.dir, "report.json"), &r) {
			continue
		}
		fmt.Fprintf(w, "\n%s\tn %d\tmacro F1 %v\taccuracy %v\tfalse allow %d of %d (upper %v)\t\n", set.name, r.N,
			r.Decision.MacroFixed.F1, r.Decision.Accuracy.Rate, r.Safety.FalseAllow.K, r.Safety.FalseAllow.N, r.Safety.FalseAllow.UpperOneSided)
		for _, b := range r.Baselines {
			fmt.Fprintf(w, "  %s\t\tmacro F1 %v\taccuracy %v\tfalse allow %d of %d\t\n", b.Name, b.MacroF1, b.Accuracy, b.FalseAllow.K, b.FalseAllow.N)
		}
	}
}
