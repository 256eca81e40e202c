package classifier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/label"
)

// Judge classifies texts with a head over a backbone.
type Judge struct {
	Head     *Head
	Backbone Backbone
	// BatchSize texts go to the backbone at once, at least 1.
	BatchSize int
}

// Prediction is the answer for one text.
type Prediction struct {
	Class label.Class `json:"class"`
	P     [4]float64  `json:"p"`
	// Failed says why the answer is ESCALATION without a score, "" otherwise.
	Failed string `json:"failed,omitempty"`
}

// Predict answers every text. It fails closed: a text that the backbone refuses,
// an empty one, or scores that are not finite give ESCALATION with a reason.
// failed counts them. Only the end of ctx is an error.
func (j *Judge) Predict(ctx context.Context, texts []string) (out []Prediction, failed int, err error) {
	for first := 0; first < len(texts); first += max(1, j.BatchSize) {
		batch := texts[first:min(len(texts), first+max(1, j.BatchSize))]
		preds, err := j.batch(ctx, batch)
		if err != nil {
			return out, failed, err
		}
		for _, p := range preds {
			if p.Failed != "" {
				failed++
			}
		}
		out = append(out, preds...)
	}
	return out, failed, nil
}

// batch scores texts together and, if that fails, one by one, so that one bad
// text does not take the others with it.
func (j *Judge) batch(ctx context.Context, texts []string) ([]Prediction, error) {
	z, err := j.score(ctx, texts)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && len(texts) > 1 {
		var out []Prediction
		for _, t := range texts {
			p, err := j.batch(ctx, []string{t})
			if err != nil {
				return nil, err
			}
			out = append(out, p...)
		}
		return out, nil
	}
	if err != nil {
		return []Prediction{{Class: label.Escalation, Failed: err.Error()}}, nil
	}
	out := make([]Prediction, len(texts))
	for i := range out {
		out[i] = predict(z[i*label.Count : (i+1)*label.Count])
	}
	return out, nil
}

func (j *Judge) score(ctx context.Context, texts []string) ([]float64, error) {
	for i, t := range texts {
		if t == "" {
			return nil, &InputError{i, errors.New("empty text")}
		}
	}
	x, err := j.Backbone.Features(ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(x) != len(texts)*j.Head.Width {
		return nil, fmt.Errorf("classifier: backbone gave %d values for %d texts of width %d", len(x), len(texts), j.Head.Width)
	}
	z, err := j.Head.Forward(x)
	if err != nil {
		return nil, err
	}
	for i, v := range z {
		if len(texts) > 1 && (math.IsNaN(v) || math.IsInf(v, 0)) {
			return nil, &InputError{i / label.Count, errors.New("scores are not finite")}
		}
	}
	return z, nil
}

func predict(z []float64) Prediction {
	for _, v := range z {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return Prediction{Class: label.Escalation, Failed: "scores are not finite"}
		}
	}
	var p Prediction
	Softmax(p.P[:], z)
	p.Class, _ = label.FromIndex(argmax(z))
	return p
}

// headInfo is judge.json.
type headInfo struct {
	Version int      `json:"version"`
	Width   int      `json:"width"`
	Classes []string `json:"classes"`
	Options Options  `json:"options"`
}

// Names of a saved judge's files.
const (
	headFile = "head.safetensors"
	infoFile = "judge.json"
)

// SaveHead writes the head and the options it was trained with. judge.json comes
// last and completes it.
func SaveHead(dir string, h *Head, opts Options) error {
	info := headInfo{Version: 1, Width: h.Width, Options: opts}
	for _, c := range label.Classes() {
		info.Classes = append(info.Classes, c.String())
	}
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tensors := []safetensors.Tensor{
		safetensors.F32Tensor("head.weight", []int{h.Classes, h.Width}, h.W),
		safetensors.F32Tensor("head.bias", []int{h.Classes}, h.B),
	}
	err = atomicfile.WriteFile(filepath.Join(dir, headFile), 0o644, func(w io.Writer) error {
		return safetensors.Write(w, tensors, nil)
	})
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, infoFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// LoadHead reads what SaveHead wrote and refuses other classes.
func LoadHead(fsys fs.FS) (*Head, Options, error) {
	var info headInfo
	b, err := fs.ReadFile(fsys, infoFile)
	if err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %w", err)
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %s: %w", infoFile, err)
	}
	for i, c := range label.Classes() {
		if len(info.Classes) != label.Count || info.Classes[i] != c.String() {
			return nil, info.Options, fmt.Errorf("classifier: %s: classes %v", infoFile, info.Classes)
		}
	}
	data, err := fs.ReadFile(fsys, headFile)
	if err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %w", err)
	}
	r, err := safetensors.NewReader(bytes.NewReader(data), int64(len(data)), safetensors.DefaultLimits())
	if err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %s: %w", headFile, err)
	}
	h := &Head{Classes: label.Count, Width: info.Width}
	if h.W, err = r.Float32("head.weight"); err != nil {
		return nil, info.Options, err
	}
	if h.B, err = r.Float32("head.bias"); err != nil {
		return nil, info.Options, err
	}
	if len(h.W) != label.Count*h.Width || len(h.B) != label.Count {
		return nil, info.Options, fmt.Errorf("classifier: %s: %d weights and %d biases for width %d", headFile, len(h.W), len(h.B), h.Width)
	}
	return h, info.Options, nil
}
