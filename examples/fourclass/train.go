package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/eval/plot"
)

// train splits the requests, trains a judge, certifies and saves it, and evaluates it on
// the test part, beside the baselines fitted on the training part.
func (p *program) train(ctx context.Context) error {
	parts, rep, err := deal(p.data.items, p.cfg.Split.Parts, p.cfg.Split.Seed)
	if err != nil {
		return err
	}
	train, val, calibration, test := parts[0], parts[1], parts[2], parts[3]
	fmt.Fprintf(p.log, "%d requests to train on, %d to validate, %d to calibrate, %d to test; nothing in common: %t\n", len(train), len(val), len(calibration), len(test), rep.Proof.Disjoint)
	fit, name := p.trainLoRA, tuned
	if p.flags.frozen || p.data.vectors != nil {
		fit, name = p.trainFrozen, frozen
	}
	t, err := fit(ctx, train, val)
	if err != nil {
		return err
	}
	thresholds, err := p.calibrate(ctx, t, calibration)
	if err == nil {
		err = t.save(filepath.Join(p.flags.out, "judge"), p.data.vectors != nil)
	}
	if err == nil {
		err = os.RemoveAll(p.checkpoints()) // the judge is saved: a further run is a new one
	}
	if err == nil {
		err = p.judged(ctx, ofJudge(name, t.judge, nil), train, test, plot.Page{Title: "Four-class judge", Thresholds: thresholds, Intro: []string{
			fmt.Sprintf("%s: trained on %d requests, stopped and its temperature fitted on %d others, thresholds calibrated on %d, judged here on %d that none of this saw.", name, len(train), len(val), len(calibration), len(test)),
			temperatureText(t.temper), thresholdText(t.threshold),
		}})
	}
	return errors.Join(err, t.close())
}

// calibrate certifies thresholds on requests of their own, and makes the judge keep the
// one that -certify asks for: infeasible, it allows nothing.
func (p *program) calibrate(ctx context.Context, t *trained, calibration []request) ([]eval.Threshold, error) {
	preds, _, err := t.judge.Predict(ctx, texts(calibration))
	if err != nil {
		return nil, err
	}
	records := recordsOf(calibration, preds, true)
	thresholds, err := certify(records, .01, .05)
	if err != nil || p.flags.certify == 0 {
		return thresholds, err
	}
	asked, err := certify(records, p.flags.certify)
	if err != nil {
		return nil, err
	}
	t.threshold, t.judge.AllowAbove = &asked[0], asked[0].Tau
	return asked, nil
}

// evaluate judges all requests with a saved judge.
func (p *program) evaluate(ctx context.Context) error {
	t, err := p.open(ctx, p.flags.judge)
	if err != nil {
		return err
	}
	err = p.judged(ctx, ofJudge("saved judge", t.judge, nil), p.data.items, p.data.items, plot.Page{Title: "Four-class judge", Intro: []string{
		fmt.Sprintf("The judge saved in %s, on all %d requests. Whether it was trained on any of them is not known here. The baselines that learn were fitted on these very requests and flatter themselves.", filepath.Base(p.flags.judge), len(p.data.items)),
		temperatureText(t.temper), thresholdText(t.threshold),
	}})
	return errors.Join(err, t.close())
}

func thresholdText(t *eval.Threshold) string {
	switch {
	case t == nil:
		return "The judge allows whatever ALLOW is most probable for; no threshold is applied."
	case !t.Feasible:
		return fmt.Sprintf("A false-allow rate of %g could not be certified: %s. The judge allows nothing.", t.Alpha, t.Reason)
	}
	return fmt.Sprintf("The judge allows only above p(ALLOW) = %.4f, certified for a false-allow rate of %g with confidence %g on requests like the calibration part's.", t.Tau, t.Alpha, 1-t.Delta)
}

func temperatureText(t eval.Temperature) string {
	if t.AtBound {
		return "Temperature scaling found no temperature within its bounds; the probabilities are as trained."
	}
	return fmt.Sprintf("Temperature %.3f, fitted on the validation part (negative log-likelihood %.4f before, %.4f after).", t.T, t.Before, t.After)
}

// judged asks judge and baselines and writes the report.
func (p *program) judged(ctx context.Context, judge system, train, test []request, page plot.Page) error {
	all, err := p.baselines(train)
	if err != nil {
		return err
	}
	c := newComparison(append(all, judge))
	for _, s := range c.systems {
		if err := c.ask(ctx, s, test, p.masker()); err != nil {
			return err
		}
	}
	return p.write(c, judge.name, page)
}

// certify asks for thresholds at some rates, both ways, Learn-then-Test first.
func certify(records []eval.Record, alphas ...float64) (out []eval.Threshold, err error) {
	var scores []float64
	for _, r := range records {
		if !r.Truth.Unsafe() {
			continue
		}
		score := -1.0
		if r.Failure == "" && r.Pred == classAllow {
			score = r.P[classAllow.Index()]
		}
		scores = append(scores, score)
	}
	for _, alpha := range alphas {
		for _, method := range []eval.Certificate{eval.LearnThenTest, eval.ConformalRisk} {
			t, err := eval.CertifyAllow(scores, method, alpha, .05)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// recordsOf pairs requests with answers.
func recordsOf(items []request, preds []classifier.Prediction, probabilities bool) []eval.Record {
	out := make([]eval.Record, len(items))
	for i, r := range items {
		out[i] = eval.Record{ID: r.id, Truth: r.class, Pred: preds[i].Class, Failure: preds[i].Failed,
			Cluster: r.group, Domain: r.domain, Kind: r.kind, LabelSource: r.source}
		if probabilities && preds[i].Failed == "" {
			out[i].P = append([]float64(nil), preds[i].P[:]...)
		}
	}
	return out
}
