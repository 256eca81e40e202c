//go:build cuda && cgo && linux && amd64

package qlora

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda"
	"github.com/borea-go/borea/qlora/internal/compute/open"
)

func TestCUDADevicesFollowOne(t *testing.T) {
	o := exactTraining()
	o.MaxSteps = 8
	o.Rank = 16 // ranks of 8 and more use the tensor cores
	want, rep := losses(t, "cuda:0", "bf16", o)
	got, rep2 := losses(t, "cuda:0,1", "bf16", o)
	require.Equal(t, want[0].Loss, got[0].Loss)
	worst := 0.0
	for i := range want {
		worst = math.Max(worst, math.Abs(got[i].Loss/want[i].Loss-1))
	}
	t.Logf("worst deviation of %d steps %.2e, of the evaluation %.2e", len(want), worst, math.Abs(rep2.Evals[0].NLL/rep.Evals[0].NLL-1))
	require.Less(t, worst, 5e-3)
	require.InEpsilon(t, rep.Evals[0].NLL, rep2.Evals[0].NLL, 5e-3)
}

func TestCUDADevicesResumeBitEqual(t *testing.T) {
	o := smallTraining()
	o.Rank = 16
	load := func(devices string) *Model { return onDevices(t, devices, bundledModel, "int8") }
	whole := finish(t, load("cuda:0,1"), o, Dirs{})
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	trainUntil(t, load("cuda:0,1"), o, dirs, 3)
	_, _, err := trainModel(t, context.Background(), load("cuda:1"), o, dirs, nil)
	var count *DeviceCountError
	require.ErrorAs(t, err, &count)
	// The order of the devices does not matter, nor which two they are.
	requireResumed(t, whole, finish(t, load("cuda:1,0"), o, dirs), 3)
}

// poisoned is a group whose second device is lost while it sums.
type poisoned struct {
	compute.Group
	t    *testing.T
	left int // sums before
}

func (g *poisoned) Sum(buffers ...compute.Buffer) error {
	if g.left--; g.left < 0 {
		poisonDevice(g.t, 1)
	}
	return g.Group.Sum(buffers...)
}

// TestCUDALostDeviceOfTwo: where one device is lost while the other one waits for
// its gradients, both stop, and the checkpoint before is good. The loss happens in
// another process, as in TestCUDALostDevice.
func TestCUDALostDeviceOfTwo(t *testing.T) {
	o := faultOptions()
	o.SaveSteps = 2
	m := onDevices(t, "cuda:0,1", bundledModel, "int8")
	if dir := os.Getenv(losingFolder); dir != "" {
		m.group = &poisoned{Group: m.group, t: t, left: 3}
		tr, err := NewTrainer(m, o, Dirs{Checkpoints: dir}, Env{})
		require.NoError(t, err)
		rep, err := tr.Run(context.Background(), trainingRows(t), nil)
		fmt.Println("training ended with:", err)
		require.ErrorIs(t, err, compute.ErrDeviceLost)
		require.Equal(t, 3, rep.Steps)
		os.Exit(lostAsPlanned) // what is lost cannot be closed without errors
	}
	whole, _, err := trainModel(t, context.Background(), m, o, Dirs{}, nil)
	require.NoError(t, err)
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestCUDALostDeviceOfTwo$")
	cmd.Env = append(os.Environ(), losingFolder+"="+dirs.Checkpoints)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Equal(t, lostAsPlanned, exit.ExitCode(), string(out))
	if _, said, ok := strings.Cut(string(out), "training ended with:"); ok {
		t.Log(said)
	}
	resumed, rep, err := trainModel(t, context.Background(), onDevices(t, "cuda:0,1", bundledModel, "int8"), o, dirs, nil)
	require.NoError(t, err)
	require.Equal(t, 2, rep.ResumedFrom)
	require.Equal(t, whole, resumed)
}

// BenchmarkPhi35MiniDevices measures whole training steps of a Trainer at
// Phi-3.5-mini's true shape, int8 base, a micro-batch of 4 × 2048 tokens a device,
// on one device and on two.
func BenchmarkPhi35MiniDevices(b *testing.B) {
	for _, c := range []struct{ list, recompute string }{
		{"cuda:0", "full"}, {"cuda:0,1", "full"}, {"cuda:0", "none"}, {"cuda:0,1", "none"},
	} {
		b.Run(c.list+"-recompute-"+c.recompute, func(b *testing.B) {
			start := time.Now()
			m := shapeOnDevices(b, c.list)
			defer func() { require.NoError(b, m.Close()) }()
			loaded := time.Since(start).Seconds()
			tr, data := shapeTrainer(b, m, 4, c.recompute)
			defer func() { require.NoError(b, tr.Close()) }()
			ctx, cancel := context.WithCancel(context.Background())
			tr.env.Progress = func(p Progress) {
				if p.Done > 2 && !b.Loop() {
					cancel()
				}
			}
			_, err := tr.Run(ctx, data, nil)
			require.ErrorIs(b, err, ErrInterrupted)
			b.ReportMetric(loaded, "load-s")
			b.ReportMetric(float64(4*2048*len(tr.ranks)*b.N)/b.Elapsed().Seconds(), "tok/s")
			for i, r := range tr.ranks {
				b.ReportMetric(float64(r.m.dev.(*cuda.Device).MemoryReport().HighWater)/(1<<30), fmt.Sprintf("GiB-held-%d", i))
			}
			b.ReportMetric(checkTime(b, tr), "check-ms")
		})
	}
}

// shapeOnDevices loads the random model on a list of devices.
func shapeOnDevices(b *testing.B, list string) *Model {
	b.Helper()
	devices, group, err := open.All(list)
	if err != nil {
		b.Skipf("no such devices here: %v", err)
	}
	fsys := newShapeFS(b, 32)
	cfg, err := hfconfig.Read(fsys)
	require.NoError(b, err)
	m := &Model{dev: devices[0], cfg: cfg, opts: DefaultLoadOptions()}
	m.addReplicas(devices[1:], group)
	require.NoError(b, m.loadAll(context.Background(), fsys))
	return m
}

// shapeTrainer has a micro-batch of full documents for each device.
func shapeTrainer(b *testing.B, m *Model, batch int, recompute string) (*Trainer, []Example) {
	b.Helper()
	o := DefaultOptions()
	o.Rank, o.Alpha, o.Dropout, o.Epochs = 64, 128, 0, 1000
	o.BatchSize, o.Accumulation, o.MaxLength, o.Recompute = batch, len(m.all()), 2048, recompute
	tr, err := NewTrainer(m, o, Dirs{}, Env{})
	require.NoError(b, err)
	rng := rand.New(rand.NewPCG(2, 2))
	data := make([]Example, batch*len(m.all()))
	for i := range data {
		for range 2048 {
			data[i].IDs = append(data[i].IDs, int32(rng.IntN(32000)))
		}
	}
	return tr, data
}

// checkTime returns the milliseconds of the comparison of replicas.
func checkTime(b *testing.B, tr *Trainer) float64 {
	start := time.Now()
	require.NoError(b, errors.Join(tr.checkReplicas(), tr.sync()))
	return float64(time.Since(start).Microseconds()) / 1000
}
