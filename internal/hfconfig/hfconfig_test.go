package hfconfig

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// Configurations of testdata: phi35.json is Borea-Phi-3.5-mini-Instruct-Common's
// own, gqa.json that of a random-weight miniature with grouped heads made with
// transformers.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPhi35(t *testing.T) {
	c, err := Read(fstest.MapFS{
		"config.json":            {Data: fixture(t, "phi35.json")},
		"generation_config.json": {Data: []byte(`{"eos_token_id":[32007,32001,32000]}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.HiddenSize != 3072 || c.IntermediateSize != 8192 || c.Layers != 32 || c.Heads != 32 || c.KVHeads != 32 ||
		c.HeadDim != 96 || c.VocabSize != 32064 || c.RMSNormEps != 1e-5 || c.RopeTheta != 10000 ||
		c.OriginalMaxPosition != 4096 || c.MaxPosition != 131072 || c.TieWordEmbeddings || c.SlidingWindow != 262144 {
		t.Errorf("%+v", c)
	}
	if !reflect.DeepEqual(c.EOS, []int32{32007, 32001, 32000}) || c.BOS != 1 || c.Pad != 32000 || c.TorchDType != "float16" {
		t.Errorf("tokens %v %d %d, dtype %q", c.EOS, c.BOS, c.Pad, c.TorchDType)
	}
	// The figure that transformers gives: sqrt(1 + ln 32 / ln 4096).
	if math.Abs(c.Rope.AttentionFactor-1.1902380714238083) > 1e-15 || len(c.Rope.Short) != 48 || len(c.Rope.Long) != 48 || c.Rope.Type != "longrope" {
		t.Errorf("rope %+v", c.Rope)
	}
}

func TestGroupedHeads(t *testing.T) {
	c, err := Parse(fixture(t, "gqa.json"))
	if err != nil || c.Heads != 4 || c.KVHeads != 2 || c.HeadDim != 96 || !reflect.DeepEqual(c.EOS, []int32{2}) || c.TorchDType != "bfloat16" {
		t.Errorf("%+v, %v", c, err)
	}
}

// small is a valid configuration to change.
func small() map[string]any {
	return map[string]any{
		"model_type": "phi3", "hidden_act": "silu", "hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1,
		"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64, "rms_norm_eps": 1e-5,
		"max_position_embeddings": 128, "original_max_position_embeddings": 32, "eos_token_id": 3,
		"rope_scaling": longrope(nil),
	}
}

func longrope(more map[string]any) map[string]any {
	m := map[string]any{"type": "longrope", "short_factor": []float64{1, 1}, "long_factor": []float64{2, 4}}
	maps.Copy(m, more)
	return m
}

func parse(t *testing.T, m map[string]any) (*Config, error) {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(b)
}

// with returns the small configuration with keys set, or deleted where nil.
func with(changes map[string]any) map[string]any {
	m := small()
	for k, v := range changes {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	return m
}

func TestEveryRequiredKeyIsMissed(t *testing.T) {
	for _, key := range []string{"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
		"max_position_embeddings", "rms_norm_eps", "original_max_position_embeddings"} {
		_, err := parse(t, with(map[string]any{key: nil}))
		var ve *ValueError
		if !errors.As(err, &ve) || ve.Key != key || ve.File != "config.json" {
			t.Errorf("without %s: %v", key, err)
		}
	}
}

func TestUnsupportedSettingsAreNamed(t *testing.T) {
	for want, change := range map[string]map[string]any{
		`model_type = "llama"`:                  {"model_type": "llama"},
		`model_type = ""`:                       {"model_type": nil},
		`model_type = "phimoe"`:                 {"model_type": "phimoe"},
		`hidden_act = "gelu"`:                   {"hidden_act": "gelu"},
		`attention_bias`:                        {"attention_bias": true},
		`partial_rotary_factor = "0.75"`:        {"partial_rotary_factor": 0.75},
		`partial_rotary_factor = "0.5"`:         {"rope_scaling": longrope(map[string]any{"partial_rotary_factor": 0.5})},
		`head_dim = "8"`:                        {"head_dim": 8},
		`quantization_config`:                   {"quantization_config": map[string]any{"bits": 4}},
		`rope_scaling.type = "su"`:              {"rope_scaling": map[string]any{"type": "su"}},
		`rope_scaling.type = "yarn"`:            {"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4}},
		`rope_scaling.type = "linear"`:          {"rope_parameters": map[string]any{"rope_type": "linear", "factor": 4}},
		`rope_scaling.type = ""`:                {"rope_scaling": map[string]any{"factor": 4}},
		`rope_scaling.short_mscale = "present"`: {"rope_scaling": longrope(map[string]any{"short_mscale": 1.2})},
		`sliding_window = "100 `:                {"sliding_window": 100},
	} {
		_, err := parse(t, with(change))
		var ue *UnsupportedError
		if !errors.As(err, &ue) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", change, err, want)
		}
	}
}

func TestImpossibleValuesAreNamed(t *testing.T) {
	for _, c := range []struct {
		key    string
		change map[string]any
	}{
		{"hidden_size", map[string]any{"hidden_size": 0}},
		{"hidden_size", map[string]any{"hidden_size": -16}},
		{"hidden_size", map[string]any{"hidden_size": maxSize + 1}},
		{"hidden_size", map[string]any{"hidden_size": "16"}},
		{"hidden_size", map[string]any{"hidden_size": 1.5}},
		{"rope_theta", map[string]any{"rope_theta": "big"}},
		{"rope_scaling.short_factor", map[string]any{"rope_scaling": longrope(map[string]any{"short_factor": "none"})}},
		{"hidden_size", map[string]any{"hidden_size": 18}},
		{"hidden_size", map[string]any{"hidden_size": 12}}, // heads of 3
		{"num_hidden_layers", map[string]any{"num_hidden_layers": maxLayers + 1}},
		{"num_key_value_heads", map[string]any{"num_key_value_heads": 3}},
		{"num_key_value_heads", map[string]any{"num_key_value_heads": 0}},
		{"rms_norm_eps", map[string]any{"rms_norm_eps": 0}},
		{"rope_theta", map[string]any{"rope_theta": 0}},
		{"original_max_position_embeddings", map[string]any{"original_max_position_embeddings": 129}},
		{"original_max_position_embeddings", map[string]any{"original_max_position_embeddings": 1}},
		{"rope_scaling.short_factor", map[string]any{"rope_scaling": longrope(map[string]any{"short_factor": []float64{1}})}},
		{"rope_scaling.long_factor", map[string]any{"rope_scaling": longrope(map[string]any{"long_factor": []float64{1, 2, 3}})}},
		{"rope_scaling.long_factor", map[string]any{"rope_scaling": longrope(map[string]any{"long_factor": []float64{1, 0}})}},
		{"rope_scaling.attention_factor", map[string]any{"rope_scaling": longrope(map[string]any{"attention_factor": -1})}},
		{"sliding_window", map[string]any{"sliding_window": -1}},
		{"eos_token_id", map[string]any{"eos_token_id": 64}},
		{"eos_token_id", map[string]any{"eos_token_id": []int{3, -1}}},
		{"eos_token_id", map[string]any{"eos_token_id": "3"}},
		{"bos_token_id", map[string]any{"bos_token_id": 64}},
		{"pad_token_id", map[string]any{"pad_token_id": -1}},
	} {
		_, err := parse(t, with(c.change))
		var ve *ValueError
		if !errors.As(err, &ve) || ve.Key != c.key {
			t.Errorf("%v: %v, want %s", c.change, err, c.key)
		}
	}
}

func TestBothSpellingsOfTheRope(t *testing.T) {
	old, err := parse(t, with(map[string]any{"rope_theta": 500.0}))
	if err != nil {
		t.Fatal(err)
	}
	params := longrope(map[string]any{"rope_type": "longrope", "rope_theta": 500.0, "original_max_position_embeddings": 32})
	delete(params, "type")
	now, err := parse(t, with(map[string]any{"rope_scaling": nil, "original_max_position_embeddings": nil, "rope_parameters": params}))
	if err != nil {
		t.Fatal(err)
	}
	old.Raw, now.Raw = nil, nil
	if !reflect.DeepEqual(old, now) || old.RopeTheta != 500 {
		t.Errorf("%+v\n%+v", old, now)
	}
}

func TestNoScalingAndGivenFactor(t *testing.T) {
	c, err := parse(t, with(map[string]any{"rope_scaling": nil, "original_max_position_embeddings": nil}))
	if err != nil || c.Rope.Type != "" || c.Rope.AttentionFactor != 1 || c.OriginalMaxPosition != 128 || c.RopeTheta != 10000 {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parse(t, with(map[string]any{"rope_scaling": map[string]any{"rope_type": "default"}}))
	if err != nil || c.Rope.Type != "" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parse(t, with(map[string]any{"rope_scaling": longrope(map[string]any{"attention_factor": 1.5})}))
	if err != nil || c.Rope.AttentionFactor != 1.5 {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parse(t, with(map[string]any{"original_max_position_embeddings": 128}))
	if err != nil || c.Rope.AttentionFactor != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDefaultsOfTokensAndHeads(t *testing.T) {
	c, err := parse(t, with(map[string]any{"num_key_value_heads": nil, "eos_token_id": []int{5, 6, 5}}))
	if err != nil || c.KVHeads != 4 || c.BOS != 1 || c.Pad != 5 || !reflect.DeepEqual(c.EOS, []int32{5, 6}) {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parse(t, with(map[string]any{"eos_token_id": nil, "pad_token_id": 9, "bos_token_id": 2}))
	if err != nil || c.EOS != nil || c.Pad != 9 || c.BOS != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestStopTokensOfBothFiles(t *testing.T) {
	config, _ := json.Marshal(small())
	for gen, want := range map[string][]int32{
		`{}`: {3}, `{"eos_token_id":null}`: {3}, `{"eos_token_id":7}`: {7, 3}, `{"eos_token_id":[7,3,8]}`: {7, 3, 8},
	} {
		c, err := Read(fstest.MapFS{"config.json": {Data: config}, "generation_config.json": {Data: []byte(gen)}})
		if err != nil || !reflect.DeepEqual(c.EOS, want) {
			t.Errorf("%s: %v, %v", gen, c, err)
		}
	}
	for gen, want := range map[string]string{
		`{"eos_token_id":99}`: "generation_config.json: eos_token_id 99", `{"eos_token_id":{}}`: "neither a token", `{`: "generation_config.json",
	} {
		_, err := Read(fstest.MapFS{"config.json": {Data: config}, "generation_config.json": {Data: []byte(gen)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", gen, err)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	if _, err := Read(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "config.json") {
		t.Error(err)
	}
	for name, data := range map[string][]byte{
		"empty": nil, "cut": []byte(`{"model_type":`), "a list": []byte("[]"), "wrong type": []byte(`{"model_type":"phi3","hidden_size":"big"}`),
		"too long": []byte(strings.Repeat(" ", maxBytes+1)),
	} {
		if _, err := Read(fstest.MapFS{"config.json": {Data: data}}); err == nil || !strings.Contains(err.Error(), "config.json") {
			t.Errorf("%s: %v", name, err)
		}
	}
	config, _ := json.Marshal(small())
	if _, err := Read(fstest.MapFS{"config.json": {Data: config}, "generation_config.json": {Mode: fs.ModeDir}}); err == nil {
		t.Error("an unreadable generation_config.json is ignored")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(fixture(f, "phi35.json"))
	f.Add(fixture(f, "gqa.json"))
	b, _ := json.Marshal(small())
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		if c.HeadDim*c.Heads != c.HiddenSize || c.Heads%c.KVHeads != 0 || !(c.Rope.AttentionFactor > 0) ||
			c.Rope.Type != "" && (len(c.Rope.Short) != c.HeadDim/2 || len(c.Rope.Long) != c.HeadDim/2) {
			t.Errorf("accepted %+v", c)
		}
	})
}
