package gguf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/gguf/internal/phi3gen"
	"github.com/borea-go/borea/internal/hfconfig"
)

// tinyTokenizer has four pieces and two added tokens; the model's vocabulary has 16.
const tinyTokenizer = `{"added_tokens":[
 {"id":0,"content":"<unk>","special":true},
 {"id":5,"content":"<|end|>","special":true,"rstrip":true},
 {"id":6,"content":"<note>","special":false}],
 "decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]},
 "model":{"type":"BPE","vocab":{"<unk>":0,"a":1,"b":2,"ab":3,"<0x41>":4},"merges":["a b"],"unk_token":"<unk>","byte_fallback":true}}`

// tiny writes a model of one layer with short rows.
func tiny(t testing.TB, s phi3gen.Shape) fstest.MapFS {
	t.Helper()
	dir := t.TempDir()
	tok := fstest.MapFS{
		"tokenizer.json":        {Data: []byte(tinyTokenizer)},
		"tokenizer_config.json": {Data: []byte(`{"eos_token":{"content":"<|end|>"},"unk_token":"<unk>","bos_token":null,"add_bos_token":false,"added_tokens_decoder":{"8":{"content":"<decoder>","special":true},"6":{"content":"<shadowed>"}}}`)},
		"added_tokens.json":     {Data: []byte(`{"<plain>":7,"<shadowed>":5,"<decoded>":8,"<beyond>":99}`)},
		"chat_template.jinja":   {Data: []byte("{{ messages }}")},
	}
	if err := phi3gen.Write(dir, s, tok); err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = &fstest.MapFile{Data: b}
	}
	return out
}

func tinyShape() phi3gen.Shape {
	return phi3gen.Shape{Hidden: 64, Heads: 2, KVHeads: 1, Layers: 2, MLP: 96, Vocab: 16, EOS: 5, Seed: 1}
}

func options(recipe Recipe) ConvertOptions {
	o := DefaultConvertOptions()
	o.Recipe = recipe
	return o
}

func converted(t testing.TB, src fs.FS, opts ConvertOptions) (*Reader, Report) {
	t.Helper()
	m := &memory{}
	report, err := ConvertHF(context.Background(), src, serial(m), opts, Env{})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, m.b), report
}

