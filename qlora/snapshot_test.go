package qlora

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// copying is a device whose snapshots go wrong in every way that the interface
// allows: one that is not protected before an update is spoilt, and so is one when
// the next begins.
type copying struct {
	compute.Device
	last *copied
	made int
}

// copied is slow: its contents are there only when the update after it has come, or
// no update comes.
type copied struct {
	parts     [][]byte
	protected bool
	settled   chan struct{}
	once      sync.Once
}

func (d *copying) Snapshot(buffers []compute.Buffer) (compute.Snapshot, error) {
	if d.last != nil {
		d.last.spoil()
	}
	d.last, d.made = &copied{settled: make(chan struct{})}, d.made+1
	for _, b := range buffers {
		if b.Type() == compute.U8 {
			v := make([]uint8, b.Len())
			if err := d.Download(v, b); err != nil {
				return nil, err
			}
			d.last.parts = append(d.last.parts, v)
			continue
		}
		v := make([]float32, b.Len())
		if err := d.Download(v, b); err != nil {
			return nil, err
		}
		d.last.parts = append(d.last.parts, unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v)))
	}
	return d.last, nil
}

func (d *copying) AdamW(p, g compute.Buffer, m compute.Moments, hyper compute.Buffer, a compute.Adam) {
	if d.last != nil && !d.last.protected {
		d.last.spoil()
	}
	d.Device.AdamW(p, g, m, hyper, a)
}

func (c *copied) spoil() {
	for _, p := range c.parts {
		clear(p)
	}
	c.settle()
}

func (c *copied) settle() { c.once.Do(func() { close(c.settled) }) }

func (c *copied) Protect() {
	c.protected = true
	c.settle()
}

func (c *copied) Contents() ([][]byte, error) {
	select {
	case <-c.settled:
	case <-time.After(2 * time.Second):
		c.settle()
	}
	return c.parts, nil
}

// TestSnapshotsOfAWorkingDevice: every checkpoint written while training goes on is
// the state of its step, byte for byte what a device that stops for it gives.
func TestSnapshotsOfAWorkingDevice(t *testing.T) {
	o := smallTraining()
	o.MaxSteps, o.Rank, o.KeepCheckpoints = 5, 16, 10
	var saved [2][][]byte
	for i := range saved {
		m := loadModel(t, bundledModel, "int8")
		dev := &copying{Device: m.dev}
		if i == 1 {
			m.dev = dev
		}
		dir := filepath.Join(t.TempDir(), "ckpt")
		_, rep, err := trainModel(t, context.Background(), m, o, Dirs{Checkpoints: dir}, nil)
		require.NoError(t, err)
		require.Empty(t, rep.SaveErrors)
		files, err := filepath.Glob(filepath.Join(dir, "*", "state.safetensors"))
		require.NoError(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			saved[i] = append(saved[i], b)
		}
		require.Equal(t, i == 1, dev.made > 5)
	}
	require.GreaterOrEqual(t, len(saved[0]), 5)
	require.Equal(t, len(saved[0]), len(saved[1]))
	for i := range saved[0] {
		require.True(t, bytes.Equal(saved[0][i], saved[1][i]), "checkpoint %d", i)
	}
}

// TestFailuresLeaveTheLastCheckpoint: whatever ends the device, the error says so
// and the checkpoint before it resumes the same run.
func TestFailuresLeaveTheLastCheckpoint(t *testing.T) {
	o := smallTraining()
	o.MaxSteps = 4
	whole, _, err := runTraining(t, context.Background(), o, Dirs{}, nil)
	require.NoError(t, err)
	for _, cause := range []error{compute.ErrOutOfMemory, compute.ErrDeviceLost} {
		dirs := Dirs{Checkpoints: filepath.Join(t.TempDir(), "ckpt")}
		trainUntil(t, loadModel(t, bundledModel, "int8"), o, dirs, 2)
		m := loadModel(t, bundledModel, "int8")
		dev := m.dev
		bad := &failing{Device: dev, err: cause}
		bad.left.Store(2)
		m.dev = bad
		tr, err := NewTrainer(m, o, dirs, Env{})
		require.NoError(t, err)
		_, err = tr.Run(context.Background(), trainingRows(t), nil)
		require.ErrorIs(t, err, cause)
		resumed, rep, err := runTraining(t, context.Background(), o, dirs, nil)
		require.NoError(t, err)
		require.Equal(t, 2, rep.ResumedFrom)
		require.Equal(t, whole, resumed)
	}
}
