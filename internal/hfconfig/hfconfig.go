package hfconfig

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"slices"
)

// Config is a Phi-3 configuration. Names follow the glossary of the engine.
type Config struct {
	HiddenSize, IntermediateSize, Layers int
	Heads, KVHeads, HeadDim, VocabSize   int
	RMSNormEps, RopeTheta                float64
	Rope                                 Rope
	// OriginalMaxPosition is the context up to which the short rope factors
	// hold; MaxPosition the longest context.
	OriginalMaxPosition, MaxPosition int
	TieWordEmbeddings                bool
	BOS, Pad                         int32
	// EOS lists the tokens that end a generation: generation_config.json's, or
	// config.json's.
	EOS           []int32
	SlidingWindow int // 0 for none
	TorchDType    string
	// Raw is config.json as it was.
	Raw json.RawMessage
}

// Rope is the rotary scaling.
type Rope struct {
	Type        string    // "" or "longrope"
	Short, Long []float64 // HeadDim/2 each, for longrope
	// AttentionFactor multiplies cos and sin: sqrt(1 + ln(max/orig)/ln(orig)) for
	// longrope (transformers, modeling_rope_utils), else 1.
	AttentionFactor float64
}

// UnsupportedError names a setting that the engine does not implement.
type UnsupportedError struct{ Key, Value string }

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("config.json: %s = %q is not supported", e.Key, e.Value)
}

// ValueError reports a missing or impossible value.
type ValueError struct{ Key, Problem string }

// Error implements error.
func (e *ValueError) Error() string { return fmt.Sprintf("config.json: %s %s", e.Key, e.Problem) }

type rawConfig struct {
	ModelType           string          `json:"model_type"`
	HiddenSize          *int            `json:"hidden_size"`
	IntermediateSize    *int            `json:"intermediate_size"`
	Layers              *int            `json:"num_hidden_layers"`
	Heads               *int            `json:"num_attention_heads"`
	KVHeads             *int            `json:"num_key_value_heads"`
	VocabSize           *int            `json:"vocab_size"`
	HiddenAct           string          `json:"hidden_act"`
	RMSNormEps          *float64        `json:"rms_norm_eps"`
	RopeTheta           *float64        `json:"rope_theta"`
	RopeScaling         *rawRope        `json:"rope_scaling"`
	PartialRotary       *float64        `json:"partial_rotary_factor"`
	MaxPosition         *int            `json:"max_position_embeddings"`
	OriginalMaxPosition *int            `json:"original_max_position_embeddings"`
	Tie                 bool            `json:"tie_word_embeddings"`
	AttentionBias       bool            `json:"attention_bias"`
	BOS                 *int32          `json:"bos_token_id"`
	Pad                 *int32          `json:"pad_token_id"`
	EOS                 json.RawMessage `json:"eos_token_id"`
	SlidingWindow       *int            `json:"sliding_window"`
	TorchDType          string          `json:"torch_dtype"`
	Quantization        json.RawMessage `json:"quantization_config"`
}

type rawRope struct {
	Type     string    `json:"type"`
	RopeType string    `json:"rope_type"`
	Short    []float64 `json:"short_factor"`
	Long     []float64 `json:"long_factor"`
}

// Read reads the configuration of a model directory.
func Read(fsys fs.FS) (*Config, error) {
	raw, err := fs.ReadFile(fsys, "config.json")
	if err != nil {
		return nil, fmt.Errorf("model directory: %w", err)
	}
	c, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	gen, err := fs.ReadFile(fsys, "generation_config.json")
	if err != nil {
		return c, nil // the file is optional
	}
	var g struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if err := json.Unmarshal(gen, &g); err != nil {
		return nil, fmt.Errorf("generation_config.json: %w", err)
	}
	eos, err := tokenList(g.EOS)
	if err != nil {
		return nil, fmt.Errorf("generation_config.json: eos_token_id: %w", err)
	}
	if len(eos) > 0 {
		c.EOS = eos
	}
	return c, nil
}

// Parse reads config.json.
func Parse(data []byte) (*Config, error) {
	var r rawConfig
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	if err := r.supported(); err != nil {
		return nil, err
	}
	c := &Config{Raw: slices.Clone(data), TieWordEmbeddings: r.Tie, TorchDType: r.TorchDType, BOS: 1}
	if err := r.sizes(c); err != nil {
		return nil, err
	}
	if err := r.rope(c); err != nil {
		return nil, err
	}
	return c, r.tokens(c)
}

func (r rawConfig) supported() error {
	switch {
	case r.ModelType != "phi3":
		return &UnsupportedError{"model_type", r.ModelType}
	case r.HiddenAct != "silu":
		return &UnsupportedError{"hidden_act", r.HiddenAct}
	case r.AttentionBias:
		return &UnsupportedError{"attention_bias", "true"}
	case r.PartialRotary != nil && *r.PartialRotary != 1:
		return &UnsupportedError{"partial_rotary_factor", fmt.Sprint(*r.PartialRotary)}
	case len(r.Quantization) > 0 && string(r.Quantization) != "null":
		return &UnsupportedError{"quantization_config", "present"}
	}
	return nil
}

