package qlora

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

// exactTraining leaves out what rounding is enlarged by: codes of 8 bits.
func exactTraining() Options {
	o := smallTraining()
	o.Optimizer, o.SaveSteps, o.Accumulation, o.LearningRate, o.MaxSteps = "adamw", 0, 3, 5e-4, 5
	return o
}

// losses trains and returns the log.
func losses(t *testing.T, devices, weights string, o Options) ([]stepRecord, TrainReport) {
	t.Helper()
	dirs := Dirs{Logs: t.TempDir()}
	m := onDevices(t, devices, bundledModel, weights)
	tr, err := NewTrainer(m, o, dirs, Env{})
	require.NoError(t, err)
	rep, err := tr.Run(context.Background(), trainingRows(t), trainingRows(t)[:7])
	require.NoError(t, err)
	require.NoError(t, tr.checkReplicas())
	require.NoError(t, tr.Close())
	raw, err := os.ReadFile(filepath.Join(dirs.Logs, "train.jsonl"))
	require.NoError(t, err)
	var log []stepRecord
	for line := range bytes.Lines(raw) {
		var r stepRecord
		require.NoError(t, json.Unmarshal(line, &r))
		log = append(log, r)
	}
	return log[:rep.Steps], rep
}

// TestDevicesFollowOne trains the same steps on one, two and three devices, of
// which the first gets most micro-batches. Steps one have the same parameters, so
// their losses are equal in every bit.
func TestDevicesFollowOne(t *testing.T) {
	want, rep := losses(t, "cpu", "f32", exactTraining())
	for _, devices := range []string{"cpu,cpu", "cpu,cpu,cpu"} {
		got, rep2 := losses(t, devices, "f32", exactTraining())
		require.Equal(t, want[0].Loss, got[0].Loss, devices)
		require.Len(t, got, len(want))
		for i, w := range want {
			for k, v := range map[float64]float64{w.Loss: got[i].Loss, w.PET: got[i].PET, w.GradNorm: got[i].GradNorm} {
				require.InEpsilon(t, k, v, 1e-3, "%s, step %d", devices, i)
			}
			require.Equal(t, []any{w.Step, w.LR, w.Tokens}, []any{got[i].Step, got[i].LR, got[i].Tokens})
		}
		require.Equal(t, rep.Tokens, rep2.Tokens)
		require.InEpsilon(t, rep.Evals[0].NLL, rep2.Evals[0].NLL, 1e-4)
	}
}

func TestDevicesResumeBitEqual(t *testing.T) {
	o := smallTraining()
	load := func(devices string) *Model { return onDevices(t, devices, bundledModel, "int8") }
	whole := finish(t, load("cpu,cpu"), o, Dirs{})
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	trainUntil(t, load("cpu,cpu"), o, dirs, 3)

	_, _, err := trainModel(t, context.Background(), load("cpu"), o, dirs, nil)
	var count *DeviceCountError
	require.ErrorAs(t, err, &count)
	require.Equal(t, DeviceCountError{Saved: 2, Have: 1}, *count)

	requireResumed(t, whole, finish(t, load("cpu,cpu"), o, dirs), 3)
}

// failing is a device that breaks for good after some downloads.
type failing struct {
	compute.Device
	left atomic.Int64
	err  error
}

func (d *failing) Download(dst any, src compute.Buffer) error {
	if d.left.Add(-1) < 0 {
		return d.err
	}
	return d.Device.Download(dst, src)
}

// TestLostDeviceEndsTheRun breaks the second device at each point of the third
// step where it answers: loss of its micro-batch, sum, gradient norm, PET term.
func TestLostDeviceEndsTheRun(t *testing.T) {
	o := smallTraining()
	o.MaxSteps = 3
	whole, _, err := trainModel(t, context.Background(), onDevices(t, "cpu,cpu", bundledModel, "int8"), o, Dirs{}, nil)
	require.NoError(t, err)
	for _, point := range []string{"loss", "sum", "norm", "pet"} {
		dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
		m, bad := onFailing(t)
		var tr *Trainer
		tr, err := NewTrainer(m, o, dirs, Env{Progress: func(p Progress) {
			if p.Done == 2 {
				sums := (int64(tr.tr.grads.Len()) + 1<<18 - 1) >> 18
				checks := int64(len(tr.tr.state())) // of the checkpoint between
				bad.left.Store(checks + map[string]int64{"loss": 0, "sum": 1, "norm": 1 + sums, "pet": 2 + sums}[point])
			}
		}})
		require.NoError(t, err)
		rep, err := tr.Run(context.Background(), trainingRows(t), nil)
		require.ErrorIs(t, err, compute.ErrDeviceLost, point)
		var device *DeviceError
		require.Equal(t, point != "sum", errors.As(err, &device), "%s: %v", point, err)
		if device != nil {
			require.Equal(t, 1, device.Rank)
		}
		require.Equal(t, 2, rep.Steps, point)

		resumed, rep, err := trainModel(t, context.Background(), onDevices(t, "cpu,cpu", bundledModel, "int8"), o, dirs, nil)
		require.NoError(t, err)
		require.Equal(t, 2, rep.ResumedFrom)
		require.Equal(t, whole, resumed)
	}
}

