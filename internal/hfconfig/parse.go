package hfconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// raw is config.json as it is spelled. Pointers tell a missing key from zero.
type raw struct {
	ModelType        string          `json:"model_type"`
	HiddenSize       *int            `json:"hidden_size"`
	IntermediateSize *int            `json:"intermediate_size"`
	Layers           *int            `json:"num_hidden_layers"`
	Heads            *int            `json:"num_attention_heads"`
	KVHeads          *int            `json:"num_key_value_heads"`
	HeadDim          *int            `json:"head_dim"`
	VocabSize        *int            `json:"vocab_size"`
	HiddenAct        string          `json:"hidden_act"`
	RMSNormEps       *float64        `json:"rms_norm_eps"`
	PartialRotary    *float64        `json:"partial_rotary_factor"`
	MaxPosition      *int            `json:"max_position_embeddings"`
	Tie              bool            `json:"tie_word_embeddings"`
	AttentionBias    bool            `json:"attention_bias"`
	BOS              *int32          `json:"bos_token_id"`
	Pad              *int32          `json:"pad_token_id"`
	EOS              json.RawMessage `json:"eos_token_id"`
	SlidingWindow    *int            `json:"sliding_window"`
	TorchDType       string          `json:"torch_dtype"`
	DType            string          `json:"dtype"`
	Quantization     json.RawMessage `json:"quantization_config"`
	rawRopeKeys
}

// Parse reads config.json.
func Parse(data []byte) (*Config, error) {
	var r raw
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, jsonError(err)
	}
	if err := r.supported(); err != nil {
		return nil, err
	}
	c := &Config{Raw: slices.Clone(data), TieWordEmbeddings: r.Tie, TorchDType: r.TorchDType, BOS: 1}
	if c.TorchDType == "" {
		c.TorchDType = r.DType
	}
	for _, read := range []func(*Config) error{r.sizes, r.heads, r.norm, r.window, r.rope, r.tokens} {
		if err := read(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// jsonError names the key of a value of the wrong type.
func jsonError(err error) error {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) && te.Field != "" {
		return badValue(strings.TrimPrefix(te.Field, "rawRopeKeys."), "is a JSON %s at byte %d, want a value for %s", te.Value, te.Offset, te.Type)
	}
	var se *json.SyntaxError
	if errors.As(err, &se) {
		return fmt.Errorf("config.json: byte %d: %w", se.Offset, err)
	}
	return fmt.Errorf("config.json: %w", err)
}

func (r raw) supported() error {
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
const (
	maxSize   = 1 << 28
	maxLayers = 4096
)

func (r raw) sizes(c *Config) error {
	for _, f := range []struct {
		key  string
		src  *int
		dst  *int
		most int
	}{
		{"hidden_size", r.HiddenSize, &c.HiddenSize, maxSize},
		{"intermediate_size", r.IntermediateSize, &c.IntermediateSize, maxSize},
		{"num_hidden_layers", r.Layers, &c.Layers, maxLayers},
		{"num_attention_heads", r.Heads, &c.Heads, maxSize},
		{"vocab_size", r.VocabSize, &c.VocabSize, maxSize},
		{"max_position_embeddings", r.MaxPosition, &c.MaxPosition, maxSize},
	} {
		if f.src == nil {
			return badValue(f.key, "is missing")
		}
		if *f.src < 1 || *f.src > f.most {
			return badValue(f.key, "= %d is out of range, want 1 to %d", *f.src, f.most)
		}
		*f.dst = *f.src
	}
	return nil
}

func (r raw) heads(c *Config) error {
	if c.HiddenSize%c.Heads != 0 || c.HiddenSize/c.Heads%2 != 0 {
		return badValue("hidden_size", "= %d does not divide into %d heads of even size", c.HiddenSize, c.Heads)
	}
	c.HeadDim, c.KVHeads = c.HiddenSize/c.Heads, c.Heads
	if r.HeadDim != nil && *r.HeadDim != c.HeadDim {
		return &UnsupportedError{"head_dim", fmt.Sprint(*r.HeadDim)}
	}
	if r.KVHeads != nil {
		c.KVHeads = *r.KVHeads
	}
	if c.KVHeads < 1 || c.Heads%c.KVHeads != 0 {
		return badValue("num_key_value_heads", "= %d does not divide %d heads", c.KVHeads, c.Heads)
	}
	return nil
}

func (r raw) norm(c *Config) error {
	if r.RMSNormEps == nil || !(*r.RMSNormEps > 0 && *r.RMSNormEps < 1) {
		return badValue("rms_norm_eps", "is missing or not between 0 and 1")
	}
	c.RMSNormEps = *r.RMSNormEps
	return nil
}

// window refuses a sliding window that would hide part of the context: the
// engine attends to everything before a token.
func (r raw) window(c *Config) error {
	if r.SlidingWindow == nil {
		return nil
	}
	c.SlidingWindow = *r.SlidingWindow
	if c.SlidingWindow < 0 {
		return badValue("sliding_window", "= %d is negative", c.SlidingWindow)
	}
	if c.SlidingWindow > 0 && c.SlidingWindow < c.MaxPosition {
		return &UnsupportedError{"sliding_window", fmt.Sprintf("%d (below max_position_embeddings)", c.SlidingWindow)}
	}
	return nil
}

func (r raw) tokens(c *Config) (err error) {
	if c.EOS, err = tokenList("config.json", r.EOS, c.VocabSize); err != nil {
		return err
	}
	if r.BOS != nil {
		c.BOS = *r.BOS
	}
	if len(c.EOS) > 0 {
		c.Pad = c.EOS[0]
	}
	if r.Pad != nil {
		c.Pad = *r.Pad
	}
	for key, id := range map[string]int32{"bos_token_id": c.BOS, "pad_token_id": c.Pad} {
		if id < 0 || int(id) >= c.VocabSize {
			return badValue(key, "= %d is not in the vocabulary of %d", id, c.VocabSize)
		}
	}
	return nil
}

// tokenList reads eos_token_id: a number, a list or null.
func tokenList(file string, raw json.RawMessage, vocab int) ([]int32, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var list []int32
	if err := json.Unmarshal(raw, &list); err != nil {
		list = make([]int32, 1)
		if err := json.Unmarshal(raw, &list[0]); err != nil {
			return nil, &ValueError{file, "eos_token_id", "is neither a token number nor a list of them"}
		}
	}
	var out []int32
	for _, id := range list {
		if id < 0 || int(id) >= vocab {
			return nil, &ValueError{file, "eos_token_id", fmt.Sprintf("%d is not in the vocabulary of %d", id, vocab)}
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}
