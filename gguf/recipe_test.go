package gguf

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// wide are rows that every block divides, as Phi-3.5's.
func wide(part string) []int {
	if part == "attn_norm" {
		return []int{3072}
	}
	return []int{3072, 3072}
}

// The layers whose ffn_down, and by the rule of 2026 attn_qkv, get more bits in a
// model of 32 layers (facts confirmed on llama.cpp's library by whole_file.py).
var more32 = []int{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}

func TestMixesOf32Layers(t *testing.T) {
	type row struct{ output, embedding, qkv, qkvMore, out, up, down, downMore Type }
	cases := []struct {
		recipe Recipe
		policy Policy
		want   row
	}{
		{"Q5_K_M", Policy2026, row{Q6_K, Q5_K, Q5_K, Q6_K, Q5_K, Q5_K, Q5_K, Q6_K}},
		{"Q5_K_M", Policy2025, row{Q6_K, Q5_K, Q6_K, Q6_K, Q5_K, Q5_K, Q5_K, Q6_K}},
		{"Q4_K_M", Policy2026, row{Q6_K, Q4_K, Q4_K, Q6_K, Q4_K, Q4_K, Q4_K, Q6_K}},
		{"Q4_K_M", Policy2025, row{Q6_K, Q4_K, Q5_K, Q5_K, Q4_K, Q4_K, Q4_K, Q6_K}},
		{"Q5_K_S", Policy2026, row{Q6_K, Q5_K, Q5_K, Q5_K, Q5_K, Q5_K, Q5_K, Q5_K}},
		{"Q6_K", Policy2026, row{Q6_K, Q6_K, Q6_K, Q6_K, Q6_K, Q6_K, Q6_K, Q6_K}},
		{"Q8_0", Policy2026, row{Q8_0, Q8_0, Q8_0, Q8_0, Q8_0, Q8_0, Q8_0, Q8_0}},
		{"Q5_0", Policy2026, row{Q6_K, Q5_0, Q5_0, Q5_0, Q5_0, Q5_0, Q5_0, Q5_0}},
		{"Q5_1", Policy2026, row{Q6_K, Q5_1, Q5_1, Q5_1, Q5_1, Q5_1, Q5_1, Q5_1}},
		{"F16", Policy2026, row{F16, F16, F16, F16, F16, F16, F16, F16}},
		{"BF16", Policy2026, row{BF16, BF16, BF16, BF16, BF16, BF16, BF16, BF16}},
		{"F32", Policy2026, row{F32, F32, F32, F32, F32, F32, F32, F32}},
	}
	for _, c := range cases {
		m := Mix{Recipe: c.recipe, Policy: c.policy, Layers: 32}
		is := func(name string, want Type) {
			t.Helper()
			if got, fallback := m.Type(name, wide("")); got != want || fallback {
				t.Errorf("%s by %s: %s is %v (fallback %v), want %v", c.recipe, c.policy, name, got, fallback, want)
			}
		}
		is("output.weight", c.want.output)
		is("token_embd.weight", c.want.embedding)
		for layer := range 32 {
			qkv, down := c.want.qkv, c.want.down
			if slices.Contains(more32, layer) {
				qkv, down = c.want.qkvMore, c.want.downMore
			}
			is(fmt.Sprintf("blk.%d.attn_qkv.weight", layer), qkv)
			is(fmt.Sprintf("blk.%d.ffn_down.weight", layer), down)
			is(fmt.Sprintf("blk.%d.ffn_up.weight", layer), c.want.up)
			is(fmt.Sprintf("blk.%d.attn_output.weight", layer), c.want.out)
		}
	}
}

