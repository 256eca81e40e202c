package qlora

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

// TestMappedModelEqualsReadOne: logits and a training run in bf16, the same bits,
// with as much less memory as PredictMemory says.
func TestMappedModelEqualsReadOne(t *testing.T) {
	read := loadModel(t, bundledModel, "bf16")
	o := loadOptions()
	o.Weights, o.Mapped = "bf16", true
	mapped, err := Load(context.Background(), bundledModel, o, Env{})
	require.NoError(t, err)
	if mapped.files.(*safetensors.Model).Mapped("lm_head.weight") == nil {
		t.Skip("this system maps no files")
	}
	plan, err := PredictMemory(os.DirFS(bundledModel), o, DefaultOptions())
	require.NoError(t, err)
	require.Equal(t, mapped.WeightBytes(), plan.Mapped)
	require.Contains(t, plan.String(), "mapped")
	require.Equal(t, read.WeightBytes(), mapped.WeightBytes())
	require.Equal(t, read.fingerprint, mapped.fingerprint)
	require.LessOrEqual(t, mapped.dev.(*cpu.Device).Held(), read.dev.(*cpu.Device).Held()-plan.Mapped)
	require.Equal(t, windowLogProbs(t, read), windowLogProbs(t, mapped))
	require.NoError(t, mapped.Close())
	_, err = mapped.LogProbs(context.Background(), [][]int32{{1, 2}})
	require.Error(t, err)
}

// TestMappingFallsBackToReading: a file system that is not the system's.
func TestMappingFallsBackToReading(t *testing.T) {
	fsys := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors"} {
		b, err := os.ReadFile(filepath.Join(peftModel, name))
		require.NoError(t, err)
		fsys[name] = &fstest.MapFile{Data: b}
	}
	o := loadOptions()
	o.Weights, o.Embeddings, o.Mapped = "f32", "f32", true
	m, err := LoadFS(context.Background(), fsys, o, Env{})
	require.NoError(t, err)
	require.Equal(t, windowLogProbs(t, loadModel(t, peftModel, "f32")), windowLogProbs(t, m))
	require.NoError(t, m.Close())
	plan, err := PredictMemory(fsys, o, DefaultOptions())
	require.NoError(t, err)
	require.Zero(t, plan.Mapped)
}
