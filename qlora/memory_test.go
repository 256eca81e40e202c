package qlora

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

// TestPredictMemory compares the prediction with what the device holds after a
// step: exactly the planned parts, and scratch within its bound.
func TestPredictMemory(t *testing.T) {
	for _, recompute := range []string{"none", "selective", "full"} {
		o := DefaultOptions()
		o.Rank, o.BatchSize, o.MaxLength, o.Accumulation, o.MaxSteps, o.Recompute = 8, 2, 96, 1, 2, recompute
		plan, err := PredictMemory(os.DirFS(peftModel), DefaultLoadOptions(), o)
		require.NoError(t, err)
		m := loadModel(t, peftModel, "int8")
		tr, err := NewTrainer(m, o, Dirs{}, Env{})
		require.NoError(t, err)
		_, err = tr.Run(context.Background(), randomExamples(m, 4, 96), nil)
		require.NoError(t, err)
		planned := plan.Weights + plan.Adapters + plan.Activations + plan.Scratch
		held := m.dev.(*cpu.Device).Held()
		require.LessOrEqual(t, held, planned+24<<20, "slabs of the arena are filled but for their ends")
		require.Greater(t, held, plan.Weights+plan.Adapters+plan.Activations, recompute)
		require.NoError(t, tr.Close())
	}
	load := DefaultLoadOptions()
	one, err := PredictMemory(os.DirFS(peftModel), load, DefaultOptions())
	require.NoError(t, err)
	load.Device = "cpu,cpu"
	two, err := PredictMemory(os.DirFS(peftModel), load, DefaultOptions())
	require.NoError(t, err)
	require.Equal(t, []int64{2 * one.Weights, 2 * one.Adapters, 2 * one.Activations, one.Snapshot},
		[]int64{two.Weights, two.Adapters, two.Activations, two.Snapshot})

	o := DefaultOptions()
	o.Rank = 0
	_, err = PredictMemory(os.DirFS(peftModel), DefaultLoadOptions(), o)
	require.Error(t, err)
}

func randomExamples(m *Model, n, length int) []Example {
	out := make([]Example, n)
	for i := range out {
		for j := range length {
			out[i].IDs = append(out[i].IDs, int32((i*31+j*7)%m.VocabSize()))
		}
	}
	return out
}
