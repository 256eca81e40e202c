package gguf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// phi3Global and phi3Layer map tensors of a Hugging Face directory to llama.cpp's
// names (gguf-py, tensor_mapping.py). qkv_proj and gate_up_proj stay fused, and
// nothing is permuted.
var (
	phi3Global = map[string]string{
		"model.embed_tokens": "token_embd",
		"model.norm":         "output_norm",
		"lm_head":            "output",
	}
	phi3Layer = map[string]string{
		"input_layernorm":          "attn_norm",
		"self_attn.qkv_proj":       "attn_qkv",
		"self_attn.o_proj":         "attn_output",
		"post_attention_layernorm": "ffn_norm",
		"mlp.gate_up_proj":         "ffn_up",
		"mlp.down_proj":            "ffn_down",
	}
)

// Names of the rope factors, which have no counterpart among the directory's
// tensors.
const (
	ropeLong  = "rope_factors_long.weight"
	ropeShort = "rope_factors_short.weight"
)

// hfToGGUF returns llama.cpp's name; false for a tensor that Phi-3 does not have.
func hfToGGUF(name string) (string, bool) {
	stem, ok := strings.CutSuffix(name, ".weight")
	if !ok {
		return "", false
	}
	if g, ok := phi3Global[stem]; ok {
		return g + ".weight", true
	}
	rest, ok := strings.CutPrefix(stem, "model.layers.")
	if !ok {
		return "", false
	}
	layer, part, _ := strings.Cut(rest, ".")
	g, ok := phi3Layer[part]
	if n, err := strconv.Atoi(layer); !ok || err != nil || n < 0 || strconv.Itoa(n) != layer {
		return "", false
	}
	return "blk." + layer + "." + g + ".weight", true
}

// ggufToHF is the way back.
func ggufToHF(name string) (string, bool) {
	stem, ok := strings.CutSuffix(name, ".weight")
	if !ok {
		return "", false
	}
	for h, g := range phi3Global {
		if stem == g {
			return h + ".weight", true
		}
	}
	layer := layerOf(name)
	part, ok := strings.CutPrefix(stem, fmt.Sprintf("blk.%d.", layer))
	for h, g := range phi3Layer {
		if ok && part == g {
			return fmt.Sprintf("model.layers.%d.%s.weight", layer, h), true
		}
	}
	return "", false
}

// plan lists what to write, and checks that every tensor the architecture wants is
// there with its shape and no other is.
func (c *conversion) plan() ([]planned, error) {
	want := c.shapes()
	var out []planned
	for _, info := range c.model.Tensors() {
		name, ok := hfToGGUF(info.Name)
		switch {
		case strings.HasSuffix(info.Name, ".rotary_emb.inv_freq"), c.cfg.TieWordEmbeddings && name == "output.weight":
			// Derived from the configuration, or a copy of the embedding.
			c.report.Left = append(c.report.Left, info.Name)
			continue
		case !ok:
			return nil, &TensorError{info.Name, fmt.Errorf("%w: Phi-3 has no such tensor", ErrUnsupported)}
		case want[name] == nil:
			return nil, &TensorError{info.Name, fmt.Errorf("%w: beyond the configuration's %d layers", ErrFormat, c.cfg.Layers)}
		case fmt.Sprint(want[name]) != fmt.Sprint(info.Shape):
			return nil, &TensorError{info.Name, fmt.Errorf("%w: shape %v, config.json asks for %v", ErrFormat, info.Shape, want[name])}
		}
		delete(want, name)
		out = append(out, planned{name: name, from: info.Name, shape: info.Shape})
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		from, _ := ggufToHF(name)
		return nil, &TensorError{from, fmt.Errorf("%w: the model directory lacks it", ErrNotFound)}
	}
	return append(out, c.ropeFactors()...), nil
}

// shapes returns the shape of every tensor by GGUF name.
func (c *conversion) shapes() map[string][]int {
	f := c.cfg
	kv := f.KVHeads * f.HeadDim
	out := map[string][]int{"token_embd.weight": {f.VocabSize, f.HiddenSize}, "output_norm.weight": {f.HiddenSize}}
	if !f.TieWordEmbeddings {
		out["output.weight"] = []int{f.VocabSize, f.HiddenSize}
	}
	for i := range f.Layers {
		for part, shape := range map[string][]int{
			"attn_norm": {f.HiddenSize}, "ffn_norm": {f.HiddenSize},
			"attn_qkv": {f.HiddenSize + 2*kv, f.HiddenSize}, "attn_output": {f.HiddenSize, f.HiddenSize},
			"ffn_up": {2 * f.IntermediateSize, f.HiddenSize}, "ffn_down": {f.HiddenSize, f.IntermediateSize},
		} {
			out[fmt.Sprintf("blk.%d.%s.weight", i, part)] = shape
		}
	}
	return out
}

func (c *conversion) ropeFactors() []planned {
	r := c.cfg.Rope
	if r.Type == "" {
		return nil
	}
	return []planned{
		{name: ropeLong, shape: []int{len(r.Long)}, values: toFloat32(r.Long)},
		{name: ropeShort, shape: []int{len(r.Short)}, values: toFloat32(r.Short)},
	}
}

func toFloat32(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

// modelName makes a name in which llama.cpp finds Phi-3.
func modelName(name string) string {
	lower := strings.ToLower(name)
	if strings.Contains(lower, "phi-3") || strings.Contains(lower, "phi3") {
		return name
	}
	if name == "" {
		return "Phi-3"
	}
	return name + " (phi-3)"
}
