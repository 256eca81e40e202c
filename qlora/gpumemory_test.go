package qlora

import (
	"encoding/json"
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// phi35Config is a config.json of Phi-3.5-mini's true shape but for its depth.
func phi35Config(t testing.TB, layers int) []byte {
	t.Helper()
	raw, err := os.ReadFile(bundledModel + "/config.json")
	require.NoError(t, err)
	var cfg map[string]any
	require.NoError(t, json.Unmarshal(raw, &cfg))
	for k, v := range map[string]any{
		"hidden_size": 3072, "intermediate_size": 8192, "num_attention_heads": 32, "num_key_value_heads": 32,
		"num_hidden_layers": layers, "tie_word_embeddings": false,
	} {
		cfg[k] = v
	}
	raw, err = json.Marshal(cfg)
	require.NoError(t, err)
	return raw
}

// TestPredictGPUMemory compares predictions for Phi-3.5-mini's shape with what an
// H100 held at most (compute/cuda/notes.md): never less, and within 3 %.
func TestPredictGPUMemory(t *testing.T) {
	fsys := fstest.MapFS{"config.json": {Data: phi35Config(t, 32)}}
	for _, c := range []struct {
		weights   string
		batch     int
		recompute string
		held      float64 // GiB
	}{
		{"int8", 1, "full", 5.350}, {"int8", 1, "selective", 9.104}, {"int8", 2, "full", 6.088}, {"int8", 2, "selective", 13.60},
		{"int8", 4, "full", 7.502}, {"int8", 4, "selective", 22.52}, {"int8", 4, "none", 29.30}, {"int8", 12, "full", 13.16},
		{"bf16", 1, "full", 8.627}, {"bf16", 4, "full", 10.64}, {"nf4", 1, "full", 3.850}, {"nf4", 4, "full", 5.861},
	} {
		load, o := DefaultLoadOptions(), DefaultOptions()
		load.Device, load.Weights = "cuda", c.weights
		o.Dropout, o.BatchSize, o.Recompute = 0, c.batch, c.recompute
		p, err := PredictMemory(fsys, load, o)
		require.NoError(t, err)
		got := float64(p.Total()-p.Runtime) / (1 << 30)
		t.Logf("%v: %.3f GiB predicted, %+.1f %%", c, got, 100*(got/c.held-1))
		require.GreaterOrEqual(t, got, c.held-0.001)
		require.Less(t, got, 1.03*c.held)
	}
}
