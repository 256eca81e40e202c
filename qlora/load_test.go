package qlora

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

const (
	shardOne = "model-00001-of-00002.safetensors"
	shardTwo = "model-00002-of-00002.safetensors"
	oneName  = "model.layers.1.mlp.down_proj.weight"
)

// shardedModel writes the miniature as two shards of F32 tensors, after change.
func shardedModel(t *testing.T, change func(name string, shape []int, v []float32) ([]int, []float32)) string {
	t.Helper()
	return shardedCopy(t, peftModel, change)
}

// shardedCopy is shardedModel of any model.
func shardedCopy(t *testing.T, model string, change func(name string, shape []int, v []float32) ([]int, []float32)) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, copyPlainFiles(os.DirFS(model), dir))
	m, err := safetensors.OpenModel(os.DirFS(model))
	require.NoError(t, err)
	defer m.Close()
	shards, of := map[string][]safetensors.Tensor{}, map[string]string{}
	for _, info := range m.Tensors() {
		v, err := m.Float32(info.Name)
		require.NoError(t, err)
		shape := slices.Clone(info.Shape)
		if change != nil {
			shape, v = change(info.Name, shape, v)
		}
		if v == nil {
			continue
		}
		shard := shardOne
		if strings.HasPrefix(info.Name, "model.layers.1.") {
			shard = shardTwo
		}
		shards[shard] = append(shards[shard], safetensors.F32Tensor(info.Name, shape, v))
		of[info.Name] = shard
	}
	for name, tensors := range shards {
		var b bytes.Buffer
		require.NoError(t, safetensors.Write(&b, tensors, nil))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644))
	}
	index, err := json.Marshal(map[string]any{"weight_map": of})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, safetensors.IndexFile), index, 0o644))
	return dir
}

// changed returns a change of one tensor.
func changed(name string, f func(shape []int, v []float32) ([]int, []float32)) func(string, []int, []float32) ([]int, []float32) {
	return func(n string, shape []int, v []float32) ([]int, []float32) {
		if n != name {
			return shape, v
		}
		return f(shape, v)
	}
}

func editFile(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, edit(b), 0o644))
}

func replaced(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
}

func loadError(t *testing.T, dir, weights string) error {
	t.Helper()
	o := loadOptions()
	o.Weights = weights
	m, err := Load(context.Background(), dir, o, Env{})
	if err == nil {
		require.NoError(t, m.Close())
	}
	return err
}

func TestLoadShards(t *testing.T) {
	m := loadModel(t, shardedModel(t, nil), "f32")
	single := loadModel(t, peftModel, "f32")
	require.Equal(t, windowLogProbs(t, single), windowLogProbs(t, m))
}

