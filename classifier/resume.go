package classifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/borea-go/borea/checkpoint"
)

// trainState is the JSON part of a checkpoint. Order and dropout follow from the
// step, so the step is the whole cursor.
type trainState struct {
	Step    int     `json:"step"`
	Options Options `json:"options"`
	Data    string  `json:"data"`
	LossSum float64 `json:"loss_sum"`
	Report  Report  `json:"report"`
	Best    bool    `json:"best"`
}

// MismatchError refuses to resume a checkpoint of a different run.
type MismatchError struct{ What string }

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("classifier: the checkpoint was made with other %s; remove the checkpoint folder to start over", e.What)
}

// bestPrefix marks the files of the best epoch inside a checkpoint.
const bestPrefix = "best-"

func (t *trainer) fingerprint() string {
	h := sha256.New()
	for _, part := range [][]Example{t.train, t.val} {
		for _, ex := range part {
			fmt.Fprintf(h, "%d %q\n", ex.Class, ex.Text)
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *trainer) resume(ctx context.Context) error {
	if t.env.Checkpoints == nil {
		return nil
	}
	snap, err := t.env.Checkpoints.Latest(ctx)
	if errors.Is(err, checkpoint.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	var st trainState
	if err := snap.DecodeMeta(&st); err != nil {
		return err
	}
	a, _ := json.Marshal(st.Options)
	b, _ := json.Marshal(t.opts)
	if !bytes.Equal(a, b) {
		return &MismatchError{"options"}
	}
	if st.Data != t.fingerprint() {
		return &MismatchError{"data"}
	}
	t.step, t.lossSum, t.rep = st.Step, st.LossSum, st.Report
	t.rep.ResumedFrom = st.Step
	if err := t.readHead(snap, st.Best); err != nil {
		return fmt.Errorf("checkpoint %s: %w", snap.Name(), err)
	}
	if t.deep != nil {
		if err := t.deep.Load(snap.Open); err != nil {
			return err
		}
	}
	return t.loadBest(snap)
}

func (t *trainer) loadBest(snap *checkpoint.Snapshot) error {
	if t.best == nil {
		return nil
	}
	for _, name := range snap.Files() {
		plain, ok := strings.CutPrefix(name, bestPrefix)
		if !ok {
			continue
		}
		f, err := snap.Open(name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		t.best.files[plain] = b
	}
	return nil
}

func (t *trainer) saveIfDue(ctx context.Context) error {
	s := t.env.Checkpoints
	if s == nil {
		return nil
	}
	bySteps := t.opts.SaveSteps > 0 && t.step%t.opts.SaveSteps == 0
	if !bySteps && !(t.opts.SaveSeconds > 0 && s.Due()) {
		return nil
	}
	return t.save(ctx)
}

func (t *trainer) interrupted(ctx context.Context) error {
	err := fmt.Errorf("%w after step %d: %w", ErrInterrupted, t.step, context.Cause(ctx))
	if t.env.Checkpoints == nil {
		return err
	}
	return errors.Join(err, t.save(context.WithoutCancel(ctx)))
}

func (t *trainer) save(ctx context.Context) error {
	st := trainState{Step: t.step, Options: t.opts, Data: t.fingerprint(), LossSum: t.lossSum, Report: t.rep, Best: t.best != nil}
	files := map[string]func(io.Writer) error{headFile: t.writeHead}
	if t.deep != nil {
		backbone, err := t.deep.Save()
		if err != nil {
			return err
		}
		maps.Copy(files, backbone)
	}
	if t.best != nil {
		for name, b := range t.best.files {
			files[bestPrefix+name] = func(w io.Writer) error { _, err := w.Write(b); return err }
		}
	}
	return t.env.Checkpoints.Save(ctx, checkpoint.State{Step: int64(t.step), Meta: st, Files: files})
}

// keepBest copies head and backbone.
func (t *trainer) keepBest() error {
	best := &bestState{head: t.head.clone(), files: map[string][]byte{}}
	if t.deep != nil {
		files, err := t.deep.Save()
		if err != nil {
			return err
		}
		for name, write := range files {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				return err
			}
			best.files[name] = b.Bytes()
		}
	}
	t.best = best
	return nil
}

// restoreBest puts head and backbone back to the best epoch.
func (t *trainer) restoreBest() error {
	if t.best == nil {
		return nil
	}
	t.head = t.best.head
	if t.deep == nil {
		return nil
	}
	return t.deep.Load(func(name string) (io.ReadCloser, error) {
		b, ok := t.best.files[name]
		if !ok {
			return nil, fmt.Errorf("classifier: no file %s in the best state", name)
		}
		return io.NopCloser(bytes.NewReader(b)), nil
	})
}
