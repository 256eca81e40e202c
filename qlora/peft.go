package qlora

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/peftpattern"
)

// Names inside a PEFT adapter directory.
const (
	peftConfigFile  = "adapter_config.json"
	peftWeightsFile = "adapter_model.safetensors"
	peftPrefix      = "base_model.model."
)

// ErrGated refuses to write gates as a plain PEFT adapter: with gates the layer
// is y = W(Rx) + BA(Rx), which no LoRA pair over the original W can express.
// Bake the gates into the base first; Adapter.OverBaked then gives A·Q.
var ErrGated = errors.New("qlora: the adapter has rotation gates; a plain PEFT file over the original base cannot express them: bake the base and export the adapter over it")

// peftConfig is the part of adapter_config.json that we read and write.
type peftConfig struct {
	PeftType      string               `json:"peft_type"`
	TaskType      string               `json:"task_type"`
	Base          string               `json:"base_model_name_or_path"`
	R             int                  `json:"r"`
	Alpha         float64              `json:"lora_alpha"`
	Dropout       float64              `json:"lora_dropout"`
	Bias          string               `json:"bias"`
	RSLoRA        bool                 `json:"use_rslora"`
	DoRA          bool                 `json:"use_dora"`
	FanInFanOut   bool                 `json:"fan_in_fan_out"`
	InferenceMode bool                 `json:"inference_mode"`
	Targets       targetList           `json:"target_modules"`
	RankPattern   map[string]int       `json:"rank_pattern"` // the tensors' shapes say it too
	AlphaPattern  peftpattern.Patterns `json:"alpha_pattern"`
}

// targetList is target_modules: PEFT writes a list, or one name.
type targetList []string

// UnmarshalJSON accepts a list or a string.
func (t *targetList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = targetList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// ReadAdapter reads a PEFT LoRA directory, with fused or split names.
func ReadAdapter(fsys fs.FS) (*Adapter, error) { return readAdapter(fsys, peftWeightsFile) }

func readAdapter(fsys fs.FS, weights string) (*Adapter, error) {
	raw, err := fs.ReadFile(fsys, peftConfigFile)
	if err != nil {
		return nil, fmt.Errorf("qlora: adapter: %w", err)
	}
	var c peftConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("qlora: %s: %w", peftConfigFile, err)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	parts, err := readParts(fsys, weights, c)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Base: c.Base, Rank: c.R, Alpha: c.Alpha, Dropout: c.Dropout, RSLoRA: c.RSLoRA, Targets: c.Targets}
	a.Factors, err = fuseParts(parts)
	return a, err
}

func (c peftConfig) check() error {
	switch {
	case !strings.EqualFold(c.PeftType, "LORA"):
		return fmt.Errorf("qlora: %s: peft_type %q, only LORA is read", peftConfigFile, c.PeftType)
	case c.DoRA:
		return fmt.Errorf("qlora: %s: use_dora is not supported", peftConfigFile)
	case c.Bias != "" && c.Bias != "none":
		return fmt.Errorf("qlora: %s: bias %q, only none is supported", peftConfigFile, c.Bias)
	case c.R < 1:
		return fmt.Errorf("qlora: %s: r = %d", peftConfigFile, c.R)
	}
	return nil
}

// scaling returns the factor of one linear, patterns included.
func (c peftConfig) scaling(linear string, r int) float64 {
	alpha := c.AlphaPattern.Find(linear, c.Alpha)
	if c.RSLoRA {
		return alpha / math.Sqrt(float64(r))
	}
	return alpha / float64(r)
}

// readParts reads every pair under its own name.
func readParts(fsys fs.FS, weights string, c peftConfig) (map[string]Factor, error) {
	data, err := fs.ReadFile(fsys, weights)
	if err != nil {
		return nil, fmt.Errorf("qlora: adapter: %w", err)
	}
	r, err := safetensors.NewReader(bytes.NewReader(data), int64(len(data)), safetensors.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("qlora: %s: %w", weights, err)
	}
	parts := map[string]Factor{}
	for _, info := range r.Tensors() {
		linear, which, ok := splitPeftName(info.Name)
		if !ok || len(info.Shape) != 2 {
			return nil, fmt.Errorf("qlora: %s: unexpected tensor %s of shape %v", weights, info.Name, info.Shape)
		}
		v, err := r.Float32(info.Name)
		if err != nil {
			return nil, err
		}
		f := parts[linear]
		if which == "A" {
			f.R, f.In, f.A = info.Shape[0], info.Shape[1], v
		} else {
			f.Out, f.B = info.Shape[0], v
		}
		parts[linear] = f
	}
	for name, f := range parts {
		if f.R < 1 || f.A == nil || f.B == nil || len(f.B) != f.Out*f.R {
			return nil, fmt.Errorf("qlora: %s: %s lacks a matching pair of lora_A and lora_B", weights, name)
		}
		f.Scale = c.scaling(name, f.R)
		parts[name] = f
	}
	return parts, nil
}

func splitPeftName(name string) (linear, which string, ok bool) {
	name, ok = strings.CutPrefix(name, peftPrefix)
	for _, w := range []string{"A", "B"} {
		if l, found := strings.CutSuffix(name, ".lora_"+w+".weight"); found && ok {
			return l, w, true
		}
	}
	return "", "", false
}

// config writes adapter_config.json for these factors.
func (a *Adapter) config(targets []string) ([]byte, error) {
	c := peftConfig{
		PeftType: "LORA", TaskType: "CAUSAL_LM", Base: a.Base, R: a.Rank, Alpha: a.Alpha, Dropout: a.Dropout,
		Bias: "none", RSLoRA: a.RSLoRA, InferenceMode: true, Targets: targets,
		RankPattern: map[string]int{}, AlphaPattern: peftpattern.Patterns{},
	}
	b, err := json.MarshalIndent(c, "", "  ")
	return append(b, '\n'), err
}

// names returns the adapter's linears in a fixed order.
func (a *Adapter) names() []string { return slices.Sorted(maps.Keys(a.Factors)) }
