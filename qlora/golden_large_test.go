package qlora

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/borea-go/borea/eval/harness"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// largeGoldens is a folder with model/NAME, golden/NAME.{json,safetensors} and
// data/aozora-dev.jsonl.xz, too large for the repository.
func largeGoldens(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("BOREA_GOLDENS")
	if dir == "" {
		t.Skip("BOREA_GOLDENS names no folder of large reference figures")
	}
	return dir
}

const sibling = "phi3-aozora-28m" // untied head, three shards, hidden 288

func TestLargeGoldenForward(t *testing.T) {
	dir := largeGoldens(t)
	g := openGolden(t, filepath.Join(dir, "golden", sibling+".safetensors"))
	m := loadModel(t, filepath.Join(dir, "model", sibling), "f32")
	ids := g.ints("input_ids")
	p := forwardAll(t, m, ids, phi3.Train)
	rows := make([]int32, len(ids))
	for i := range rows {
		rows[i] = int32(i)
	}
	for i, name := range []string{"hidden.0", "hidden.1", "hidden.2", "hidden.3", "hidden.4", "hidden.5", "hidden.6", "hidden.7", "hidden.8", "hidden.9", "hidden.10"} {
		want := g.floats(name)
		got := make([]float32, len(want))
		state := p.Hidden() // the last is after the final norm
		if i < 10 {
			state = p.Stream(i)
		}
		require.NoError(t, m.dev.Download(got, state))
		require.Less(t, relNorm(got, want), 1e-4, name)
	}
	require.Less(t, maxAbsDiff(m.testLogits(t, p.Hidden(), rows), g.floats("logits")), 1e-3)

	long := g.ints("long.input_ids")
	p = forwardAll(t, m, long, phi3.Infer)
	require.Less(t, maxAbsDiff(m.testLogits(t, p.Hidden(), []int32{int32(len(long) - 1)}), g.floats("long.last_logits")), 1e-3)

	want := g.ints("greedy.output_ids")
	require.Equal(t, want, greedy(t, m, want[:len(want)-64], 64))
}

func TestLargeGoldenGradients(t *testing.T) {
	dir := largeGoldens(t)
	g := openGolden(t, filepath.Join(dir, "golden", sibling+".safetensors"))
	m := loadModel(t, filepath.Join(dir, "model", sibling), "f32")
	checked := checkGradients(t, m, g, goldenTraining(), largeFigures(t, sibling).LoRALoss0)
	require.NotZero(t, checked)
	t.Logf("%d gradients", checked)
}

type largeReference struct {
	LoRALoss0 float64 `json:"lora_loss0"`
	Dev200    struct {
		PPL    float64 `json:"ppl"`
		Tokens int64   `json:"tokens"`
	} `json:"dev200"`
}

func largeFigures(t *testing.T, model string) (f largeReference) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(largeGoldens(t), "golden", model+".json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &f))
	return f
}

// Perplexity of the first 200 documents: minutes a model.
func TestLargeGoldenPerplexity(t *testing.T) {
	texts := firstTexts(t, filepath.Join(largeGoldens(t), "data", "aozora-dev.jsonl.xz"), 200)
	for _, c := range []struct {
		model, weights string
		tolerance      float64
	}{{"phi3-aozora-10m", "f32", 2e-4}, {"phi3-aozora-10m", "int8", 1e-2}, {sibling, "f32", 2e-4}, {sibling, "int8", 1e-2}} {
		t.Run(c.model+"/"+c.weights, func(t *testing.T) {
			m := loadModel(t, filepath.Join(largeGoldens(t), "model", c.model), c.weights)
			r, err := harness.Perplexity(context.Background(), m, texts, harness.PerplexityOptions{Window: 1024})
			require.NoError(t, err)
			want := largeFigures(t, c.model).Dev200
			t.Logf("perplexity of %d tokens: transformers %.5f, here %.5f", r.Tokens, want.PPL, r.PPL)
			require.EqualValues(t, want.Tokens, r.Tokens)
			require.InEpsilon(t, want.PPL, r.PPL, c.tolerance)
		})
	}
}

func firstTexts(t *testing.T, path string, n int) []string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := xz.NewReader(bufio.NewReader(f))
	require.NoError(t, err)
	dec := json.NewDecoder(z)
	var texts []string
	for range n {
		var s struct{ Text string }
		require.NoError(t, dec.Decode(&s))
		texts = append(texts, s.Text)
	}
	return texts
}
