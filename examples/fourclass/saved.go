package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/qlora"
)

// calibration is calibration.json beside the saved head.
type calibration struct {
	Temperature eval.Temperature `json:"temperature"`
	// Applied is what Judge.Temperature was: 0 when the fit ran into a bound.
	Applied float64 `json:"applied"`
	// AllowAbove is Judge.AllowAbove, from Threshold when one was asked for.
	AllowAbove float64         `json:"allow_above"`
	Threshold  *eval.Threshold `json:"threshold,omitempty"`
	// Backbone is "model", "adapter" (the model with the adapter beside this file) or
	// "features".
	Backbone string `json:"backbone"`
}

// save writes the judge: head.safetensors and judge.json, calibration.json, and
// the adapter in PEFT's form.
func (t *trained) save(dir string, vectors bool) error {
	c := calibration{t.temper, t.judge.Temperature, t.judge.AllowAbove, t.threshold, "model"}
	if vectors {
		c.Backbone = "features"
	}
	if t.deep != nil {
		c.Backbone = "adapter"
		a, err := t.deep.Adapter()
		if err != nil {
			return err
		}
		if err := a.Save(filepath.Join(dir, "adapter")); err != nil {
			return err
		}
	}
	if err := classifier.SaveHead(dir, t.judge.Head, t.opts); err != nil {
		return err
	}
	return qlora.WriteReport(filepath.Join(dir, "calibration.json"), c)
}

// open reads a saved judge.
func (p *program) open(ctx context.Context, dir string) (*trained, error) {
	b, err := os.ReadFile(filepath.Join(dir, "calibration.json"))
	if err != nil {
		return nil, err
	}
	var c calibration
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "calibration.json"), err)
	}
	if (c.Backbone == "features") != (p.data.vectors != nil) {
		return nil, fmt.Errorf("%s: a judge over %s; give -features to a judge over features and to no other", dir, c.Backbone)
	}
	t := &trained{judge: &classifier.Judge{BatchSize: 32, Temperature: c.Applied, AllowAbove: c.AllowAbove}, temper: c.Temperature, threshold: c.Threshold}
	if t.judge.Head, t.opts, err = classifier.LoadHead(os.DirFS(dir)); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	backbone, closer, err := p.backbone(ctx)
	if err != nil {
		return nil, err
	}
	t.judge.Backbone, t.close = backbone, closer.Close
	if c.Backbone == "adapter" {
		a, err := qlora.LoadAdapter(os.DirFS(filepath.Join(dir, "adapter")))
		if err == nil {
			err = backbone.(*qlora.Model).Attach(a)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), t.close())
		}
	}
	return t, nil
}
