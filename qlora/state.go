package qlora

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// stateVersion is the layout of a checkpoint.
const stateVersion = 1

// trainMeta is the part of a checkpoint that is not tensors. Random numbers are
// counter-based and the data order follows from the options, so the step number
// is the whole cursor of both.
type trainMeta struct {
	Version int         `json:"version"`
	Step    int         `json:"step"`
	Options Options     `json:"options"`
	Model   string      `json:"model"`             // fingerprint of the base
	Data    string      `json:"data"`              // fingerprint of the examples
	Devices int         `json:"devices,omitempty"` // 0, of older files, is 1
	Losses  []float64   `json:"losses"`
	Evals   []EvalPoint `json:"evals"`
}

// MismatchError refuses to resume a checkpoint of a different run.
type MismatchError struct{ What string }

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("qlora: the checkpoint was made with other %s; remove the checkpoint folder to start over", e.What)
}

func (t *Trainer) openStore(ctx context.Context) (err error) {
	if t.dirs.Checkpoints != "" {
		o := checkpoint.DefaultOptions()
		o.Keep = t.opts.KeepCheckpoints
		o.EverySeconds = t.opts.SaveSeconds
		if t.store, err = checkpoint.Open(t.dirs.Checkpoints, o, checkpoint.Env{Logger: t.env.Logger}); err != nil {
			return err
		}
		if err := errors.Join(t.resume(ctx), t.prepareSnapshots()); err != nil {
			return errors.Join(err, t.store.Close())
		}
	}
	t.log, err = openTrainLog(t.dirs.Logs, t.step)
	return err
}

func (t *Trainer) closeFiles() error {
	var err error
	if t.store != nil {
		err = errors.Join(t.store.Wait(), t.store.Close())
	}
	return errors.Join(err, t.log.close())
}

