package classifier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/borea-go/borea/checkpoint"
	"github.com/borea-go/borea/checkpoint/safetensors"
)

// Prefixes of a checkpoint's tensors beside the head's own.
const (
	firstMoment  = "adam.m."
	secondMoment = "adam.v."
	bestTensor   = "best."
)

// writeHead writes the head, its moments in full precision, and the best head so far.
func (t *trainer) writeHead(w io.Writer) error {
	params := t.head.params()
	all := tensors("", params)
	for i, p := range params {
		all = append(all, f64Tensor(firstMoment+p.name, t.adams[i].M), f64Tensor(secondMoment+p.name, t.adams[i].V))
	}
	if t.best != nil {
		all = append(all, tensors(bestTensor, t.best.head.params())...)
	}
	return safetensors.Write(w, all, nil)
}

func f64Tensor(name string, data []float64) safetensors.Tensor {
	return safetensors.Tensor{Info: safetensors.Info{Name: name, DType: "F64", Shape: []int{len(data)}},
		Data: func(w io.Writer) error {
			b := make([]byte, 0, 8*len(data))
			for _, v := range data {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
			}
			_, err := w.Write(b)
			return err
		}}
}

// readHead reads what writeHead wrote.
func (t *trainer) readHead(snap *checkpoint.Snapshot, best bool) error {
	f, err := snap.Open(headFile)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	r, err := safetensors.NewReader(bytes.NewReader(data), int64(len(data)), safetensors.DefaultLimits())
	if err != nil {
		return err
	}
	if err := t.head.read(r, ""); err != nil {
		return err
	}
	for i, p := range t.head.params() {
		a := t.adams[i]
		a.T = t.step
		if err := errors.Join(readF64(r, firstMoment+p.name, a.M), readF64(r, secondMoment+p.name, a.V)); err != nil {
			return err
		}
	}
	if best {
		t.best = &bestState{head: t.head.clone(), files: map[string][]byte{}}
		return t.best.head.read(r, bestTensor)
	}
	return nil
}

func readF64(r *safetensors.Reader, name string, dst []float64) error {
	info, ok := r.Info(name)
	if !ok || info.DType != "F64" || info.Elements() != int64(len(dst)) {
		return fmt.Errorf("%w: tensor %s has %d values of %s, want %d of F64", ErrFormat, name, info.Elements(), info.DType, len(dst))
	}
	s, err := r.Section(name)
	if err != nil {
		return err
	}
	return binary.Read(s, binary.LittleEndian, dst)
}
