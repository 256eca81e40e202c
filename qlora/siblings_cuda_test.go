//go:build cuda && cgo && linux && amd64

package qlora

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/phi3"
)

// siblings compute what the CPU does, to these tolerances: float32 by other
// orders of sums, bfloat16 activations by their rounding.
var siblings = []struct {
	device         string
	forward, grads float64 // relative 2-norm
}{{"cuda:f32", 1e-4, 1e-3}, {"cuda:generic", 2e-2, 0.1}, {"cuda", 2e-2, 0.1}}

// judged is what a classifier gets from a backbone.
type judged struct{ features, after []float32 }

// judge runs features, one training step and features again.
func judge(t *testing.T, m *Model) (j judged, grads map[string][]float32) {
	t.Helper()
	o := smallTraining()
	o.Rank = 8
	b, err := NewBackbone(m, BackboneOptions{Options: o, MaxTokens: 128, BatchTokens: 512})
	require.NoError(t, err)
	ctx := context.Background()
	require.NoError(t, b.tr.load(randomAdapter(m, 8, 0.1)))
	texts := []string{"短い文。", "港湾の運営を確かめ、書類の写しを三日のうちに送ってください。", "春の朝、駅で人を待つ。"}
	j.features, err = b.Features(ctx, texts)
	require.NoError(t, err)
	f, err := b.Forward(ctx, texts, 3)
	require.NoError(t, err)
	grad := make([]float32, len(f))
	for i := range grad {
		grad[i] = float32(math.Sin(float64(i)))
	}
	require.NoError(t, b.Backward(ctx, grad))
	grads = map[string][]float32{}
	for _, p := range b.tr.params {
		g := make([]float32, p.g.Len())
		require.NoError(t, m.dev.Download(g, p.g))
		grads[p.name] = g
	}
	require.NoError(t, b.Step(ctx, 1e-4, 1))
	j.after, err = b.Features(ctx, texts)
	require.NoError(t, err)
	return j, grads
}

func TestCUDAJudgeEqualsCPU(t *testing.T) {
	onCUDA(t, peftModel, "f32")
	want, wantGrads := judge(t, onDevices(t, "cpu", bundledModel, "bf16"))
	for _, s := range siblings {
		t.Run(s.device, func(t *testing.T) {
			got, grads := judge(t, onDevices(t, s.device, bundledModel, "bf16"))
			worst, at := 0.0, ""
			for name, g := range wantGrads {
				if e := relNorm(grads[name], g); e > worst {
					worst, at = e, name
				}
			}
			t.Logf("features %.1e, after a step %.1e, gradients at worst %.1e (%s)", relNorm(got.features, want.features), relNorm(got.after, want.after), worst, at)
			require.Less(t, relNorm(got.features, want.features), s.forward)
			require.Less(t, relNorm(got.after, want.after), 2*s.forward)
			require.Less(t, worst, s.grads, at)
		})
	}
}

// TestCUDAGatesAndPETEqualCPU trains with rotation gates, PET, dropout and NEFTune,
// whose random numbers are the same on every device.
func TestCUDAGatesAndPETEqualCPU(t *testing.T) {
	onCUDA(t, peftModel, "f32")
	o := smallTraining()
	o.MaxSteps, o.SaveSteps, o.Rank, o.SO8T.LRScale = 4, 0, 8, 10
	run := func(device string) (TrainReport, []float64, []float32) {
		m := onDevices(t, device, bundledModel, "bf16")
		tr, err := NewTrainer(m, o, Dirs{}, Env{})
		require.NoError(t, err)
		rep, err := tr.Run(context.Background(), trainingRows(t), trainingRows(t)[:4])
		require.NoError(t, err)
		a, err := tr.Adapter()
		require.NoError(t, err)
		return rep, tr.losses, a.Gates.Layers[2]
	}
	want, losses, gate := run("cpu")
	require.NotZero(t, gate[0])
	for _, s := range siblings {
		t.Run(s.device, func(t *testing.T) {
			got, l, g := run(s.device)
			worst := 0.0
			for i := range losses {
				worst = math.Max(worst, math.Abs(l[i]/losses[i]-1))
			}
			t.Logf("losses differ by %.1e at most, evaluation by %.1e, gate by %.1e", worst, math.Abs(got.Evals[0].NLL/want.Evals[0].NLL-1), relNorm(g, gate))
			require.Less(t, worst, s.forward)
			require.InEpsilon(t, want.Evals[0].NLL, got.Evals[0].NLL, s.forward)
			require.Less(t, relNorm(g, gate), 3*s.grads+0.1)
		})
	}
}

// TestCUDAGoldenForward holds bfloat16 activations against the reference's float32.
func TestCUDAGoldenForward(t *testing.T) {
	for dir, weights := range map[string]string{bundledModel: "bf16", "testdata/phi3-mini-gqa": "f32", "testdata/phi3-mini-untied": "f32"} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			path, rows := filepath.Join(dir, "golden.safetensors"), []int32(nil)
			if dir == bundledModel {
				path = "testdata/phi3-aozora-10m.safetensors"
			}
			g, m := openGolden(t, path), onCUDA(t, dir, weights)
			p := forwardAll(t, m, g.ints("input_ids"), phi3.Infer)
			for i := range g.ints("input_ids") {
				rows = append(rows, int32(i))
			}
			if dir == bundledModel {
				rows = g.ints("logits.positions")
			}
			e := relNorm(m.testLogits(t, p.Hidden(), rows), g.floats("logits"))
			t.Logf("logits differ by %.1e", e)
			require.Less(t, e, 2e-2)
		})
	}
}

// TestCUDAQuantisation: the report and the smoothing follow from the model, not from
// the device that measures.
func TestCUDAQuantisation(t *testing.T) {
	onCUDA(t, peftModel, "f32")
	measureOn := func(device string) *QuantReport {
		t.Setenv("BOREA_DEVICE", device)
		return quantisation(t, bundledModel, smoothed(t, bundledModel), true)
	}
	want, got := measureOn("cpu"), measureOn("cuda")
	for i, l := range got.Linears {
		w := want.Linears[i]
		require.InDelta(t, w.Error, l.Error, 0.1*w.Error+2e-3, l.Name)
		require.InEpsilon(t, w.Crest, l.Crest, 0.02, l.Name)
	}
}