func TestVocabulary(t *testing.T) {
	r, _ := converted(t, tiny(t, tinyShape()), options("F16"))
	tokens, err := LookupArray[string](&r.Metadata, "tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	types, err := LookupArray[int32](&r.Metadata, "tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	scores, err := LookupArray[float32](&r.Metadata, "tokenizer.ggml.scores")
	if err != nil {
		t.Fatal(err)
	}
	wantTokens := []string{"<unk>", "a", "b", "ab", "<0x41>", "<|end|>", "<note>", "<plain>", "<decoder>", "[PAD9]", "[PAD10]", "[PAD11]", "[PAD12]", "[PAD13]", "[PAD14]", "[PAD15]"}
	wantTypes := []int32{3, 1, 1, 1, 6, 3, 4, 4, 3, 5, 5, 5, 5, 5, 5, 5}
	if !slices.Equal(tokens, wantTokens) || !slices.Equal(types, wantTypes) {
		t.Errorf("tokens %q\ntypes %v", tokens, types)
	}
	for id, s := range scores {
		added := slices.Contains([]int{0, 5, 6, 7, 8}, id)
		if added != (s == addedScore) || (id > 8) != (s == paddingScore) {
			t.Errorf("score of %s is %v", tokens[id], s)
		}
	}
	for key, want := range map[string]uint32{"eos": 5, "unknown": 0, "bos": 1, "padding": 5} {
		if got, err := Lookup[uint32](&r.Metadata, "tokenizer.ggml."+key+"_token_id"); got != want || err != nil {
			t.Errorf("%s: %v %v", key, got, err)
		}
	}
	if add, err := Lookup[bool](&r.Metadata, "tokenizer.ggml.add_bos_token"); add || err != nil {
		t.Error(add, err)
	}
	if s, _ := Lookup[string](&r.Metadata, "tokenizer.chat_template"); s != "{{ messages }}" {
		t.Error(s)
	}
}

const bundledDir = "../examples/fullpipeline/model"

func bundledModel(t testing.TB) fs.FS {
	t.Helper()
	if _, err := os.Stat(bundledDir); err != nil {
		t.Skip("the bundled model is not part of the module's zip")
	}
	return os.DirFS(bundledDir)
}

func TestConvertBundledModel(t *testing.T) {
	r, report := converted(t, bundledModel(t), options("Q5_K_M"))
	for key, want := range map[string]any{
		"general.architecture": "phi3", "general.name": "Phi-3", "general.file_type": uint32(17), "general.quantization_version": uint32(2),
		"phi3.context_length": uint32(131072), "phi3.embedding_length": uint32(192), "phi3.block_count": uint32(6),
		"phi3.attention.head_count": uint32(2), "phi3.attention.head_count_kv": uint32(2), "phi3.feed_forward_length": uint32(768),
		"phi3.rope.dimension_count": uint32(96), "phi3.rope.scaling.original_context_length": uint32(4096),
		"phi3.attention.layer_norm_rms_epsilon": float32(1e-5), "phi3.rope.freq_base": float32(10000),
		"phi3.rope.scaling.attn_factor": float32(1.1902381), "phi3.attention.sliding_window": uint32(262144),
		"tokenizer.ggml.model": "llama", "tokenizer.ggml.eos_token_id": uint32(32000), "tokenizer.ggml.add_bos_token": false,
	} {
		if v, ok := r.Value(key); !ok || v.Any() != want {
			t.Errorf("%s = %v, want %v", key, v, want)
		}
	}
	types := map[string]string{}
	var names []string
	for name, x := range r.Tensors() {
		types[name] = x.Type.String()
		names = append(names, name)
	}
	if !slices.IsSortedFunc(names, compareNames) || names[4] != "blk.0.attn_norm.weight" {
		t.Errorf("not in llama-quantize's order: %v", names)
	}
	for layer, more := range []bool{false, false, true, false, false, true} {
		qkv, down := "Q5_1", "Q5_K"
		if more {
			qkv, down = "Q8_0", "Q6_K"
		}
		p := "blk." + string(rune('0'+layer)) + "."
		for part, want := range map[string]string{"attn_qkv": qkv, "ffn_down": down, "attn_output": "Q5_1", "ffn_up": "Q5_1", "attn_norm": "F32", "ffn_norm": "F32"} {
			if types[p+part+".weight"] != want {
				t.Errorf("%s%s is %s, want %s", p, part, types[p+part+".weight"], want)
			}
		}
	}
	for name, want := range map[string]string{"token_embd.weight": "Q8_0", "output_norm.weight": "F32", ropeLong: "F32", ropeShort: "F32"} {
		if types[name] != want {
			t.Errorf("%s is %s, want %s", name, types[name], want)
		}
	}
	if len(types) != 40 || report.Fallbacks != 18 || report.Parameters != 9697824 {
		t.Errorf("%d tensors, %d fallbacks, %d weights", len(types), report.Fallbacks, report.Parameters)
	}
}

// The generated model's rows are 768 and 2048, so that every mix keeps its types.
func TestConvertGeneratedModel(t *testing.T) {
	if testing.Short() {
		t.Skip("quantizes 77 million weights")
	}
	bundledModel(t)
	dir := t.TempDir()
	if err := phi3gen.Write(dir, phi3gen.Default(), os.DirFS(bundledDir)); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "model.gguf")
	report, err := ConvertHFFile(context.Background(), dir, out, options("Q5_K_M"), Env{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Stat()
	r, err := NewReader(f, info.Size(), DefaultReaderOptions())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Type{"output.weight": Q6_K, "token_embd.weight": Q5_K, "output_norm.weight": F32, ropeLong: F32, ropeShort: F32}
	for layer, more := range []bool{false, false, true, true} { // 4/8 = 0, so 7·4/8 = 3 on, and (layer-0)%3 == 2
		p := "blk." + string(rune('0'+layer)) + "."
		for _, part := range []string{"attn_norm", "ffn_norm"} {
			want[p+part+".weight"] = F32
		}
		for _, part := range []string{"attn_output", "ffn_up", "attn_qkv", "ffn_down"} {
			want[p+part+".weight"] = Q5_K
		}
		if more {
			want[p+"attn_qkv.weight"], want[p+"ffn_down.weight"] = Q6_K, Q6_K
		}
	}
	for name, x := range r.Tensors() {
		if want[name] != x.Type {
			t.Errorf("%s is %v, want %v", name, x.Type, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 || report.Fallbacks > 0 {
		t.Errorf("missing %v, %d fallbacks", want, report.Fallbacks)
	}
}

// A BF16 file holds the weights exactly, so that the way back gives the same bytes.
func TestThereAndBack(t *testing.T) {
	s := tinyShape()
	for _, tied := range []bool{false, true} {
		s.Tied = tied
		src := tiny(t, s)
		dir := t.TempDir()
		path := filepath.Join(dir, "m.gguf")
		m := &memory{}
		if _, err := ConvertHF(context.Background(), src, serial(m), options("BF16"), Env{}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, m.b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, source := range []fs.FS{src, nil} {
			back := filepath.Join(dir, "back")
			opts := ToHFOptions{DType: "BF16"}
			if _, err := ToHFDir(context.Background(), path, back, source, opts, Env{}); err != nil {
				t.Fatal(err)
			}
			compareModels(t, src, os.DirFS(back))
		}
	}
}

// Some directories store the tied head too.
func TestTiedHeadIsLeft(t *testing.T) {
	src := tiny(t, tinyShape()) // with lm_head.weight
	src["config.json"] = &fstest.MapFile{Data: bytes.Replace(src["config.json"].Data, []byte(`"tie_word_embeddings": false`), []byte(`"tie_word_embeddings": true`), 1)}
	r, report := converted(t, src, options("Q8_0"))
	if _, ok := r.Tensor("output.weight"); ok || !slices.Equal(report.Left, []string{"lm_head.weight"}) {
		t.Errorf("left %v", report.Left)
	}
}

func compareModels(t *testing.T, a, b fs.FS) {
	t.Helper()
	ma, err := safetensors.OpenModel(a)
	if err != nil {
		t.Fatal(err)
	}
	defer ma.Close()
	mb, err := safetensors.OpenModel(b)
	if err != nil {
		t.Fatal(err)
	}
	defer mb.Close()
	if len(ma.Tensors()) != len(mb.Tensors()) {
		t.Errorf("%d tensors, want %d", len(mb.Tensors()), len(ma.Tensors()))
	}
	for _, info := range ma.Tensors() {
		x, err := ma.Section(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		y, err := mb.Section(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		bx, _ := io.ReadAll(x)
		by, _ := io.ReadAll(y)
		if !bytes.Equal(bx, by) {
			t.Errorf("%s changed", info.Name)
		}
	}
	ca, err := hfconfig.Read(a)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := hfconfig.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	ca.Raw, cb.Raw, ca.EOS, cb.EOS = nil, nil, nil, nil
	if ca.BOS, ca.Pad = cb.BOS, cb.Pad; ca.HiddenSize != cb.HiddenSize || ca.KVHeads != cb.KVHeads || ca.TieWordEmbeddings != cb.TieWordEmbeddings ||
		math.Abs(ca.RMSNormEps-cb.RMSNormEps) > 1e-12 || !slices.Equal(ca.Rope.Long, cb.Rope.Long) || ca.MaxPosition != cb.MaxPosition {
		t.Errorf("configurations differ:\n%+v\n%+v", ca, cb)
	}
}

func TestConvertRefuses(t *testing.T) {
	src := tiny(t, tinyShape())
	config := func(key string, v any) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			var c map[string]any
			if err := json.Unmarshal(m["config.json"].Data, &c); err != nil {
				t.Fatal(err)
			}
			c[key] = v
			b, _ := json.Marshal(c)
			m["config.json"] = &fstest.MapFile{Data: b}
		}
	}
	weights := func(name string, f func(b []byte) []byte) func(fstest.MapFS) {
		return func(m fstest.MapFS) { m[name] = &fstest.MapFile{Data: f(slices.Clone(m[name].Data))} }
	}
	last := func(b []byte) []byte { b[len(b)-2], b[len(b)-1] = 0xc0, 0x7f; return b } // NaN
	renamed := func(b []byte) []byte {
		return bytes.Replace(b, []byte(`model.norm.weight`), []byte(`model.narm.weight`), 1)
	}
	var unsupported *hfconfig.UnsupportedError
	cases := []struct {
		name  string
		spoil func(fstest.MapFS)
		want  string
		as    any
		is    error
	}{
		{"no config", func(m fstest.MapFS) { delete(m, "config.json") }, "config.json", nil, fs.ErrNotExist},
		{"other architecture", config("model_type", "llama"), "llama", &unsupported, nil},
		{"no weights", func(m fstest.MapFS) { delete(m, "model.safetensors") }, "model.safetensors", nil, fs.ErrNotExist},
		{"truncated weights", weights("model.safetensors", func(b []byte) []byte { return b[:len(b)-1] }), "model.safetensors", nil, safetensors.ErrFormat},
		{"no tokenizer", func(m fstest.MapFS) { delete(m, "tokenizer.json") }, "tokenizer", nil, fs.ErrNotExist},
		{"NaN", weights("model.safetensors", last), "NaN", nil, ErrNumber},
		{"other name", weights("model.safetensors", renamed), "model.narm.weight", nil, ErrUnsupported},
		{"fewer layers", config("num_hidden_layers", 1), "model.layers.1", nil, ErrFormat},
		{"more layers", config("num_hidden_layers", 3), "model.layers.2", nil, ErrNotFound},
		{"other width", config("intermediate_size", 128), "[64 128]", nil, ErrFormat},
		{"small vocabulary", config("vocab_size", 6), "[16 64]", nil, ErrFormat},
		{"odd tokenizer config", func(m fstest.MapFS) { m["tokenizer_config.json"] = &fstest.MapFile{Data: []byte("[]")} }, "tokenizer_config.json", nil, ErrFormat},
		{"odd added tokens", func(m fstest.MapFS) {
			m["tokenizer_config.json"] = &fstest.MapFile{Data: []byte(`{"added_tokens_decoder":{"16":{"content":"x"}}}`)}
		}, "added token id", nil, ErrFormat},
	}
	for _, c := range cases {
		m := fstest.MapFS{}
		for k, v := range src {
			m[k] = v
		}
		c.spoil(m)
		_, err := ConvertHF(context.Background(), m, serial(&memory{}), options("Q8_0"), Env{})
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A conversion that fails or is cancelled leaves nothing, and an older file as it was.
func TestNoHalfFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, tiny(t, tinyShape())); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(out, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opts := options("Q8_0")
	opts.Writer.Workers = 1
	_, err := ConvertHFFile(ctx, dir, out, opts, Env{Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	entries, _ := os.ReadDir(filepath.Dir(out))
	b, _ := os.ReadFile(out)
	if len(entries) != 1 || string(b) != "older" {
		t.Errorf("%d files, content %.10q", len(entries), b)
	}
	if _, err := ConvertHFFile(context.Background(), dir, out, opts, Env{}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(out); !bytes.HasPrefix(b, []byte("GGUF")) {
		t.Error("the file was not replaced")
	}
}
