package hfconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	// EOS lists the tokens that end a generation: generation_config.json's first,
	// then config.json's.
	EOS           []int32
	SlidingWindow int // 0 for none
	// TorchDType is torch_dtype, or dtype as newer files spell it; "" if neither.
	TorchDType string
	// Raw is config.json as it was.
	Raw json.RawMessage
}

// Rope is the rotary scaling.
type Rope struct {
	Type        string    // "" or "longrope"
	Short, Long []float64 // HeadDim/2 each, for longrope
	// AttentionFactor multiplies cos and sin: sqrt(1 + ln(max/orig)/ln(orig)) for
	// longrope unless the file gives it (LongRoPE, arXiv:2402.13753, as transformers'
	// modeling_rope_utils computes it), else 1.
	AttentionFactor float64
}

// UnsupportedError names a setting that the engine does not implement.
type UnsupportedError struct{ Key, Value string }

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("config.json: %s = %q is not supported; this engine runs Phi-3 models with longrope or no rope scaling", e.Key, e.Value)
}

// ValueError reports a missing or impossible value.
type ValueError struct{ File, Key, Problem string }

// Error implements error.
func (e *ValueError) Error() string { return fmt.Sprintf("%s: %s %s", e.File, e.Key, e.Problem) }

// badValue is a *ValueError about config.json.
func badValue(key, format string, args ...any) error {
	return &ValueError{"config.json", key, fmt.Sprintf(format, args...)}
}

// maxBytes bounds a configuration file; Phi-3's have 4 KB.
const maxBytes = 4 << 20

// Read reads the configuration of a model directory: config.json and, when it
// exists, generation_config.json. Errors are *UnsupportedError, *ValueError, or
// wrap the cause with the file's name.
func Read(fsys fs.FS) (*Config, error) {
	raw, err := readFile(fsys, "config.json")
	if err != nil {
		return nil, fmt.Errorf("model directory: %w", err)
	}
	c, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	gen, err := readFile(fsys, "generation_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var g struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if err := json.Unmarshal(gen, &g); err != nil {
		return nil, fmt.Errorf("generation_config.json: %w", err)
	}
	eos, err := tokenList("generation_config.json", g.EOS, c.VocabSize)
	if err != nil {
		return nil, err
	}
	for _, id := range c.EOS {
		if !slices.Contains(eos, id) {
			eos = append(eos, id)
		}
	}
	c.EOS = eos
	return c, nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err == nil && len(data) > maxBytes {
		err = fmt.Errorf("longer than %d bytes", maxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}
