package qlora

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// ErrReplicas says that the devices of a run no longer hold the same parameters,
// which their training rules out: one of them computed wrongly.
var ErrReplicas = errors.New("qlora: the devices no longer hold the same parameters")

// DeviceError is a failure of one of several devices. It ends the run on all of
// them; the checkpoints written before stay as they are.
type DeviceError struct {
	Rank   int    // place in LoadOptions.Device, from 0
	Device string // name
	Err    error
}

// Error implements error.
func (e *DeviceError) Error() string {
	return fmt.Sprintf("qlora: device %d (%s): %v", e.Rank, e.Device, e.Err)
}

// Unwrap returns the cause.
func (e *DeviceError) Unwrap() error { return e.Err }

// DeviceCountError refuses to resume a checkpoint on another number of devices:
// sums over them would be rounded otherwise.
type DeviceCountError struct{ Saved, Have int }

// Error implements error.
func (e *DeviceCountError) Error() string {
	return fmt.Sprintf("qlora: the checkpoint was made on %d device(s), this run has %d; resume on as many, or remove the checkpoint folder to start over", e.Saved, e.Have)
}

// addReplicas puts the devices after the first into the model.
func (m *Model) addReplicas(devices []compute.Device, group compute.Group) {
	m.group = group
	for _, d := range devices {
		m.replicas = append(m.replicas, &Model{dev: d, cfg: m.cfg, opts: m.opts})
	}
}

// all returns the model and its replicas in the order of the ranks.
func (m *Model) all() []*Model { return append([]*Model{m}, m.replicas...) }

// loadAll loads the weights on every device at once.
func (m *Model) loadAll(ctx context.Context, fsys fs.FS) error {
	all := m.all()
	return parallel(len(all), func(i int) error {
		return wrapRank(i, all, all[i].loadWeights(ctx, fsys))
	})
}

func (m *Model) closeDevices() error {
	var errs []error
	if m.group != nil {
		errs = append(errs, m.group.Close())
	}
	for _, r := range m.all() {
		errs = append(errs, r.dev.Close(), r.closeFiles())
	}
	return errors.Join(errs...)
}

// wrapRank says which of several devices failed.
func wrapRank(i int, all []*Model, err error) error {
	if err == nil || len(all) == 1 {
		return err
	}
	return &DeviceError{Rank: i, Device: all[i].dev.Name(), Err: err}
}

// parallel runs f(0) to f(n-1), each on a goroutine of its own, and returns their
// errors.
func parallel(n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = f(i) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// rank is what a training holds on one device: a replica of the model and of
// everything that is trained. Ranks start from the same values and make the same
// updates from the same summed gradients, so that they stay equal in every bit.
type rank struct {
	m    *Model
	tr   *trainable
	pass *phi3.Pass

	random, hyper, acc, petCoef, petLoss compute.Buffer

	repeats *recorder
	copying compute.Snapshot // begun since the last step, else nil

	mark int // of the device memory before this rank's
}

func newRank(m *Model, opts Options) *rank {
	m.net.Fit(opts.MaxLength)
	d := m.dev
	r := &rank{m: m, mark: d.Mark(), tr: newTrainable(m, opts), repeats: newRecorder(d)}
	r.pass = m.net.NewPass(opts.BatchSize*opts.MaxLength, modes[opts.Recompute], r.tr.tuning)
	r.pass.NEFTune = float32(opts.NEFTune)
	r.random, r.hyper = d.Alloc(compute.I32, 4), d.Alloc(compute.F32, compute.HyperCount)
	r.acc, r.petCoef, r.petLoss = d.Alloc(compute.F32, 1), d.Alloc(compute.F32, 1), d.Alloc(compute.F32, 1)
	return r
}

// each runs f for every rank at once; its error says which ones failed.
func (t *Trainer) each(f func(i int, r *rank) error) error {
	return parallel(len(t.ranks), func(i int) error {
		return wrapRank(i, t.m.all(), f(i, t.ranks[i]))
	})
}

// gradients runs a step's micro-batches, number k on rank k modulo their count,
// and leaves the gradients' sum on every rank. It returns the loss.
func (t *Trainer) gradients(micro []*phi3.Batch) (float64, error) {
	losses := make([]float64, len(micro))
	err := t.each(func(i int, r *rank) (err error) {
		for k := i; k < len(micro) && err == nil; k += len(t.ranks) {
			losses[k], err = r.microStep(micro[k], t.step*t.opts.Accumulation+k)
		}
		return err
	})
	loss := 0.0
	for _, l := range losses {
		loss += l
	}
	if err != nil || len(t.ranks) == 1 {
		return loss, err
	}
	sums := make([]compute.Buffer, len(t.ranks))
	for i, r := range t.ranks {
		sums[i] = r.tr.grads
	}
	if err := t.m.group.Sum(sums...); err != nil {
		return loss, fmt.Errorf("qlora: sum of gradients: %w", err)
	}
	return loss, nil
}

// update takes the optimiser's step on every rank. It returns the gradient norm
// before clipping, and the PET term, of which each rank has a share. A rank that
// is lost before its sum is done would leave the others waiting for it: the group
// is then aborted.
func (t *Trainer) update() (norm, pet float64, err error) {
	norms, pets := make([]float64, len(t.ranks)), make([]float32, len(t.ranks))
	err = t.each(func(i int, r *rank) (err error) {
		norms[i], err = r.optimise()
		if err == nil {
			err = r.m.dev.Download(pets[i:i+1], r.petLoss)
		}
		if err != nil && t.m.group != nil {
			t.m.group.Abort()
		}
		return err
	})
	for i := range norms {
		if err == nil && math.Float64bits(norms[i]) != math.Float64bits(norms[0]) {
			err = fmt.Errorf("%w: gradient norm %g on device %d, %g on device 0", ErrReplicas, norms[i], i, norms[0])
		}
		pet += float64(pets[i])
	}
	return norms[0], pet, err
}

// checkReplicas compares the whole state of the ranks, bit by bit.
func (t *Trainer) checkReplicas() error {
	if len(t.ranks) == 1 {
		return nil
	}
	state := make([][]compute.Buffer, len(t.ranks))
	for i, r := range t.ranks {
		for _, b := range r.tr.state() {
			state[i] = append(state[i], b.Buffer)
		}
	}
	err := t.m.group.Same(state...)
	if errors.Is(err, compute.ErrDiffer) {
		return fmt.Errorf("%w: step %d: %w", ErrReplicas, t.step, err)
	}
	return err
}
