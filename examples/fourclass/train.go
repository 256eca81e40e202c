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

// train splits the requests, trains a judge, saves it, and evaluates it on the test part,
// beside the baselines fitted on the training part.
func (p *program) train(ctx context.Context) error {
	parts, rep, err := deal(p.data.items, p.cfg.Split.Parts, p.cfg.Split.Seed)
	if err != nil {
		return err
	}
	train, val, test := parts[0], parts[1], parts[2]
	fmt.Fprintf(p.log, "%d requests to train on, %d to validate, %d to test; nothing in common: %t\n", len(train), len(val), len(test), rep.Proof.Disjoint)
	fit, name := p.trainLoRA, tuned
	if p.flags.frozen || p.data.vectors != nil {
		fit, name = p.trainFrozen, frozen
	}
	t, err := fit(ctx, train, val)
	if err != nil {
		return err
	}
	err = t.save(filepath.Join(p.flags.out, "judge"), p.data.vectors != nil)
	if err == nil {
		err = os.RemoveAll(p.checkpoints()) // the judge is saved: a further run is a new one
	}
	if err == nil {
		err = p.judged(ctx, ofJudge(name, t.judge, nil), train, val, test, []string{
			fmt.Sprintf("%s: trained on %d requests, stopped and calibrated on %d others, judged here on %d that neither saw.", name, len(train), len(val), len(test)),
			temperatureText(t.temper),
		})
	}
	return errors.Join(err, t.close())
}

// evaluate judges all requests with a saved judge.
func (p *program) evaluate(ctx context.Context) error {
	t, err := p.open(ctx, p.flags.judge)
	if err != nil {
		return err
	}
	err = p.judged(ctx, ofJudge("saved judge", t.judge, nil), p.data.items, nil, p.data.items, []string{
		fmt.Sprintf("The judge saved in %s, on all %d requests. Whether it was trained on any of them is not known here. The baselines that learn were fitted on these very requests and flatter themselves.", filepath.Base(p.flags.judge), len(p.data.items)),
		temperatureText(t.temper),
	})
	return errors.Join(err, t.close())
}

func temperatureText(t eval.Temperature) string {
	if t.AtBound {
		return "Temperature scaling found no temperature within its bounds; the probabilities are as trained."
	}
	return fmt.Sprintf("Temperature %.3f, fitted on the validation part (negative log-likelihood %.4f before, %.4f after).", t.T, t.Before, t.After)
}

// judged asks judge and baselines and writes the report. The threshold is certified on
// the unsafe requests of the validation part.
func (p *program) judged(ctx context.Context, judge system, train, val, test []request, intro []string) error {
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
	calibration, err := judge.answer(ctx, texts(val))
	if err != nil {
		return err
	}
	thresholds, err := certify(recordsOf(val, calibration, true))
	if err != nil {
		return err
	}
	return p.write(c, judge.name, plot.Page{Title: "Four-class judge", Intro: intro, Thresholds: thresholds})
}

// certify asks for thresholds at 1 % and 5 %, both ways.
func certify(records []eval.Record) (out []eval.Threshold, err error) {
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
	for _, alpha := range []float64{.01, .05} {
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
