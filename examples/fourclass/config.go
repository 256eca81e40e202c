package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/split"
)

//go:embed judge.yaml
var builtin []byte

// config is the YAML file. Keys that are absent keep the library's defaults; unknown
// ones are errors.
type config struct {
	Load qlora.LoadOptions `yaml:"load"`
	// MaskedCopies adds each training request once more with the rules' keywords hidden,
	// so that a judge learns not to lean on them.
	MaskedCopies bool                  `yaml:"masked_copies"`
	Split        split.Options         `yaml:"split"`
	Frozen       classifier.Options    `yaml:"frozen"`
	LoRA         classifier.Options    `yaml:"lora"`
	Backbone     qlora.BackboneOptions `yaml:"backbone"`
}

func readConfig(path string, seed uint64) (config, error) {
	c := config{Load: qlora.DefaultLoadOptions(), Split: split.DefaultOptions(), Frozen: classifier.DefaultOptions(), LoRA: classifier.DefaultOptions(),
		Backbone: qlora.BackboneOptions{Options: qlora.DefaultOptions(), MaxTokens: 2048, BatchTokens: 8192}}
	b, name := builtin, "judge.yaml"
	if path != "" {
		var err error
		if b, err = os.ReadFile(path); err != nil {
			return c, err
		}
		name = path
	}
	if err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict()); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	if seed != 0 {
		c.Split.Seed, c.Frozen.Seed, c.LoRA.Seed, c.Backbone.Options.Seed = seed, seed, seed, seed
	}
	c.Frozen.BackboneRate = 0
	err := errors.Join(c.Load.Validate(), c.Split.Validate(), c.Frozen.Validate(), c.LoRA.Validate(), c.Backbone.Options.Validate())
	if err == nil && len(c.Split.Parts) != 4 {
		err = fmt.Errorf("split has %d parts, want train, val, calibration and test in this order", len(c.Split.Parts))
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}
