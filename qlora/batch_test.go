package qlora

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGenerateBatchEqualsGenerate: every prompt goes as it would alone, with and
// without sampling, for prompts that end at different steps, with every cache.
func TestGenerateBatchEqualsGenerate(t *testing.T) {
	prompts := [][]int32{{1, 5, 9, 13}, {1, 7}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {40}, {1, 5, 9, 13}, {99, 98}}
	for _, cache := range []string{"full", "f16", "int8"} {
		load := loadOptions()
		load.Weights, load.Embeddings, load.KVCache, load.BlockTokens = "f32", "f32", cache, 5
		if cache != "full" && !load.OnCPU() {
			continue
		}
		m, err := Load(context.Background(), peftModel, load, Env{})
		require.NoError(t, err)
		o := DefaultGenerateOptions()
		o.MaxNewTokens, o.Temperature, o.TopK, o.Seed = 12, 0.8, 20, 3
		got := make([][]int32, len(prompts))
		for tok, err := range m.GenerateBatch(context.Background(), prompts, o) {
			require.NoError(t, err)
			got[tok.Prompt] = append(got[tok.Prompt], tok.ID)
		}
		o.Temperature = 0
		greedy := make([][]int32, len(prompts))
		for tok, err := range m.GenerateBatch(context.Background(), prompts, o) {
			require.NoError(t, err)
			greedy[tok.Prompt] = append(greedy[tok.Prompt], tok.ID)
		}
		for i, p := range prompts {
			var want []int32
			for id, err := range m.Generate(context.Background(), p, o) {
				require.NoError(t, err)
				want = append(want, id)
			}
			require.Equal(t, want, greedy[i], "%s cache, prompt %d", cache, i)
			require.NotEmpty(t, got[i])
		}
		var first []int32
		o.Temperature = 0.8
		for id, err := range m.Generate(context.Background(), prompts[0], o) {
			require.NoError(t, err)
			first = append(first, id)
		}
		require.Equal(t, first, got[0], "prompt 0 draws from the stream of Generate")
		require.NotEqual(t, got[0], got[4], "equal prompts draw from streams of their own")
		require.NoError(t, m.Close())
	}
}

func TestGenerateBatchStops(t *testing.T) {
	m := loadModel(t, peftModel, "int8")
	o := DefaultGenerateOptions()
	n := 0
	for _, err := range m.GenerateBatch(context.Background(), [][]int32{{1}, {2}, {3}}, o) {
		require.NoError(t, err)
		if n++; n == 5 {
			break
		}
	}
	require.Equal(t, 5, n)
	for _, err := range m.GenerateBatch(context.Background(), [][]int32{{1}, {}}, o) {
		require.ErrorContains(t, err, "empty prompt")
	}
	for range m.GenerateBatch(context.Background(), nil, o) {
		t.Fatal("a token of no prompt")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range m.GenerateBatch(ctx, [][]int32{{1}}, o) {
		require.ErrorIs(t, err, context.Canceled)
	}
}