// maxSize bounds every size, so that products of two fit an int64 with room.
const maxSize = 1 << 28

func (r rawConfig) sizes(c *Config) error {
	for _, f := range []struct {
		key string
		src *int
		dst *int
	}{
		{"hidden_size", r.HiddenSize, &c.HiddenSize},
		{"intermediate_size", r.IntermediateSize, &c.IntermediateSize},
		{"num_hidden_layers", r.Layers, &c.Layers},
		{"num_attention_heads", r.Heads, &c.Heads},
		{"vocab_size", r.VocabSize, &c.VocabSize},
		{"max_position_embeddings", r.MaxPosition, &c.MaxPosition},
	} {
		if f.src == nil {
			return &ValueError{f.key, "is missing"}
		}
		if *f.src < 1 || *f.src > maxSize {
			return &ValueError{f.key, fmt.Sprintf("= %d is out of range", *f.src)}
		}
		*f.dst = *f.src
	}
	if c.Layers > 4096 {
		return &ValueError{"num_hidden_layers", fmt.Sprintf("= %d is out of range", c.Layers)}
	}
	return r.heads(c)
}

func (r rawConfig) heads(c *Config) error {
	c.KVHeads = c.Heads
	if r.KVHeads != nil {
		c.KVHeads = *r.KVHeads
	}
	if c.HiddenSize%c.Heads != 0 || c.HiddenSize/c.Heads%2 != 0 {
		return &ValueError{"hidden_size", fmt.Sprintf("= %d does not divide into %d heads of even size", c.HiddenSize, c.Heads)}
	}
	c.HeadDim = c.HiddenSize / c.Heads
	if c.KVHeads < 1 || c.Heads%c.KVHeads != 0 {
		return &ValueError{"num_key_value_heads", fmt.Sprintf("= %d does not divide %d heads", c.KVHeads, c.Heads)}
	}
	if r.RMSNormEps == nil || !(*r.RMSNormEps > 0 && *r.RMSNormEps < 1) {
		return &ValueError{"rms_norm_eps", "is missing or out of range"}
	}
	c.RMSNormEps = *r.RMSNormEps
	if r.SlidingWindow != nil {
		c.SlidingWindow = *r.SlidingWindow
	}
	if c.SlidingWindow > 0 && c.SlidingWindow < c.MaxPosition {
		return &UnsupportedError{"sliding_window", fmt.Sprintf("%d (below max_position_embeddings)", c.SlidingWindow)}
	}
	return nil
}

func (r rawConfig) rope(c *Config) error {
	c.RopeTheta, c.Rope.AttentionFactor = 10000, 1
	if r.RopeTheta != nil {
		c.RopeTheta = *r.RopeTheta
	}
	if !(c.RopeTheta > 0) {
		return &ValueError{"rope_theta", "must be positive"}
	}
	c.OriginalMaxPosition = c.MaxPosition
	if r.OriginalMaxPosition != nil {
		c.OriginalMaxPosition = *r.OriginalMaxPosition
	}
	if c.OriginalMaxPosition < 1 || c.OriginalMaxPosition > c.MaxPosition {
		return &ValueError{"original_max_position_embeddings", "is out of range"}
	}
	s := r.RopeScaling
	if s == nil {
		return nil
	}
	kind := s.Type
	if kind == "" {
		kind = s.RopeType
	}
	if kind == "default" || kind == "" && s.Short == nil {
		return nil
	}
	if kind != "longrope" {
		return &UnsupportedError{"rope_scaling.type", kind}
	}
	return c.longrope(s)
}

func (c *Config) longrope(s *rawRope) error {
	for key, f := range map[string][]float64{"short_factor": s.Short, "long_factor": s.Long} {
		if len(f) != c.HeadDim/2 {
			return &ValueError{"rope_scaling." + key, fmt.Sprintf("has %d values, want %d", len(f), c.HeadDim/2)}
		}
		for i, v := range f {
			if !(v > 0) || math.IsInf(v, 0) {
				return &ValueError{"rope_scaling." + key, fmt.Sprintf("holds %v at %d", v, i)}
			}
		}
	}
	c.Rope = Rope{Type: "longrope", Short: s.Short, Long: s.Long, AttentionFactor: 1}
	if scale := float64(c.MaxPosition) / float64(c.OriginalMaxPosition); scale > 1 {
		c.Rope.AttentionFactor = math.Sqrt(1 + math.Log(scale)/math.Log(float64(c.OriginalMaxPosition)))
	}
	return nil
}

func (r rawConfig) tokens(c *Config) (err error) {
	if r.BOS != nil {
		c.BOS = *r.BOS
	}
	if c.EOS, err = tokenList(r.EOS); err != nil {
		return fmt.Errorf("config.json: eos_token_id: %w", err)
	}
	if len(c.EOS) > 0 {
		c.Pad = c.EOS[0]
	}
	if r.Pad != nil {
		c.Pad = *r.Pad
	}
	return nil
}

// tokenList reads a number, a list or null.
func tokenList(raw json.RawMessage) ([]int32, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var one int32
	if json.Unmarshal(raw, &one) == nil {
		return []int32{one}, nil
	}
	var many []int32
	err := json.Unmarshal(raw, &many)
	return many, err
}
