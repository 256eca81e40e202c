package gguf

import (
	"fmt"
	"slices"
	"strings"
)

// Recipe names a mix of types for a whole file, as llama-quantize does.
type Recipe string

// A recipeTrait is the number of general.file_type (enum llama_ftype) and the type
// that most tensors take.
type recipeTrait struct {
	fileType uint32
	base     Type
}

var recipeTraits = map[Recipe]recipeTrait{
	"F32": {0, F32}, "F16": {1, F16}, "BF16": {32, BF16},
	"Q4_0": {2, Q4_0}, "Q4_1": {3, Q4_1}, "Q5_0": {8, Q5_0}, "Q5_1": {9, Q5_1}, "Q8_0": {7, Q8_0},
	"Q4_K_S": {14, Q4_K}, "Q4_K_M": {15, Q4_K}, "Q5_K_S": {16, Q5_K}, "Q5_K_M": {17, Q5_K}, "Q6_K": {18, Q6_K},
}

// Recipes lists the recipes by name.
func Recipes() []Recipe {
	out := make([]Recipe, 0, len(recipeTraits))
	for r := range recipeTraits {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

// ParseRecipe returns the recipe of that name, in any case.
func ParseRecipe(name string) (Recipe, error) {
	r := Recipe(strings.ToUpper(name))
	return r, r.Validate()
}

// Validate reports an unknown recipe.
func (r Recipe) Validate() error {
	if _, ok := recipeTraits[r]; !ok {
		return fmt.Errorf("gguf: %w: recipe %q, want one of %v", ErrOption, string(r), Recipes())
	}
	return nil
}

// FileType returns the value of general.file_type.
func (r Recipe) FileType() uint32 { return recipeTraits[r].fileType }

// Base returns the type that most tensors take.
func (r Recipe) Base() Type { return recipeTraits[r].base }

// Policy names the version of llama.cpp whose rule picks each tensor's type.
type Policy string

// The policies. They differ for models whose attention weights are fused, as
// Phi-3's are: in 2026 attn_qkv is treated as attn_v, with more bits in some
// layers; in 2025 in all layers.
const (
	Policy2026 Policy = "llama.cpp-2026"
	Policy2025 Policy = "llama.cpp-2025"
)

// Validate reports an unknown policy.
func (p Policy) Validate() error {
	if p != Policy2026 && p != Policy2025 {
		return fmt.Errorf("gguf: %w: policy %q, want %q or %q", ErrOption, string(p), Policy2026, Policy2025)
	}
	return nil
}

// A Mix picks the type of each tensor of one model.
type Mix struct {
	Recipe Recipe
	Policy Policy
	Layers int  // the model's block count
	Tied   bool // token_embd serves as output too
	// Weighted: an importance matrix is in use, which changes Q4_0's and Q5_0's rule.
	Weighted bool
}

// Type returns the type of a tensor by its GGUF name and shape, and whether the
// row length forced another type than the recipe wants. Rule: llama-quant.cpp,
// llama_tensor_get_type, for the architectures that have neither experts nor
// special cases.
func (m Mix) Type(name string, shape []int) (t Type, fallback bool) {
	if !quantizes(name, shape) {
		return F32, false
	}
	base := m.Recipe.Base()
	if base == F32 || base == F16 || base == BF16 {
		return base, false
	}
	return fitRow(m.wanted(name, shape[len(shape)-1]), shape[len(shape)-1])
}

// quantizes reports whether a tensor is a matrix of weights. Norms and all
// one-dimensional tensors stay float32.
func quantizes(name string, shape []int) bool {
	return len(shape) >= 2 && strings.HasSuffix(name, "weight") && !strings.Contains(name, "_norm.weight")
}

func (m Mix) wanted(name string, row int) Type {
	base := m.Recipe.Base()
	switch {
	case name == "output.weight" || m.Tied && name == "token_embd.weight":
		if row%base.BlockSize() != 0 || base == Q8_0 {
			return Q8_0
		}
		return Q6_K
	case strings.Contains(name, "attn_qkv.weight"):
		return m.fused(base, layerOf(name))
	case strings.Contains(name, "attn_v.weight"):
		return m.value(base, layerOf(name))
	case strings.Contains(name, "ffn_down"):
		return m.down(base, layerOf(name))
	}
	return base
}

// fused is the rule for attn_qkv.
func (m Mix) fused(base Type, layer int) Type {
	if m.Policy == Policy2026 {
		return m.value(base, layer)
	}
	switch m.Recipe {
	case "Q4_K_M":
		return Q5_K
	case "Q5_K_M":
		return Q6_K
	}
	return base
}

// value is the rule for attn_v.
func (m Mix) value(base Type, layer int) Type {
	switch {
	case (m.Recipe == "Q4_K_M" || m.Recipe == "Q5_K_M") && moreBits(layer, m.Layers):
		return Q6_K
	case m.Recipe == "Q4_K_S" && layer < 4:
		return Q5_K
	}
	return base
}

// down is the rule for ffn_down.
func (m Mix) down(base Type, layer int) Type {
	early := layer < m.Layers/8
	switch {
	case (m.Recipe == "Q4_K_M" || m.Recipe == "Q5_K_M") && moreBits(layer, m.Layers):
		return Q6_K
	case m.Recipe == "Q4_K_S" && early:
		return Q5_K
	case m.Recipe == "Q4_0" && m.Weighted && early:
		return Q4_1
	case m.Recipe == "Q5_0" && m.Weighted && early:
		return Q5_1
	}
	return base
}

// moreBits picks the first and last eighth of the layers and every third between.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

// layerOf returns N of "blk.N.…", -1 for other names.
func layerOf(name string) int {
	var n int
	if _, err := fmt.Sscanf(name, "blk.%d.", &n); err != nil || n < 0 {
		return -1
	}
	return n
}

// fitRow replaces a type whose block does not divide the row, as
// llama-quant.cpp's tensor_type_fallback does.
func fitRow(t Type, row int) (Type, bool) {
	if row%t.BlockSize() == 0 {
		return t, false
	}
	switch t {
	case Q2_K, Q3_K:
		t = Q4_0
	case Q4_K:
		t = Q5_0
	case Q5_K:
		t = Q5_1
	case Q6_K:
		t = Q8_0
	}
	if row%t.BlockSize() != 0 {
		t = F16
	}
	return t, true
}

// compareNames is the order of tensors in a file that llama-quantize writes:
// outside the blocks first, then by layer, then by name.
func compareNames(a, b string) int {
	if la, lb := layerOf(a), layerOf(b); la != lb {
		return la - lb
	}
	return strings.Compare(a, b)
}
