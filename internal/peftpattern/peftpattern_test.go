package peftpattern

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPatternsKeepTheirOrder(t *testing.T) {
	const text = `{"layers\\.1\\..*\\.o_proj":5,"(o|down)_proj":7,"o_proj":9}`
	var p Patterns
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	for linear, want := range map[string]float64{
		"model.layers.1.self_attn.o_proj": 5, "model.layers.0.self_attn.o_proj": 7, "o_proj": 7,
		"model.layers.0.mlp.down_proj": 7, "model.layers.0.mlp.xdown_proj": 1, "model.layers.0.self_attn.qkv_proj": 1,
	} {
		if got := p.Find(linear, 1); got != want {
			t.Errorf("%s: %v, want %v", linear, got, want)
		}
	}
	if b, err := json.Marshal(p); err != nil || string(b) != text {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"(":1}`), &p); err == nil || !strings.Contains(err.Error(), "alpha_pattern") {
		t.Errorf("an expression that does not compile: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"a":"1"}`), &p); err == nil {
		t.Error("a value that is no number is taken")
	}
}

func TestNoPatterns(t *testing.T) {
	for _, text := range []string{`{}`, `null`} {
		var p Patterns
		if err := json.Unmarshal([]byte(text), &p); err != nil || len(p) != 0 || p.Find("a", 3) != 3 {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}
