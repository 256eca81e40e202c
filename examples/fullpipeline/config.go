package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/crawl"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/gguf"
	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/split"
)

//go:embed configs/*.yaml
var builtin embed.FS

// config is the pipeline's YAML file. Keys that are absent keep the library's
// defaults; unknown ones are errors.
type config struct {
	Load    qlora.LoadOptions    `yaml:"load" json:"load"`
	Collect collectConfig        `yaml:"collect" json:"collect"`
	Clean   dataset.CleanOptions `yaml:"clean" json:"clean"`
	Split   split.Options        `yaml:"split" json:"split"`
	Encode  qlora.EncodeOptions  `yaml:"encode" json:"encode"`
	// Repeat says how often training sees the samples of a source in one epoch;
	// 1 where it says nothing.
	Repeat    map[string]int  `yaml:"repeat" json:"repeat,omitempty"`
	Training  qlora.Options   `yaml:"training" json:"training"`
	Ablation  ablationConfig  `yaml:"ablation" json:"ablation"`
	GGUF      ggufConfig      `yaml:"gguf" json:"gguf"`
	Benchmark benchmarkConfig `yaml:"benchmark" json:"benchmark"`
}

// ablationConfig asks for short runs without gates and without PET; 0 steps for
// none.
type ablationConfig struct {
	Steps int `yaml:"steps" json:"steps"`
}

type ggufConfig struct {
	Types []string `yaml:"types" json:"types"`
}

type benchmarkConfig struct {
	// Window and MaxExamples bound the perplexity runs; Questions the multiple
	// choice, 0 for all.
	Window      int `yaml:"window" json:"window"`
	MaxExamples int `yaml:"max_examples" json:"max_examples"`
	Questions   int `yaml:"questions" json:"questions"`
}

// judgeConfig is the judge's YAML file.
type judgeConfig struct {
	Backbone qlora.BackboneOptions `yaml:"backbone" json:"backbone"`
	Training classifier.Options    `yaml:"training" json:"training"`
	// MaxPerClass bounds the training requests a class; 0 takes all.
	MaxPerClass int `yaml:"max_per_class" json:"max_per_class"`
}

func defaultConfig() config {
	return config{
		Load: qlora.DefaultLoadOptions(),
		Collect: collectConfig{TargetSamples: 100_000, SyntheticSamples: 50_000, Triple: 0.5, Sources: []string{"synthetic", "crawl"}, Seed: 42,
			Crawl: crawlConfig{Options: crawl.DefaultOptions()}},
		Clean:     dataset.DefaultCleanOptions(),
		Split:     split.DefaultOptions(),
		Encode:    qlora.EncodeOptions{MaxLength: 2048},
		Training:  qlora.DefaultOptions(),
		GGUF:      ggufConfig{Types: []string{"Q5_K_M", "Q8_0"}},
		Benchmark: benchmarkConfig{Window: 1024},
	}
}

func defaultJudgeConfig() judgeConfig {
	return judgeConfig{
		Backbone: qlora.BackboneOptions{Options: qlora.DefaultOptions(), MaxTokens: 2048, BatchTokens: 8192},
		Training: classifier.DefaultOptions(),
	}
}

// ConfigError reports a configuration that cannot be used, with its file.
type ConfigError struct {
	File string
	Err  error
}

// Error implements error.
func (e *ConfigError) Error() string { return fmt.Sprintf("configuration %s: %v", e.File, e.Err) }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// readYAML fills v strictly from path, or from the built-in file when path is "".
func readYAML(path, fallback string, v any) error {
	b, err := builtin.ReadFile("configs/" + fallback)
	name := fallback
	if path != "" {
		name = path
		b, err = os.ReadFile(path)
	}
	if err == nil {
		err = yaml.UnmarshalWithOptions(b, v, yaml.Strict())
	}
	if err != nil {
		return &ConfigError{name, err}
	}
	return nil
}

func readConfigs(f flags) (config, judgeConfig, error) {
	c, j := defaultConfig(), defaultJudgeConfig()
	if err := readYAML(f.config, "small.yaml", &c); err != nil {
		return c, j, err
	}
	if err := readYAML(f.judge, "four_class_small.yaml", &j); err != nil {
		return c, j, err
	}
	override(&c, &j, f)
	if err := c.validate(); err != nil {
		return c, j, &ConfigError{nameOf(f.config, "small.yaml"), err}
	}
	if err := errors.Join(j.Training.Validate(), j.Backbone.Options.Validate()); err != nil {
		return c, j, &ConfigError{nameOf(f.judge, "four_class_small.yaml"), err}
	}
	return c, j, nil
}

func nameOf(path, fallback string) string {
	if path == "" {
		return fallback
	}
	return path
}

// override applies what the command line says.
func override(c *config, j *judgeConfig, f flags) {
	if f.target > 0 {
		c.Collect.TargetSamples = f.target
		c.Collect.SyntheticSamples = min(c.Collect.SyntheticSamples, f.target)
	}
	if f.sources != "" {
		c.Collect.Sources = strings.Split(f.sources, ",")
	}
	if f.device != "" {
		c.Load.Device = f.device
	}
	if f.seed != 0 {
		c.Collect.Seed, c.Training.Seed, c.Split.Seed = f.seed, f.seed, f.seed
		j.Training.Seed, j.Backbone.Options.Seed = f.seed, f.seed
	}
}

func (c config) validate() error {
	for _, t := range c.GGUF.Types {
		if _, err := gguf.ParseRecipe(t); err != nil {
			return err
		}
	}
	for source, n := range c.Repeat {
		if n < 1 {
			return fmt.Errorf("repeat.%s = %d, want at least 1", source, n)
		}
	}
	return errors.Join(c.Collect.validate(), c.Load.Validate(), c.Clean.Validate(), c.Split.Validate(), c.Training.Validate())
}
