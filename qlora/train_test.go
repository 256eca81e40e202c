package qlora

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// smallTraining is a short run with everything random switched on.
func smallTraining() Options {
	o := DefaultOptions()
	o.Rank, o.Alpha, o.Dropout, o.NEFTune = 4, 8, 0.1, 5
	o.Epochs, o.MaxSteps, o.BatchSize, o.Accumulation, o.MaxLength = 2, 8, 2, 2, 128
	o.LearningRate, o.LoRAPlus = 2e-3, 4
	o.SaveSeconds, o.SaveSteps, o.KeepCheckpoints = 0, 1, 3
	o.SO8T = SO8TOptions{Enabled: true, LRScale: 1}
	o.PET.Enabled = true
	return o
}

func trainingRows(t *testing.T) []Example {
	var out []Example
	for i, row := range readIDs(t, "testdata/lora200.ids.gz", 128)[:40] {
		out = append(out, Example{IDs: row[:64+i]})
	}
	return out
}

// runTraining trains until ctx ends and returns the parameters' bits.
func runTraining(t *testing.T, ctx context.Context, o Options, dirs Dirs, onStep func(int)) (map[string][]float32, TrainReport, error) {
	t.Helper()
	return trainModel(t, ctx, loadModel(t, bundledModel, "int8"), o, dirs, onStep)
}

func trainModel(t *testing.T, ctx context.Context, m *Model, o Options, dirs Dirs, onStep func(int)) (map[string][]float32, TrainReport, error) {
	t.Helper()
	env := Env{Progress: func(p Progress) {
		if p.Stage == "train" && onStep != nil {
			onStep(p.Done)
		}
	}}
	tr, err := NewTrainer(m, o, dirs, env)
	require.NoError(t, err)
	rep, err := tr.Run(ctx, trainingRows(t), trainingRows(t)[:4])
	out := map[string][]float32{}
	for _, p := range tr.tr.params {
		v := make([]float32, p.p.Len())
		require.NoError(t, m.dev.Download(v, p.p))
		out[p.name] = v
	}
	return out, rep, err
}

// trainUntil interrupts a run after step stop.
func trainUntil(t *testing.T, m *Model, o Options, dirs Dirs, stop int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, _, err := trainModel(t, ctx, m, o, dirs, func(done int) {
		if done == stop {
			cancel()
		}
	})
	require.ErrorIs(t, err, ErrInterrupted)
	require.ErrorIs(t, err, context.Canceled)
}

// outcome is what equal runs agree in: parameters, last loss, evaluations.
type outcome struct {
	params map[string][]float32
	rep    TrainReport
}

// finish trains to the end.
func finish(t *testing.T, m *Model, o Options, dirs Dirs) outcome {
	t.Helper()
	params, rep, err := trainModel(t, context.Background(), m, o, dirs, nil)
	require.NoError(t, err)
	return outcome{params, rep}
}

// requireResumed demands the bits of a run that nothing interrupted from one that
// went on after step from.
func requireResumed(t *testing.T, whole, resumed outcome, from int) {
	t.Helper()
	require.Equal(t, from, resumed.rep.ResumedFrom)
	require.Equal(t, whole.params, resumed.params)
	require.Equal(t, whole.rep.LastLoss, resumed.rep.LastLoss)
	require.Equal(t, whole.rep.Evals, resumed.rep.Evals)
}

func TestResumeIsBitEqual(t *testing.T) {
	o := smallTraining()
	load := func() *Model { return loadModel(t, bundledModel, "int8") }
	whole := finish(t, load(), o, Dirs{Logs: filepath.Join(t.TempDir(), "whole")})
	dir := t.TempDir()
	dirs := Dirs{Checkpoints: filepath.Join(dir, "ckpt"), Logs: filepath.Join(dir, "logs")}
	for _, stopAt := range []int{3, 5} {
		trainUntil(t, load(), o, dirs, stopAt)
	}
	requireResumed(t, whole, finish(t, load(), o, dirs), 5)
	lines, err := os.ReadFile(filepath.Join(dirs.Logs, "train.jsonl"))
	require.NoError(t, err)
	require.Equal(t, 9, countLines(lines), "8 steps and one evaluation")
}

func countLines(b []byte) int {
	n := 0
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	return n
}

func TestResumeRefusesAnotherRun(t *testing.T) {
	o := smallTraining()
	o.MaxSteps = 1
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	_, _, err := runTraining(t, context.Background(), o, dirs, nil)
	require.NoError(t, err)
	o.Rank = 8
	_, _, err = runTraining(t, context.Background(), o, dirs, nil)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Contains(t, err.Error(), "options")
}

func TestTrainingIsIndependentOfRecompute(t *testing.T) {
	o := smallTraining()
	o.MaxSteps, o.SaveSteps = 2, 0
	var runs []map[string][]float32
	for _, o.Recompute = range []string{"none", "selective", "full"} {
		got, _, err := runTraining(t, context.Background(), o, Dirs{}, nil)
		require.NoError(t, err)
		runs = append(runs, got)
	}
	require.Equal(t, runs[0], runs[1])
	require.Equal(t, runs[0], runs[2])
}

func TestPackedDocumentsDoNotLeak(t *testing.T) {
	m := loadModel(t, bundledModel, "f32")
	rows := readIDs(t, "testdata/lora200.ids.gz", 128)[:3]
	together, err := m.LogProbs(context.Background(), rows)
	require.NoError(t, err)
	for i, row := range rows {
		alone, err := m.LogProbs(context.Background(), [][]int32{row})
		require.NoError(t, err)
		for j := range row {
			require.InDelta(t, alone[0][j], together[i][j], 1e-4)
		}
	}
}