func (t *Trainer) resume(ctx context.Context) error {
	snap, err := t.store.Latest(ctx)
	if errors.Is(err, checkpoint.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	var meta trainMeta
	if err := snap.DecodeMeta(&meta); err != nil {
		return err
	}
	if err := t.checkMeta(meta); err != nil {
		return err
	}
	r, size, err := snap.ReaderAt("state.safetensors")
	if err != nil {
		return err
	}
	defer r.Close()
	st, err := safetensors.NewReader(r, size, safetensors.DefaultLimits())
	if err != nil {
		return err
	}
	for i, r := range t.ranks {
		if err := r.tr.restore(st); err != nil {
			return wrapRank(i, t.m.all(), err)
		}
	}
	t.step, t.losses, t.evals, t.rep.ResumedFrom = meta.Step, meta.Losses, meta.Evals, meta.Step
	t.env.log().Info("resumed", "step", meta.Step)
	return nil
}

func (t *Trainer) checkMeta(meta trainMeta) error {
	switch {
	case meta.Version != stateVersion:
		return &MismatchError{fmt.Sprintf("layout version %d", meta.Version)}
	case meta.Model != t.m.fingerprint:
		return &MismatchError{"base weights"}
	case meta.Data != t.dataHash:
		return &MismatchError{"training data"}
	case jsonOf(meta.Options) != jsonOf(t.opts):
		return &MismatchError{"options"}
	case max(1, meta.Devices) != len(t.ranks):
		return &DeviceCountError{Saved: max(1, meta.Devices), Have: len(t.ranks)}
	}
	return nil
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func (t *Trainer) saveIfDue(ctx context.Context) error {
	if t.store == nil {
		return nil
	}
	bySteps := t.opts.SaveSteps > 0 && t.step%t.opts.SaveSteps == 0
	byTime := t.opts.SaveSeconds > 0 && t.store.Due()
	if !bySteps && !byTime {
		return nil
	}
	t.collect(t.store.Wait()) // it may still read the memory of the snapshot before
	st, err := t.snapshot()
	if err != nil {
		return err
	}
	t.collect(t.store.SaveAsync(context.WithoutCancel(ctx), st))
	t.saving = true
	return nil
}

// saveNow writes a checkpoint of the current step and waits for it.
func (t *Trainer) saveNow(ctx context.Context) error {
	if t.store == nil {
		return nil
	}
	t.collect(t.store.Wait())
	st, err := t.snapshot()
	if err != nil {
		return err
	}
	if err := t.store.Save(ctx, st); err != nil {
		return err
	}
	t.rep.Saves++
	return nil
}

// collect notes how the background save before ended, if there was one. A failed
// one lets training go on: the earlier checkpoints are untouched, and the final
// save reports what still fails.
func (t *Trainer) collect(err error) {
	switch {
	case err != nil:
		t.rep.SaveErrors = append(t.rep.SaveErrors, err.Error())
		t.env.log().Error("checkpoint not saved; training goes on", "step", t.step, "error", err)
	case t.saving:
		t.rep.Saves++
	}
	t.saving = false
}

// tensors is the trained state in host memory. Where the device copies while it
// works on, the copy has only begun.
func (t *Trainer) tensors() ([]safetensors.Tensor, error) {
	s, ok := t.m.dev.(compute.Snapshotter)
	if !ok {
		return t.tr.snapshot()
	}
	tensors, copied, err := t.tr.beginSnapshot(s)
	if errors.Is(err, compute.ErrOutOfMemory) { // of the host's that the device can reach
		return t.tr.snapshot()
	}
	if err == nil {
		t.copying = copied
	}
	return tensors, err
}

// prepareSnapshots makes the host memory of snapshots before the first step, so
// that no later step waits for it.
func (t *Trainer) prepareSnapshots() error {
	if _, ok := t.m.dev.(compute.Snapshotter); !ok {
		return nil
	}
	_, err := t.tensors()
	return err
}

// snapshot is a checkpoint of the current step.
func (t *Trainer) snapshot() (st checkpoint.State, err error) {
	if err := t.checkReplicas(); err != nil {
		return st, err
	}
	tensors, err := t.tensors()
	if err != nil {
		return st, err
	}
	meta := trainMeta{
		Version: stateVersion, Step: t.step, Options: t.opts, Model: t.m.fingerprint, Data: t.dataHash,
		Devices: len(t.ranks), Losses: append([]float64(nil), t.losses...), Evals: append([]EvalPoint(nil), t.evals...),
	}
	return checkpoint.State{
		Step: int64(t.step), Meta: meta,
		Files: map[string]func(io.Writer) error{
			"state.safetensors": func(w io.Writer) error { return safetensors.Write(w, tensors, nil) },
		},
	}, nil
}

// namedBuffer is a buffer of the state by its name in a checkpoint.
type namedBuffer struct {
	name string
	compute.Buffer
}

// state lists all buffers that a checkpoint holds, in a fixed order.
func (t *trainable) state() (list []namedBuffer) {
	for _, p := range t.params {
		m := p.moments
		list = append(list, namedBuffer{p.name + ".value", p.p}, namedBuffer{p.name + ".m", m.M}, namedBuffer{p.name + ".v", m.V})
		if m.AbsM != nil {
			list = append(list, namedBuffer{p.name + ".abs_m", m.AbsM}, namedBuffer{p.name + ".abs_v", m.AbsV})
		}
	}
	return list
}

func (t *trainable) snapshot() ([]safetensors.Tensor, error) {
	var out []safetensors.Tensor
	for _, b := range t.state() {
		ten, err := t.snapshotBuffer(b.name, b.Buffer)
		if err != nil {
			return nil, err
		}
		out = append(out, ten)
	}
	return out, nil
}

// beginSnapshot is snapshot on a device that goes on working. The tensors wait for
// the copy when they are written; they are valid until the next snapshot.
func (t *trainable) beginSnapshot(d compute.Snapshotter) ([]safetensors.Tensor, compute.Snapshot, error) {
	var buffers []compute.Buffer
	var tensors []safetensors.Tensor
	var copied compute.Snapshot
	for i, b := range t.state() {
		buffers = append(buffers, b.Buffer)
		tensors = append(tensors, safetensors.Tensor{
			Info: safetensors.Info{Name: b.name, DType: stateTypes[b.Type()], Shape: []int{b.Len()}, Size: int64(b.Len() * b.Type().Size())},
			Data: func(w io.Writer) error { return writePart(w, copied, i) },
		})
	}
	copied, err := d.Snapshot(buffers)
	return tensors, copied, err
}

var stateTypes = map[compute.Type]safetensors.DType{compute.U8: "U8", compute.F32: "F32"}

func writePart(w io.Writer, s compute.Snapshot, i int) error {
	parts, err := s.Contents()
	if err != nil {
		return err
	}
	_, err = w.Write(parts[i])
	return err
}

func (t *trainable) snapshotBuffer(name string, b compute.Buffer) (safetensors.Tensor, error) {
	if b.Type() == compute.U8 {
		v := make([]uint8, b.Len())
		err := t.m.dev.Download(v, b)
		info := safetensors.Info{Name: name, DType: "U8", Shape: []int{len(v)}, Size: int64(len(v))}
		return safetensors.Tensor{Info: info, Data: func(w io.Writer) error { _, err := w.Write(v); return err }}, err
	}
	v := make([]float32, b.Len())
	err := t.m.dev.Download(v, b)
	return safetensors.F32Tensor(name, []int{len(v)}, v), err
}

// restore uploads a snapshot.
func (t *trainable) restore(r *safetensors.Reader) error {
	for _, b := range t.state() {
		if err := t.restoreBuffer(r, b.name, b.Buffer); err != nil {
			return err
		}
	}
	return t.m.dev.Sync()
}

func (t *trainable) restoreBuffer(r *safetensors.Reader, name string, b compute.Buffer) error {
	info, ok := r.Info(name)
	if !ok || len(info.Shape) != 1 || info.Shape[0] != b.Len() {
		return fmt.Errorf("qlora: checkpoint tensor %s: want %d values, have shape %v", name, b.Len(), info.Shape)
	}
	if b.Type() == compute.U8 {
		v := make([]uint8, b.Len())
		sec, err := r.Section(name)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(sec, v); err != nil {
			return fmt.Errorf("qlora: checkpoint tensor %s: %w", name, err)
		}
		t.m.dev.Upload(b, v)
		return nil
	}
	v, err := r.Float32(name)
	if err != nil {
		return err
	}
	t.m.dev.Upload(b, v)
	return nil
}