// TestLoadErrorsNamePlaceAndRemedy damages a copy of the miniature.
func TestLoadErrorsNamePlaceAndRemedy(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		change func(string, []int, []float32) ([]int, []float32)
		damage func(t *testing.T, dir string)
		want   []string // place and remedy
		is     func(error) bool
	}{
		"missing shard": {
			damage: func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, shardTwo))) },
			want:   []string{shardTwo, "fetch"},
			is:     func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		},
		"truncated shard": {
			damage: func(t *testing.T, dir string) {
				editFile(t, filepath.Join(dir, shardTwo), func(b []byte) []byte { return b[:len(b)-1000] })
			},
			want: []string{shardTwo, "truncated", "fetch"},
			is:   func(err error) bool { return errors.Is(err, safetensors.ErrFormat) },
		},
		"empty shard": {
			damage: func(t *testing.T, dir string) {
				editFile(t, filepath.Join(dir, shardOne), func([]byte) []byte { return nil })
			},
			want: []string{shardOne, "truncated", "fetch"},
			is:   func(err error) bool { return errors.Is(err, safetensors.ErrFormat) },
		},
		"missing tensor": {
			change: changed(oneName, func([]int, []float32) ([]int, []float32) { return nil, nil }),
			want:   []string{oneName, "missing", "config.json", "from one model"},
			is:     as[*phi3.MissingError],
		},
		"tensors beyond config.json": {
			damage: func(t *testing.T, dir string) {
				editFile(t, filepath.Join(dir, "config.json"), replaced(`"num_hidden_layers": 2`, `"num_hidden_layers": 1`))
			},
			want: []string{"model.layers.1.", "no place", "from one model"},
			is:   as[*phi3.ExtraError],
		},
		"wrong shape": {
			change: changed(oneName, func(s []int, v []float32) ([]int, []float32) { return []int{s[1], s[0]}, v }),
			want:   []string{oneName, "[128 384]", "[384 128]", "config.json", "from one model"},
			is:     as[*phi3.ShapeError],
		},
		"flat shape": {
			change: changed(oneName, func(s []int, v []float32) ([]int, []float32) { return []int{s[0] * s[1]}, v }),
			want:   []string{oneName, "[49152]", "config.json"},
			is:     as[*phi3.ShapeError],
		},
		"NaN in a matrix": {
			change: changed(oneName, func(s []int, v []float32) ([]int, []float32) { v[700] = nan; return s, v }),
			want:   []string{oneName, "NaN", "element 700", "damaged"},
			is:     as[*phi3.ValueError],
		},
		"infinity in a norm": {
			change: changed("model.norm.weight", func(s []int, v []float32) ([]int, []float32) {
				v[383] = float32(math.Inf(-1))
				return s, v
			}),
			want: []string{"model.norm.weight", "-Inf", "element 383", "damaged"},
			is:   as[*phi3.ValueError],
		},
		"NaN in the embedding": {
			change: changed("model.embed_tokens.weight", func(s []int, v []float32) ([]int, []float32) {
				v[len(v)-1] = nan
				return s, v
			}),
			want: []string{"model.embed_tokens.weight", "NaN", "damaged"},
			is:   as[*phi3.ValueError],
		},
		"another architecture": {
			damage: func(t *testing.T, dir string) {
				editFile(t, filepath.Join(dir, "config.json"), replaced(`"phi3"`, `"llama"`))
			},
			want: []string{"config.json", "model_type", "llama", "Phi-3"},
			is:   as[*hfconfig.UnsupportedError],
		},
		"another size": {
			damage: func(t *testing.T, dir string) {
				editFile(t, filepath.Join(dir, "config.json"), replaced(`"intermediate_size": 128`, `"intermediate_size": 256`))
			},
			want: []string{"gate_up_proj", "[256 384]", "[512 384]", "config.json"},
			is:   as[*phi3.ShapeError],
		},
		"more layers": {
			damage: func(t *testing.T, dir string) {
				editFile(t, filepath.Join(dir, "config.json"), replaced(`"num_hidden_layers": 2`, `"num_hidden_layers": 3`))
			},
			want: []string{"model.layers.2.", "missing", "config.json"},
			is:   as[*phi3.MissingError],
		},
		"no config": {
			damage: func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "config.json"))) },
			want:   []string{"config.json"},
			is:     func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		},
		"damaged tokenizer": {
			damage: func(t *testing.T, dir string) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(`{"version":`), 0o644))
			},
			want: []string{"tokenizer.json"},
			is:   func(error) bool { return true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shardedModel(t, c.change)
			if c.damage != nil {
				c.damage(t, dir)
			}
			for _, weights := range []string{"f32", "int8"} {
				err := loadError(t, dir, weights)
				require.Error(t, err)
				require.True(t, c.is(err), "%T: %v", err, err)
				for _, w := range append(c.want, dir) {
					require.ErrorContains(t, err, w)
				}
			}
		})
	}
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestLoadRefusals(t *testing.T) {
	_, err := Load(context.Background(), filepath.Join(t.TempDir(), "absent"), DefaultLoadOptions(), Env{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "absent")
	o := loadOptions()
	o.Device = "tpu"
	_, err = Load(context.Background(), peftModel, o, Env{})
	require.ErrorContains(t, err, "tpu")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Load(ctx, peftModel, DefaultLoadOptions(), Env{})
	require.ErrorIs(t, err, context.Canceled)
}

// TestModelWithoutTokenizer can score ids, and says what text needs.
func TestModelWithoutTokenizer(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	require.Nil(t, m.Encode("text"))
	_, err := m.GenerateText(context.Background(), []int32{1}, 1)
	require.ErrorIs(t, err, ErrNoTokenizer)
	_, err = m.Features(context.Background(), []string{"text"})
	require.ErrorIs(t, err, ErrNoTokenizer)
}

func TestPromptsAreChecked(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	o := DefaultGenerateOptions()
	for name, prompt := range map[string][]int32{"empty": nil, "outside": {1, 256}, "negative": {-1}} {
		for _, err := range m.Generate(context.Background(), prompt, o) {
			require.Error(t, err, name)
		}
	}
	for name, seqs := range map[string][][]int32{"empty": {{1}, {}}, "outside": {{1, 256}}, "negative": {{-1}}} {
		_, err := m.LogProbs(context.Background(), seqs)
		require.Error(t, err, name)
	}
	require.Less(t, windowLogProbs(t, m)[1], 0.0, "the model still works")
}

func TestAdapterOfAnotherModelIsRefused(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	other := loadModel(t, "testdata/phi3-mini-untied", "f32")
	require.ErrorContains(t, other.Attach(randomAdapter(m, 2, 0)), "model.layers.0.self_attn.qkv_proj")
	a := randomAdapter(m, 2, 0)
	a.Factors["model.layers.7.self_attn.o_proj"] = a.Factors["model.layers.1.self_attn.o_proj"]
	require.ErrorContains(t, m.Attach(a), "layers")
	gated := randomAdapter(m, 2, 0.1)
	gated.Gates.Layers = gated.Gates.Layers[:1]
	require.ErrorContains(t, m.Attach(gated), "gates")
}
