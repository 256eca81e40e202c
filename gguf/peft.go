package gguf

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"github.com/borea-go/borea/internal/peftpattern"
)

// Names inside a PEFT adapter directory.
const (
	peftSettings = "adapter_config.json"
	peftWeights  = "adapter_model.safetensors"
	peftPrefix   = "base_model.model."
)

// peftConfig is what of adapter_config.json decides about the factors.
type peftConfig struct {
	Type         string               `json:"peft_type"`
	Base         string               `json:"base_model_name_or_path"`
	R            int                  `json:"r"`
	Alpha        float64              `json:"lora_alpha"`
	Bias         string               `json:"bias"`
	RSLoRA       bool                 `json:"use_rslora"`
	DoRA         bool                 `json:"use_dora"`
	FanInFanOut  bool                 `json:"fan_in_fan_out"`
	AlphaPattern peftpattern.Patterns `json:"alpha_pattern"`
}

func readPEFT(src fs.FS) (peftConfig, error) {
	var c peftConfig
	b, err := fs.ReadFile(src, peftSettings)
	if err != nil {
		return c, fmt.Errorf("gguf: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("gguf: %s: %w: %v", peftSettings, ErrFormat, err)
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("gguf: %s: %w", peftSettings, err)
	}
	return c, nil
}

func (c peftConfig) check() error {
	switch {
	case !strings.EqualFold(c.Type, "LORA"):
		return fmt.Errorf("%w: peft_type %q, not LORA", ErrUnsupported, c.Type)
	case c.DoRA:
		return fmt.Errorf("%w: use_dora", ErrUnsupported)
	case c.FanInFanOut:
		return fmt.Errorf("%w: fan_in_fan_out", ErrUnsupported)
	case c.Bias != "" && c.Bias != "none":
		return fmt.Errorf("%w: bias %q", ErrUnsupported, c.Bias)
	case c.R < 1:
		return fmt.Errorf("%w: r is %d", ErrFormat, c.R)
	}
	// llama.cpp takes an alpha of 0 for a scale of 1.
	for _, a := range append(peftpattern.Patterns{{Value: c.Alpha}}, c.AlphaPattern...) {
		if !(a.Value > 0) || math.IsInf(a.Value, 0) {
			return fmt.Errorf("%w: alpha is %v", ErrFormat, a.Value)
		}
	}
	return nil
}

// alpha returns what a linear's scale is the r-th part of. PEFT scales by alpha/r
// or, rank-stabilised (arXiv 2312.03732), by alpha/sqrt(r).
func (c peftConfig) alpha(linear string, r int) float64 {
	a := c.AlphaPattern.Find(linear, c.Alpha)
	if c.RSLoRA {
		return a * math.Sqrt(float64(r))
	}
	return a
}

// common is the alpha of linears that no pattern names.
func (c peftConfig) common() float64 {
	if c.RSLoRA {
		return c.Alpha * math.Sqrt(float64(c.R))
	}
	return c.Alpha
}

// splitPEFTName returns the linear's name and which factor it is.
func splitPEFTName(name string) (linear, factor string, err error) {
	rest, ok := strings.CutPrefix(name, peftPrefix)
	if !ok {
		return "", "", fmt.Errorf("%w: no name of an adapter, which starts with %s", ErrUnsupported, peftPrefix)
	}
	for _, f := range []string{"A", "B"} {
		if l, ok := strings.CutSuffix(rest, ".lora_"+f+".weight"); ok {
			return l, f, nil
		}
	}
	return "", "", fmt.Errorf("%w: neither lora_A nor lora_B of a linear", ErrUnsupported)
}