func TestMixSpecialCases(t *testing.T) {
	cases := []struct {
		why      string
		mix      Mix
		name     string
		shape    []int
		want     Type
		fallback bool
	}{
		{"norms stay float32", Mix{Recipe: "Q5_K_M", Layers: 4}, "blk.0.attn_norm.weight", wide("attn_norm"), F32, false},
		{"rope factors stay float32", Mix{Recipe: "F16", Layers: 4}, ropeLong, []int{48}, F32, false},
		{"a tied embedding is the output", Mix{Recipe: "Q5_K_M", Tied: true}, "token_embd.weight", []int{10, 512}, Q6_K, false},
		{"a tied embedding with short rows", Mix{Recipe: "Q5_K_M", Tied: true}, "token_embd.weight", []int{10, 192}, Q8_0, false},
		{"a tied embedding of Q5_0 with short rows", Mix{Recipe: "Q5_0", Tied: true}, "token_embd.weight", []int{10, 192}, Q8_0, true},
		{"short rows of Q5_K", Mix{Recipe: "Q5_K_S", Layers: 4}, "blk.1.ffn_up.weight", []int{10, 192}, Q5_1, true},
		{"short rows of Q6_K", Mix{Recipe: "Q6_K", Layers: 4}, "blk.1.ffn_up.weight", []int{10, 192}, Q8_0, true},
		{"short rows of Q4_K", Mix{Recipe: "Q4_K_S", Layers: 32}, "blk.9.ffn_up.weight", []int{10, 192}, Q5_0, true},
		{"rows that no block divides", Mix{Recipe: "Q5_K_S", Layers: 4}, "blk.1.ffn_up.weight", []int{10, 100}, F16, true},
		{"Q4_K_S early value", Mix{Recipe: "Q4_K_S", Layers: 32, Policy: Policy2026}, "blk.3.attn_qkv.weight", wide(""), Q5_K, false},
		{"Q4_K_S early down", Mix{Recipe: "Q4_K_S", Layers: 32}, "blk.3.ffn_down.weight", wide(""), Q5_K, false},
		{"Q5_0 early down with imatrix", Mix{Recipe: "Q5_0", Layers: 32, Weighted: true}, "blk.3.ffn_down.weight", wide(""), Q5_1, false},
		{"Q4_0 later down with imatrix", Mix{Recipe: "Q4_0", Layers: 32, Weighted: true}, "blk.4.ffn_down.weight", wide(""), Q4_0, false},
	}
	for _, c := range cases {
		if got, fallback := c.mix.Type(c.name, c.shape); got != c.want || fallback != c.fallback {
			t.Errorf("%s: %v (fallback %v), want %v", c.why, got, fallback, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for hf, want := range map[string]string{
		"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight", "model.norm.weight": "output_norm.weight",
		"model.layers.31.self_attn.qkv_proj.weight": "blk.31.attn_qkv.weight", "model.layers.0.mlp.gate_up_proj.weight": "blk.0.ffn_up.weight",
	} {
		got, ok := hfToGGUF(hf)
		back, okBack := ggufToHF(want)
		if !ok || !okBack || got != want || back != hf {
			t.Errorf("%s: %s, back %s", hf, got, back)
		}
	}
	for _, bad := range []string{"", "model.layers.01.mlp.down_proj.weight", "model.layers.-1.mlp.down_proj.weight", "model.layers.0.mlp.weight", "lm_head.bias", "model.layers.0"} {
		if got, ok := hfToGGUF(bad); ok {
			t.Errorf("%q: %q", bad, got)
		}
	}
	if _, ok := ggufToHF("blk.0.attn_q.weight"); ok {
		t.Error("attn_q is no Phi-3 tensor")
	}
	names := []string{"blk.10.a", "token_embd.weight", "blk.2.b", "blk.2.a", "output.weight"}
	slices.SortFunc(names, compareNames)
	if want := []string{"output.weight", "token_embd.weight", "blk.2.a", "blk.2.b", "blk.10.a"}; !slices.Equal(names, want) {
		t.Error(names)
	}
}

func TestParseNames(t *testing.T) {
	if r, err := ParseRecipe("q5_k_m"); r != "Q5_K_M" || err != nil {
		t.Error(r, err)
	}
	if _, err := ParseRecipe("Q9"); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
	if _, err := ParseType("Q9"); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	if err := Policy("none").Validate(); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
	for name, want := range map[string]string{"Borea": "Borea (phi-3)", "": "Phi-3", "My-PHI3": "My-PHI3", "Borea-Phi-3.5": "Borea-Phi-3.5"} {
		if got := modelName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
	for n, want := range map[int64]string{9697824: "10M", 3821079552: "3.8B", 500: "0.5K", 1100: "1.1K", 71e9: "71B"} {
		if got := sizeLabel(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