// onFailing is a model on two devices of which the second can break.
func onFailing(t *testing.T) (*Model, *failing) {
	m := onDevices(t, "cpu,cpu", bundledModel, "int8")
	bad := &failing{Device: m.replicas[0].dev, err: compute.ErrDeviceLost}
	bad.left.Store(math.MaxInt64)
	m.replicas[0].dev, m.group = bad, compute.NewHostGroup([]compute.Device{m.dev, bad})
	return m, bad
}

// skewed is a group whose sums come out differently on the second device.
type skewed struct {
	compute.Group
	m *Model
}

func (g skewed) Sum(buffers ...compute.Buffer) error {
	err := g.Group.Sum(buffers...)
	g.m.replicas[0].dev.Upload(buffers[1].Slice(0, 1), []float32{1})
	return err
}

func TestDevicesThatDriftApartAreFound(t *testing.T) {
	o := smallTraining()
	o.SaveSteps = 2
	m := onDevices(t, "cpu,cpu", bundledModel, "int8")
	m.group = skewed{m.group, m}
	_, rep, err := trainModel(t, context.Background(), m, o, Dirs{}, nil)
	require.ErrorIs(t, err, ErrReplicas)
	require.ErrorContains(t, err, "norm")
	require.Equal(t, 0, rep.Steps)

	// A wrong value that no norm shows is found before it is saved.
	m = onDevices(t, "cpu,cpu", bundledModel, "int8")
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	var tr *Trainer
	tr, err = NewTrainer(m, o, dirs, Env{Progress: func(p Progress) {
		if p.Done == 3 {
			last := tr.ranks[1].tr.params[len(tr.tr.params)-1].moments.V
			m.replicas[0].dev.Upload(last, make([]float32, last.Len()))
		}
	}})
	require.NoError(t, err)
	rep, err = tr.Run(context.Background(), trainingRows(t), nil)
	require.ErrorIs(t, err, ErrReplicas)
	require.ErrorIs(t, err, compute.ErrDiffer)
	require.Equal(t, 4, rep.Steps)
	_, rep, err = trainModel(t, context.Background(), onDevices(t, "cpu,cpu", bundledModel, "int8"), o, dirs, nil)
	require.NoError(t, err)
	require.Equal(t, 2, rep.ResumedFrom)
}

// TestDevicesTakeAnAdapter starts from given factors on every device, and gives the
// memory of a training back on every device.
func TestDevicesTakeAnAdapter(t *testing.T) {
	o := smallTraining()
	m := onDevices(t, "cpu,cpu", bundledModel, "int8")
	first, err := NewTrainer(m, o, Dirs{}, Env{})
	require.NoError(t, err)
	_, err = first.Run(context.Background(), trainingRows(t)[:8], nil)
	require.NoError(t, err)
	a, err := first.Adapter()
	require.NoError(t, err)
	require.NoError(t, first.Close())
	var held [2][2]int64
	for again := range held {
		o.Seed++ // other initial factors, which SetAdapter must replace everywhere
		tr, err := NewTrainer(m, o, Dirs{}, Env{})
		require.NoError(t, err)
		require.NoError(t, tr.SetAdapter(a))
		for _, r := range tr.ranks {
			got, err := r.tr.adapter()
			require.NoError(t, err)
			require.Equal(t, a.Factors, got.Factors)
		}
		for i, r := range m.all() {
			held[again][i] = r.dev.(*cpu.Device).Held()
		}
		require.NoError(t, tr.Close())
	}
	require.Equal(t, held[0], held[1])
}

func TestDevicesNeedAMicroBatchEach(t *testing.T) {
	o := smallTraining()
	o.Accumulation = 1
	_, err := NewTrainer(onDevices(t, "cpu,cpu", bundledModel, "int8"), o, Dirs{}, Env{})
	var option *OptionError
	require.ErrorAs(t, err, &option)
	require.Equal(t, "accumulation", option.Name)
}
