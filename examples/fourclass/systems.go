package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/qlora"
)

// Names of the systems, in the order of the report.
const (
	majority = "majority"
	keywords = "naive Bayes, the rules' keywords"
	ngrams   = "naive Bayes, 1 to 3 characters"
	byRules  = "rules"
	frozen   = "head on frozen features"
	tuned    = "LoRA + head"
)

// system answers texts. Without probabilities P of its answers is not to be used.
type system struct {
	name          string
	probabilities bool
	answer        func(ctx context.Context, texts []string) ([]classifier.Prediction, error)
	close         func() error
}

// plain makes a system of a function of one text.
func plain(name string, probabilities bool, f func(text string) classifier.Prediction) system {
	return system{name, probabilities, func(_ context.Context, texts []string) ([]classifier.Prediction, error) {
		out := make([]classifier.Prediction, len(texts))
		for i, t := range texts {
			out[i] = f(t)
		}
		return out, nil
	}, func() error { return nil }}
}

// ofJudge makes a system of a judge.
func ofJudge(name string, j *classifier.Judge, close func() error) system {
	return system{name, true, func(ctx context.Context, texts []string) ([]classifier.Prediction, error) {
		out, _, err := j.Predict(ctx, texts)
		return out, err
	}, close}
}

// baselines are what a judge has to beat. Feature vectors have no words, so only the
// majority is left for them.
func (p *program) baselines(train []request) ([]system, error) {
	classes := make([]label.Class, len(train))
	for i, r := range train {
		classes[i] = r.class
	}
	most := eval.Majority(classes, 1).Pred[0]
	out := []system{plain(majority, false, func(string) classifier.Prediction { return classifier.Prediction{Class: most} })}
	if p.data.vectors != nil {
		return out, nil
	}
	for _, c := range []struct {
		name  string
		words func(string) []string
	}{{keywords, p.rules.Keywords}, {ngrams, classifier.CharNGrams(1, 3)}} {
		b, err := classifier.FitNaiveBayes(p.withMasked(examples(train)), c.words, 1)
		if err != nil {
			return nil, err
		}
		out = append(out, plain(c.name, true, b.Predict))
	}
	return append(out, plain(byRules, false, func(text string) classifier.Prediction {
		return classifier.Prediction{Class: label.FourClass(text, p.rules).Class}
	})), nil
}

// trained is a judge, what its training did, and its adapter, nil when frozen.
type trained struct {
	judge  *classifier.Judge
	opts   classifier.Options
	report classifier.Report
	temper eval.Temperature
	deep   *qlora.Backbone
	close  func() error
	// threshold is what -certify found; nil without.
	threshold *eval.Threshold
}

// trainFrozen fits a head on features that stay as they are.
func (p *program) trainFrozen(ctx context.Context, train, val []request) (*trained, error) {
	b, closer, err := p.backbone(ctx)
	if err != nil {
		return nil, err
	}
	t := &trained{opts: p.cfg.Frozen, close: closer.Close}
	return t, p.fit(ctx, t, b, frozen, train, val)
}

// trainLoRA fits head and adapters together.
func (p *program) trainLoRA(ctx context.Context, train, val []request) (*trained, error) {
	m, err := p.load(ctx)
	if err != nil {
		return nil, err
	}
	t := &trained{opts: p.cfg.LoRA, close: m.Close}
	if t.deep, err = qlora.NewBackbone(m, p.cfg.Backbone); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return t, p.fit(ctx, t, t.deep, tuned, train, val)
}

// fit trains, then fits the temperature on the validation part. When it fails it
// closes t. A training of its own is resumed after an interruption; those of a comparison
// are short, and are not.
func (p *program) fit(ctx context.Context, t *trained, b classifier.Backbone, name string, train, val []request) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", name, err), t.close())
		}
	}()
	env := classifier.Env{Progress: func(step, total int, loss float64) { p.progress(name, step, total, loss) }}
	if p.flags.folds == 0 {
		if env.Checkpoints, err = checkpoint.Open(p.checkpoints(), checkpoint.DefaultOptions(), checkpoint.Env{}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, env.Checkpoints.Close()) }()
	}
	head, rep, err := classifier.Train(ctx, b, p.withMasked(examples(train)), examples(val), t.opts, env)
	if err != nil {
		return err
	}
	t.report = rep
	t.judge = &classifier.Judge{Head: head, Backbone: b, BatchSize: 32}
	t.temper, err = temperature(ctx, t.judge, val)
	if err == nil && !t.temper.AtBound {
		t.judge.Temperature = t.temper.T
	}
	return err
}

// checkpoints is where a training that is under way keeps its state.
func (p *program) checkpoints() string { return filepath.Join(p.flags.out, ".checkpoints") }

// withMasked adds masked copies of the examples that have keywords.
func (p *program) withMasked(train []classifier.Example) []classifier.Example {
	mask := p.masker()
	if !p.cfg.MaskedCopies || mask == nil {
		return train
	}
	for _, ex := range train {
		if m := mask(ex.Text); m != ex.Text {
			train = append(train, classifier.Example{Text: m, Class: ex.Class})
		}
	}
	return train
}

// temperature fits the scale of the logits on validation requests.
func temperature(ctx context.Context, j *classifier.Judge, val []request) (eval.Temperature, error) {
	preds, _, err := j.Predict(ctx, texts(val))
	if err != nil {
		return eval.Temperature{}, err
	}
	var z []float64
	var truth []int
	for i, pr := range preds {
		if pr.Failed != "" {
			continue
		}
		for _, v := range pr.P {
			z = append(z, math.Log(max(v, math.SmallestNonzeroFloat64)))
		}
		truth = append(truth, val[i].class.Index())
	}
	return eval.FitTemperature(z, label.Count, truth)
}

// backbone gives features of texts, by the model, or the vectors of -features.
func (p *program) backbone(ctx context.Context) (classifier.Backbone, io.Closer, error) {
	if p.data.vectors != nil {
		return p.data.vectors, io.NopCloser(nil), nil
	}
	m, err := p.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	return m, m, nil
}

func (p *program) load(ctx context.Context) (*qlora.Model, error) {
	return qlora.OpenWithAdapter(ctx, p.flags.model, "", p.cfg.Load, qlora.Env{})
}
