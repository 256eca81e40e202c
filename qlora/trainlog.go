package qlora

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// stepRecord is a line of train.jsonl. Times are left out, so that equal runs
// write equal files; the event file has them.
type stepRecord struct {
	Step     int     `json:"step"`
	Epoch    float64 `json:"epoch"`
	Loss     float64 `json:"loss"`
	PET      float64 `json:"pet,omitempty"`
	LR       float64 `json:"lr"`
	GradNorm float64 `json:"grad_norm"`
	Tokens   int     `json:"tokens"`
}

type evalRecord struct {
	Step int     `json:"step"`
	Eval float64 `json:"eval_nll"`
}

// trainLog writes train.jsonl and a TensorBoard event file; nil writes nothing.
type trainLog struct {
	f, ev  *os.File
	events *eventWriter
}

// openTrainLog continues the log of a run that stands at step: lines of later
// steps, which a crash left behind, are dropped.
func openTrainLog(dir string, step int) (*trainLog, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "train.jsonl"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := truncateAfter(f, step); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	ev, err := os.Create(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.borea", step)))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	w, err := newEventWriter(ev, time.Now)
	return &trainLog{f, ev, w}, err
}

// truncateAfter keeps whole lines up to the step and leaves the offset at the end.
func truncateAfter(f *os.File, step int) error {
	r, keep := bufio.NewReader(f), int64(0)
	for {
		line, err := r.ReadBytes('\n')
		var rec stepRecord
		if err != nil || json.Unmarshal(line, &rec) != nil || rec.Step > step {
			break
		}
		keep += int64(len(line))
	}
	if err := f.Truncate(keep); err != nil {
		return err
	}
	_, err := f.Seek(keep, io.SeekStart)
	return err
}

func (l *trainLog) step(r stepRecord) error {
	if l == nil {
		return nil
	}
	return errors.Join(l.line(r), l.events.scalar("train/loss", r.Step, r.Loss),
		l.events.scalar("train/lr", r.Step, r.LR), l.events.scalar("train/grad_norm", r.Step, r.GradNorm),
		l.events.flush())
}

func (l *trainLog) eval(step int, nll float64) error {
	if l == nil {
		return nil
	}
	return errors.Join(l.line(evalRecord{step, nll}), l.events.scalar("eval/nll", step, nll), l.events.flush())
}

func (l *trainLog) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = l.f.Write(append(b, '\n'))
	return err
}

func (l *trainLog) close() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.f.Close(), l.ev.Close())
}
