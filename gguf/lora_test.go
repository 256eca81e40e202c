package gguf

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// peft makes an adapter directory; a tensor's values are its index.
func peft(t testing.TB, config string, shapes map[string][]int) fstest.MapFS {
	t.Helper()
	var list []safetensors.Tensor
	for name, shape := range shapes {
		n, _ := elements(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i)
		}
		list = append(list, safetensors.F32Tensor(name, shape, v))
	}
	slices.SortFunc(list, func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
	var w bytes.Buffer
	if err := safetensors.Write(&w, list, nil); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{peftSettings: {Data: []byte(config)}, peftWeights: {Data: w.Bytes()}}
}

const layer0 = "base_model.model.model.layers.0."

// pairShapes is an adapter of two linears with ranks 2 and 4.
func pairShapes() map[string][]int {
	return map[string][]int{
		layer0 + "self_attn.qkv_proj.lora_A.weight": {2, 32}, layer0 + "self_attn.qkv_proj.lora_B.weight": {96, 2},
		layer0 + "mlp.down_proj.lora_A.weight": {4, 64}, layer0 + "mlp.down_proj.lora_B.weight": {32, 4},
	}
}

func convertedLoRA(t testing.TB, src fs.FS, opts LoRAOptions) (*Reader, Report) {
	t.Helper()
	m := &memory{}
	report, err := ConvertLoRA(context.Background(), src, serial(m), opts, Env{})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, m.b), report
}

func TestConvertLoRA(t *testing.T) {
	src := peft(t, `{"peft_type":"LORA","base_model_name_or_path":"base","r":2,"lora_alpha":3,"bias":"none"}`, pairShapes())
	opts := DefaultLoRAOptions()
	opts.Name = "adapter"
	r, report := convertedLoRA(t, src, opts)
	for key, want := range map[string]any{"general.architecture": "phi3", "general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": float32(3),
		"general.name": "adapter", "general.file_type": uint32(0), "general.base_model.0.name": "base", "general.quantization_version": uint32(2)} {
		if v, _ := r.Value(key); v.Any() != want {
			t.Errorf("%s is %v", key, v)
		}
	}
	var names []string
	for name, x := range r.Tensors() {
		names = append(names, name)
		w, err := x.Float32()
		if err != nil || w[len(w)-1] != float32(len(w)-1) || x.Type != F32 {
			t.Error(name, err)
		}
	}
	if want := []string{"blk.0.attn_qkv.weight.lora_a", "blk.0.attn_qkv.weight.lora_b", "blk.0.ffn_down.weight.lora_a", "blk.0.ffn_down.weight.lora_b"}; !slices.Equal(names, want) {
		t.Error(names)
	}
	if report.Parameters != 64+192+256+128 || len(report.Tensors) != 4 {
		t.Errorf("%+v", report)
	}
}

// llama.cpp scales a pair by alpha/rank; what PEFT would scale it by must come out.
func TestLoRAScale(t *testing.T) {
	for name, c := range map[string]struct {
		config    string
		qkv, down float64 // PEFT's scales
	}{
		"plain":         {`{"peft_type":"lora","r":2,"lora_alpha":3}`, 3. / 2, 3. / 4},
		"stabilised":    {`{"peft_type":"LORA","r":2,"lora_alpha":3,"use_rslora":true}`, 3 / math.Sqrt2, 3. / 2},
		"pattern":       {`{"peft_type":"LORA","r":2,"lora_alpha":3,"alpha_pattern":{"down_proj":5,"mlp.down_proj":7}}`, 3. / 2, 5. / 4},
		"pattern order": {`{"peft_type":"LORA","r":2,"lora_alpha":3,"alpha_pattern":{"mlp.down_proj":7,"down_proj":5}}`, 3. / 2, 7. / 4},
		"full name":     {`{"peft_type":"LORA","r":2,"lora_alpha":3,"alpha_pattern":{"wn_proj":9,"model.layers.0.self_attn.qkv_proj":1}}`, 1. / 2, 3. / 4},
	} {
		r, _ := convertedLoRA(t, peft(t, c.config, pairShapes()), DefaultLoRAOptions())
		alpha, err := Lookup[float32](&r.Metadata, "adapter.lora.alpha")
		if err != nil {
			t.Fatal(err)
		}
		for part, want := range map[string]float64{"attn_qkv": c.qkv, "ffn_down": c.down} {
			b, _ := r.Tensor("blk.0." + part + ".weight.lora_b")
			w, err := b.Float32()
			if err != nil {
				t.Fatal(err)
			}
			if name == "stabilised" && part == "attn_qkv" && w[10] != 10 {
				t.Errorf("%s: lora_b was scaled although alpha says it all", name)
			}
			if got := float64(alpha) / float64(b.Row()) * float64(w[10]) / 10; math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, %s: scale %v, want %v", name, part, got, want)
			}
		}
	}
}

