//go:build cuda && cgo && linux && amd64

package qlora

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/image"
)

// loadOn loads the bundled model on a device with options of its own.
func loadOn(t testing.TB, o cuda.Options, weights string) *Model {
	t.Helper()
	dev, err := cuda.New(o)
	require.NoError(t, err)
	cfg, err := hfconfig.Read(os.DirFS(bundledModel))
	require.NoError(t, err)
	m := &Model{dev: dev, cfg: cfg, opts: DefaultLoadOptions()}
	m.opts.Weights = weights
	require.NoError(t, m.loadWeights(context.Background(), os.DirFS(bundledModel)))
	return m
}

// stopAfter trains until step n, which leaves a checkpoint, and returns the folder.
func stopAfter(t *testing.T, o Options, n int) Dirs {
	t.Helper()
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	trainUntil(t, onCUDA(t, bundledModel, "int8"), o, dirs, n)
	return dirs
}

// requireResumes finishes the run of a folder and compares it with one that nothing
// interrupted.
func requireResumes(t *testing.T, o Options, dirs Dirs, from int) {
	t.Helper()
	whole, _, err := trainOnCUDA(t, context.Background(), o, Dirs{}, nil)
	require.NoError(t, err)
	resumed, rep, err := trainOnCUDA(t, context.Background(), o, dirs, nil)
	require.NoError(t, err)
	require.Equal(t, from, rep.ResumedFrom)
	require.Equal(t, whole, resumed)
}

func faultOptions() Options {
	o := smallTraining()
	o.Rank, o.MaxSteps = 16, 4
	return o
}

// TestCUDAOutOfMemory: a run that resumes under a cap which its steps exceed fails
// with the error's type, and the checkpoint stays good.
func TestCUDAOutOfMemory(t *testing.T) {
	onCUDA(t, bundledModel, "int8")
	o := faultOptions()
	dirs := stopAfter(t, o, 2)
	limits := cuda.DefaultOptions()
	room := loadOn(t, limits, "int8")
	_, err := NewTrainer(room, o, Dirs{}, Env{})
	require.NoError(t, err)
	limits.Memory = room.dev.(*cuda.Device).MemoryReport().InUse + 4<<20
	require.NoError(t, room.Close())
	m := loadOn(t, limits, "int8")
	tr, err := NewTrainer(m, o, dirs, Env{})
	require.NoError(t, err)
	_, err = tr.Run(context.Background(), trainingRows(t), trainingRows(t)[:4])
	require.ErrorIs(t, err, compute.ErrOutOfMemory)
	require.LessOrEqual(t, m.dev.(*cuda.Device).MemoryReport().HighWater, limits.Memory)
	require.NoError(t, m.Close())
	requireResumes(t, o, dirs, 2)
}

// loseDevice makes a kernel write to an address that nobody has, after which the
// context of this process does no more work.
func loseDevice(t *testing.T) {
	t.Helper()
	require.ErrorIs(t, poisonDevice(t, 0).Sync(), compute.ErrDeviceLost)
}

// poisonDevice queues the kernel of loseDevice.
func poisonDevice(t *testing.T, ordinal int) *driver.Context {
	t.Helper()
	c, err := driver.Open(ordinal)
	require.NoError(t, err)
	file, err := os.ReadFile("internal/compute/cuda/adamw.image")
	require.NoError(t, err)
	_, bin, err := image.Open(file)
	require.NoError(t, err)
	mod, err := c.Load(bin)
	require.NoError(t, err)
	f, err := mod.Function("clip_scale", 0)
	require.NoError(t, err)
	const nowhere = 0x7f0000000000
	a := (&driver.Args{}).Ptr(nowhere).Ptr(nowhere).Float(1)
	require.NoError(t, c.Launch(f, driver.Grid{X: 1, Y: 1, Z: 1}, 1, 0, a))
	return c
}

// losingFolder names the checkpoint folder to a process that is to lose its device,
// which then ends with lostAsPlanned.
const (
	losingFolder  = "BOREA_TEST_LOSE_DEVICE"
	lostAsPlanned = 7
)

// TestCUDALostDevice: a device lost amid training is an error of that type, at once
// and for good, and the checkpoint before it is good. The loss happens in another
// process, since it ends the context of all devices in its own.
func TestCUDALostDevice(t *testing.T) {
	o := faultOptions()
	if dir := os.Getenv(losingFolder); dir != "" {
		o.SaveSteps = 2
		tr, err := NewTrainer(onCUDA(t, bundledModel, "int8"), o, Dirs{Checkpoints: dir}, Env{Progress: func(p Progress) {
			if p.Stage == "train" && p.Done == 3 {
				loseDevice(t)
			}
		}})
		require.NoError(t, err)
		_, err = tr.Run(context.Background(), trainingRows(t), trainingRows(t)[:4])
		require.ErrorIs(t, err, compute.ErrDeviceLost)
		os.Exit(lostAsPlanned) // what is lost cannot be closed without errors
	}
	onCUDA(t, bundledModel, "int8")
	o.SaveSteps = 2
	dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCUDALostDevice$")
	cmd.Env = append(os.Environ(), losingFolder+"="+dirs.Checkpoints)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Equal(t, lostAsPlanned, exit.ExitCode(), string(out))
	requireResumes(t, o, dirs, 2)
}
