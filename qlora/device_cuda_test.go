//go:build cuda && cgo && linux && amd64

package qlora

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// onCUDA loads a model on the GPU, by the kernels that BOREA_DEVICE names if it
// names a GPU's; without one the test is skipped.
func onCUDA(t testing.TB, dir, weights string) *Model {
	t.Helper()
	device := loadOptions().Device
	if !strings.HasPrefix(device, "cuda") {
		device = "cuda"
	}
	return onDevices(t, device, dir, weights)
}

// TestCUDAGoldenLossCurve follows the reference's float32 curve with bfloat16
// activations, and with int8 base weights.
func TestCUDAGoldenLossCurve(t *testing.T) {
	for weights, most := range map[string]float64{"bf16": 5e-3, "int8w": 1e-2, "int8": 1e-2, "nf4": 0.1} {
		t.Run(weights, func(t *testing.T) {
			worst, curve := 0.0, readFigures(t).Curve
			followCurve(t, onCUDA(t, bundledModel, weights), len(curve), func(step int, loss float64) {
				worst = math.Max(worst, math.Abs(loss/curve[step][0]-1))
			})
			t.Logf("worst deviation %.2e", worst)
			require.Less(t, worst, most)
		})
	}
}

// TestCUDALongLossCurve is TestLongLossCurve on the GPU.
func TestCUDALongLossCurve(t *testing.T) {
	for _, weights := range []string{"bf16", "int8w", "int8"} {
		t.Run(weights, func(t *testing.T) { checkLongCurve(t, onCUDA(t, bundledModel, weights)) })
	}
}

func TestCUDAGreedyChat(t *testing.T) {
	g := openGolden(t, "testdata/phi3-aozora-10m.safetensors")
	for _, weights := range []string{"bf16", "int8"} {
		m := onCUDA(t, bundledModel, weights)
		require.Equal(t, g.ints("chat.output_ids"), greedy(t, m, g.ints("chat.prompt_ids"), 64), weights)
	}
}

func trainOnCUDA(t *testing.T, ctx context.Context, o Options, dirs Dirs, onStep func(int)) (map[string][]float32, TrainReport, error) {
	t.Helper()
	return trainModel(t, ctx, onCUDA(t, bundledModel, "int8"), o, dirs, onStep)
}

func TestCUDAResumeIsBitEqual(t *testing.T) {
	o := smallTraining()
	o.Rank = 16 // ranks of 8 and more use the tensor cores
	load := func() *Model { return onCUDA(t, bundledModel, "int8") }
	whole := finish(t, load(), o, Dirs{})
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	trainUntil(t, load(), o, dirs, 3)
	requireResumed(t, whole, finish(t, load(), o, dirs), 3)
}

func TestCUDARecomputeKeepsBits(t *testing.T) {
	o := smallTraining()
	o.MaxSteps, o.SaveSteps, o.Rank = 2, 0, 16
	var runs []map[string][]float32
	for _, o.Recompute = range []string{"none", "selective", "full"} {
		got, _, err := trainOnCUDA(t, context.Background(), o, Dirs{}, nil)
		require.NoError(t, err)
		runs = append(runs, got)
	}
	require.Equal(t, runs[0], runs[1])
	require.Equal(t, runs[0], runs[2])
}

// TestCUDAGraphsKeepBits: replayed steps give the bits of steps queued anew, with
// batches of one size, which are recorded, and of many.
func TestCUDAGraphsKeepBits(t *testing.T) {
	for name, cut := range map[string]int{"one size": 64, "many sizes": 128} {
		t.Run(name, func(t *testing.T) {
			o := smallTraining()
			o.SaveSteps, o.Rank = 0, 16
			var rows []Example
			for _, r := range trainingRows(t) {
				rows = append(rows, Example{IDs: r.IDs[:min(cut, len(r.IDs))]})
			}
			var runs [2][]float32
			for i := range runs {
				m := onCUDA(t, bundledModel, "int8")
				tr, err := NewTrainer(m, o, Dirs{}, Env{})
				require.NoError(t, err)
				if i == 0 {
					tr.repeats.dev = nil
				}
				_, err = tr.Run(context.Background(), rows, rows[:4])
				require.NoError(t, err)
				require.Equal(t, i == 1, tr.repeats.count > 0)
				if name == "one size" && i == 1 {
					require.Equal(t, 2, tr.repeats.count, "the micro-batch and the update")
				}
				for _, p := range tr.tr.params {
					v := make([]float32, p.p.Len())
					require.NoError(t, m.dev.Download(v, p.p))
					runs[i] = append(runs[i], v...)
				}
				require.NoError(t, tr.Close())
			}
			require.Equal(t, runs[0], runs[1])
		})
	}
}
