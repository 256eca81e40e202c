package qlora

import (
	"bytes"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// peftModel is the miniature that testdata/peft_check.py loads too.
const peftModel = "testdata/phi3-mini-gqa"

// adapterLogits returns the logits of the golden input with the adapter.
func adapterLogits(t *testing.T, m *Model, a *Adapter) []float32 {
	t.Helper()
	require.NoError(t, m.Attach(a))
	defer m.Detach()
	ids := openGolden(t, filepath.Join(peftModel, "golden.safetensors")).ints("input_ids")
	p := forwardAll(t, m, ids, phi3.Infer)
	rows := make([]int32, len(ids))
	for i := range rows {
		rows[i] = int32(i)
	}
	return m.testLogits(t, p.Hidden(), rows)
}

// requirePEFTLogits holds the last rows of our logits against those beside a
// PEFT adapter.
func requirePEFTLogits(t *testing.T, m *Model, dir string) {
	t.Helper()
	a, err := LoadAdapter(os.DirFS(dir))
	require.NoError(t, err)
	got := adapterLogits(t, m, a)
	want := openGolden(t, filepath.Join(dir, "logits.safetensors")).floats("logits")
	require.LessOrEqual(t, len(want), len(got))
	diff := maxAbsDiff(got[len(got)-len(want):], want)
	t.Logf("largest difference from PEFT's logits %.2e", diff)
	require.Less(t, diff, 1e-4)
}

func TestPEFTAdaptersInRepository(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	for _, name := range []string{"fused-rslora", "split"} {
		t.Run(name, func(t *testing.T) { requirePEFTLogits(t, m, filepath.Join("testdata/peft-adapter", name)) })
	}
}

// TestPEFTBothWays is the Go half of testdata/peft_check.py.
func TestPEFTBothWays(t *testing.T) {
	dir := os.Getenv("BOREA_PEFT_DIR")
	if dir == "" {
		t.Skip("BOREA_PEFT_DIR is not set; see testdata/peft_check.py")
	}
	m := loadModel(t, peftModel, "f32")
	t.Run("write", func(t *testing.T) { writeForPEFT(t, m, filepath.Join(dir, "ours")) })
	made, err := filepath.Glob(filepath.Join(dir, "peft", "*"))
	require.NoError(t, err)
	for _, d := range made {
		t.Run("read/"+filepath.Base(d), func(t *testing.T) { requirePEFTLogits(t, m, d) })
	}
}

func writeForPEFT(t *testing.T, m *Model, dir string) {
	for form, o := range map[string]WriteOptions{"fused": {}, "split": {Split: m.SplitShape()}} {
		for suffix, rs := range map[string]bool{"": false, "-rslora": true} {
			a := randomAdapter(m, 4, 0)
			a.RSLoRA = rs
			if rs {
				withScale(a, a.Alpha/math.Sqrt(4))
			}
			out := filepath.Join(dir, form+suffix)
			require.NoError(t, a.WriteDir(out, o))
			writeLogits(t, filepath.Join(out, "logits.safetensors"), adapterLogits(t, m, a), m.VocabSize())
		}
	}
}

func withScale(a *Adapter, scale float64) {
	for name, f := range a.Factors {
		f.Scale = scale
		a.Factors[name] = f
	}
}

func writeLogits(t *testing.T, path string, v []float32, vocab int) {
	t.Helper()
	var b bytes.Buffer
	tensor := safetensors.F32Tensor("logits", []int{len(v) / vocab, vocab}, v)
	require.NoError(t, safetensors.Write(&b, []safetensors.Tensor{tensor}, nil))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
}

// TestScaleOutsideTheConfigIsFolded: an adapter whose factors have another
// scale than alpha/r writes it into B.
func TestScaleOutsideTheConfigIsFolded(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	a := randomAdapter(m, 4, 0)
	withScale(a, 0.7)
	dir := t.TempDir()
	require.NoError(t, a.WriteDir(dir, WriteOptions{}))
	b, err := LoadAdapter(os.DirFS(dir))
	require.NoError(t, err)
	requireSameUpdate(t, a, b)
	for _, name := range slices.Sorted(maps.Keys(b.Factors)) {
		require.Equal(t, 2.0, b.Factors[name].Scale, name)
	}
}

// TestAdapterOnSomeLayers: blocks may differ in rank, or go without.
func TestAdapterOnSomeLayers(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	whole := randomAdapter(m, 4, 0)
	zeroed, partial := *whole, *whole
	zeroed.Factors, partial.Factors = maps.Clone(whole.Factors), maps.Clone(whole.Factors)
	for _, target := range Targets() {
		name := LinearName(0, target)
		f := zeroed.Factors[name]
		f.B = make([]float32, len(f.B))
		zeroed.Factors[name] = f
		delete(partial.Factors, name)
	}
	want := adapterLogits(t, m, &zeroed)
	require.Less(t, maxAbsDiff(adapterLogits(t, m, &partial), want), 1e-5)
	require.Greater(t, maxAbsDiff(adapterLogits(t, m, whole), want), 1e-2)
}

func TestReadAdapterRefusals(t *testing.T) {
	src := os.DirFS("testdata/peft-adapter/fused-rslora")
	config, err := fs.ReadFile(src, peftConfigFile)
	require.NoError(t, err)
	weights, err := fs.ReadFile(src, peftWeightsFile)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		old, new string // in adapter_config.json
		cut      int    // bytes off the weights
		want     string
	}{
		"not LoRA":          {`"peft_type": "LORA"`, `"peft_type": "IA3"`, 0, `peft_type "IA3"`},
		"DoRA":              {`"use_dora": false`, `"use_dora": true`, 0, "use_dora"},
		"bias":              {`"bias": "none"`, `"bias": "all"`, 0, `bias "all"`},
		"no rank":           {`"r": 2`, `"r": 0`, 0, "r = 0"},
		"truncated weights": {"", "", 100, "truncated"},
		"not JSON":          {"{", "", 0, peftConfigFile},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(config), c.old, c.new, 1)
			if c.old != "" {
				require.NotEqual(t, string(config), text)
			}
			_, err := ReadAdapter(fstest.MapFS{
				peftConfigFile:  {Data: []byte(text)},
				peftWeightsFile: {Data: weights[:len(weights)-c.cut]},
			})
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err = ReadAdapter(fstest.MapFS{peftConfigFile: {Data: config}})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
