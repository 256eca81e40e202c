package classifier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/borea-go/borea/checkpoint"
)

// mixer is a trainable backbone: letter counts times a matrix that learns by momentum.
type mixer struct {
	letters
	w, g, m []float32 // [3, 26]
	x       []float32
	steps   []int64
}

func newMixer() *mixer {
	b := &mixer{w: make([]float32, 78), g: make([]float32, 78), m: make([]float32, 78)}
	for i := range b.w {
		b.w[i] = float32(i%7-3) / 10
	}
	return b
}

func (b *mixer) Width() int { return 3 }

func (b *mixer) Features(ctx context.Context, texts []string) ([]float32, error) {
	x, err := b.letters.Features(ctx, texts)
	out := make([]float32, 3*len(texts))
	for i := range texts {
		for k := range 3 {
			for c := range 26 {
				out[3*i+k] += x[26*i+c] * b.w[26*k+c]
			}
		}
	}
	b.x = x
	return out, err
}

func (b *mixer) Forward(ctx context.Context, texts []string, step int64) ([]float32, error) {
	b.steps = append(b.steps, step)
	return b.Features(ctx, texts)
}

func (b *mixer) Backward(_ context.Context, grad []float32) error {
	for i := range len(grad) / 3 {
		for k := range 3 {
			for c := range 26 {
				b.g[26*k+c] += grad[3*i+k] * b.x[26*i+c]
			}
		}
	}
	return nil
}

func (b *mixer) Step(_ context.Context, lr, _ float64) error {
	for i := range b.w {
		b.m[i] = .9*b.m[i] + b.g[i]
		b.w[i] -= float32(lr) * b.m[i]
		b.g[i] = 0
	}
	return nil
}

func (b *mixer) Save() (map[string]func(io.Writer) error, error) {
	data, err := json.Marshal([][]float32{b.w, b.m})
	return map[string]func(io.Writer) error{"mixer.json": func(w io.Writer) error { _, err := w.Write(data); return err }}, err
}

func (b *mixer) Load(open func(string) (io.ReadCloser, error)) error {
	f, err := open("mixer.json")
	if err != nil {
		return err
	}
	defer f.Close()
	var state [2][]float32
	if err := json.NewDecoder(f).Decode(&state); err != nil {
		return err
	}
	b.w, b.m = state[0], state[1]
	return nil
}

func togetherOptions() Options {
	o := testOptions()
	o.Hidden, o.BackboneRate, o.Epochs, o.Patience, o.SaveSteps, o.Reduction = 8, .05, 6, 0, 2, ReduceWeightedMean
	return o
}

// Three features of fixed weights cannot hold four letters and noise apart; trained
// ones can.
func TestBackboneLearnsWithTheHead(t *testing.T) {
	o := togetherOptions()
	o.Epochs = 20
	_, rep, err := Train(context.Background(), newMixer(), letterData(200, 1), letterData(80, 2), o, Env{})
	if err != nil {
		t.Fatal(err)
	}
	o.BackboneRate = 0
	_, frozen, err := Train(context.Background(), newMixer(), letterData(200, 1), letterData(80, 2), o, Env{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.BestMacroF1 < .9 || frozen.BestMacroF1 > rep.BestMacroF1-.1 {
		t.Errorf("macro F1 %g together, %g frozen", rep.BestMacroF1, frozen.BestMacroF1)
	}
}

func TestTogetherResumesBitEqual(t *testing.T) {
	train, val, o := letterData(60, 1), letterData(40, 2), togetherOptions()
	final := func(h *Head, b *mixer) string { return fmt.Sprint(h, b.w, b.m) }
	whole := newMixer()
	h, wrep, err := Train(context.Background(), whole, train, val, o, Env{})
	if err != nil {
		t.Fatal(err)
	}
	want := final(h, whole)
	for stop := 1; stop < wrep.Steps; stop += 3 {
		dir := filepath.Join(t.TempDir(), "ck")
		run := func(stop int) (*Head, *mixer, error) {
			s, err := checkpoint.Open(dir, checkpoint.DefaultOptions(), checkpoint.Env{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b := newMixer()
			h, _, err := Train(ctx, b, train, val, o, Env{Checkpoints: s, Progress: func(step, _ int, _ float64) {
				if step == stop {
					cancel()
				}
			}})
			return h, b, err
		}
		if _, _, err := run(stop); !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) {
			t.Fatal(stop, err)
		}
		h, b, err := run(-1)
		if err != nil || final(h, b) != want {
			t.Errorf("stopped after step %d: the resumed run differs, %v", stop, err)
		}
	}
}

// Accumulation changes how a step is cut, not what it computes.
func TestAccumulationIsOneBatch(t *testing.T) {
	train, val := letterData(64, 1), letterData(20, 2)
	var losses [2]bytes.Buffer
	for i, cut := range [][2]int{{16, 1}, {4, 4}} {
		o := togetherOptions()
		o.Dropout, o.BatchSize, o.Accumulation = 0, cut[0], cut[1]
		_, _, err := Train(context.Background(), newMixer(), train, val, o, Env{Progress: func(_, _ int, loss float64) { fmt.Fprintf(&losses[i], "%.5f\n", loss) }})
		if err != nil {
			t.Fatal(err)
		}
	}
	if losses[0].String() != losses[1].String() {
		t.Errorf("losses differ:\n%s\n%s", &losses[0], &losses[1])
	}
}

func TestOtherRunsAreNotResumed(t *testing.T) {
	train, val, o := letterData(40, 1), letterData(20, 2), togetherOptions()
	s, err := checkpoint.Open(filepath.Join(t.TempDir(), "ck"), checkpoint.DefaultOptions(), checkpoint.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := Train(context.Background(), newMixer(), train, val, o, Env{Checkpoints: s}); err != nil {
		t.Fatal(err)
	}
	var mm *MismatchError
	if _, _, err := Train(context.Background(), newMixer(), train[1:], val, o, Env{Checkpoints: s}); !errors.As(err, &mm) {
		t.Errorf("other data: %v", err)
	}
	o.Hidden++
	if _, _, err := Train(context.Background(), newMixer(), train, val, o, Env{Checkpoints: s}); !errors.As(err, &mm) {
		t.Errorf("other options: %v", err)
	}
}