func TestLoRATypes(t *testing.T) {
	src := peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3}`, pairShapes())
	for typ, want := range map[Type]Type{F16: F16, BF16: BF16, Q8_0: F16} { // of lora_b, whose rows are short
		opts := DefaultLoRAOptions()
		opts.Type = typ
		r, report := convertedLoRA(t, src, opts)
		a, _ := r.Tensor("blk.0.attn_qkv.weight.lora_a")
		b, _ := r.Tensor("blk.0.attn_qkv.weight.lora_b")
		if a.Type != typ || b.Type != want || report.Fallbacks != map[Type]int{Q8_0: 2}[typ] {
			t.Errorf("%v: %v, %v, %d fallbacks", typ, a.Type, b.Type, report.Fallbacks)
		}
	}
}

func TestLoRARefuses(t *testing.T) {
	const config = `{"peft_type":"LORA","r":2,"lora_alpha":3}`
	with := func(name string, shape []int) map[string][]int {
		s := pairShapes()
		if shape == nil {
			delete(s, name)
		} else {
			s[name] = shape
		}
		return s
	}
	for name, c := range map[string]struct {
		src  fs.FS
		want error
		says string
	}{
		"DoRA":           {peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3,"use_dora":true}`, pairShapes()), ErrUnsupported, "use_dora"},
		"bias":           {peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3,"bias":"all"}`, pairShapes()), ErrUnsupported, "bias"},
		"transposed":     {peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3,"fan_in_fan_out":true}`, pairShapes()), ErrUnsupported, "fan_in"},
		"another method": {peft(t, `{"peft_type":"IA3","r":2,"lora_alpha":3}`, pairShapes()), ErrUnsupported, "IA3"},
		"rank 0":         {peft(t, `{"peft_type":"LORA","r":0,"lora_alpha":3}`, pairShapes()), ErrFormat, "r is 0"},
		"alpha 0":        {peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":0}`, pairShapes()), ErrFormat, "alpha is 0"},
		"bad pattern":    {peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3,"alpha_pattern":{"(":1}}`, pairShapes()), ErrFormat, "alpha_pattern"},
		"pattern of 0":   {peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3,"alpha_pattern":{"x":0}}`, pairShapes()), ErrFormat, "alpha is 0"},
		"no JSON":        {peft(t, `{`, pairShapes()), ErrFormat, peftSettings},
		"empty":          {peft(t, config, map[string][]int{}), ErrNotFound, "no factors"},
		"half a pair":    {peft(t, config, with(layer0+"mlp.down_proj.lora_B.weight", nil)), ErrNotFound, "lora_B"},
		"other half":     {peft(t, config, with(layer0+"mlp.down_proj.lora_A.weight", nil)), ErrNotFound, "lora_A"},
		"ranks differ":   {peft(t, config, with(layer0+"mlp.down_proj.lora_B.weight", []int{32, 3})), ErrFormat, "lora_B [32 3]"},
		"unfused":        {peft(t, config, with(layer0+"self_attn.q_proj.lora_A.weight", []int{2, 32})), ErrUnsupported, "fused"},
		"embedding":      {peft(t, config, with("base_model.model.model.embed_tokens.lora_A.weight", []int{2, 32})), ErrUnsupported, "linear"},
		"whole module":   {peft(t, config, with("base_model.model.lm_head.weight", []int{2, 32})), ErrUnsupported, "lm_head"},
		"no adapter":     {peft(t, config, with("model.layers.0.mlp.down_proj.weight", []int{2, 32})), ErrUnsupported, peftPrefix},
		"no settings":    {fstest.MapFS{}, fs.ErrNotExist, peftSettings},
		"no weights":     {fstest.MapFS{peftSettings: {Data: []byte(config)}}, fs.ErrNotExist, peftWeights},
		"no safetensors": {fstest.MapFS{peftSettings: {Data: []byte(config)}, peftWeights: {Data: []byte("pickle")}}, ErrFormat, peftWeights},
	} {
		_, err := ConvertLoRA(context.Background(), c.src, &memory{}, DefaultLoRAOptions(), Env{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	opts := DefaultLoRAOptions()
	opts.Type = Q4_K
	if _, err := ConvertLoRA(context.Background(), fstest.MapFS{}, &memory{}, opts, Env{}); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
}

func TestConvertLoRAFile(t *testing.T) {
	dir := tempDir(t)
	for name, f := range peft(t, `{"peft_type":"LORA","r":2,"lora_alpha":3}`, pairShapes()) {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "a.gguf")
	if _, err := ConvertLoRAFile(context.Background(), dir, out, DefaultLoRAOptions(), Env{}); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(out, DefaultReaderOptions())
	if err != nil || f.Len() != 4 {
		t.Fatal(err)
	}
	f.Close()
	_, err = ConvertLoRAFile(context.Background(), tempDir(t), filepath.Join(dir, "b.gguf"), DefaultLoRAOptions(), Env{})
	if left, _ := filepath.Glob(filepath.Join(dir, "*b.gguf*")); err == nil || len(left) > 0 {
		t.Error(err, left)
	}
}
