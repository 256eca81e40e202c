package qlora

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// Smoothing evens out the channels that int8 linears multiply, by powers of two
// that move between a linear's input and its weight (after SmoothQuant, arXiv
// 2211.10438). Except for int8's and nf4's rounding the model stays the same
// function to the last bit, and adapters are read and written as those of the
// model without it. Calibrate makes one, LoadOptions.Smoothing names its file.
type Smoothing struct {
	Base   string           `json:"base"` // fingerprint of the weights it belongs to
	Layers []SmoothingLayer `json:"layers"`
}

// SmoothingLayer holds an exponent for each input channel of three linears: the
// input is divided by 2^e, the weight's column multiplied by it. o_proj keeps its
// input, where a rotation gate may stand.
type SmoothingLayer struct {
	QKV    []int8 `json:"qkv_proj"`
	GateUp []int8 `json:"gate_up_proj"`
	Down   []int8 `json:"down_proj"`
}

// ErrOtherSmoothing says that a smoothing does not belong to a model's weights.
var ErrOtherSmoothing = errors.New("qlora: the smoothing was made for other weights; calibrate this model")

// Calibrate runs as many of seqs as fit in opts.BlockTokens through the model by
// bf16 weights, a block at a time, and returns the smoothing that their
// activations ask for. Weights, Smoothing and Hadamard of opts are not looked at.
func Calibrate(ctx context.Context, fsys fs.FS, opts LoadOptions, seqs [][]int32, env Env) (*Smoothing, error) {
	opts.Weights, opts.Smoothing, opts.Hadamard = "bf16", "", false
	s := &Smoothing{}
	v, err := openSurvey(fsys, opts, env)
	if err != nil {
		return nil, err
	}
	defer v.close()
	s.Base, s.Layers = v.fingerprint, make([]SmoothingLayer, v.cfg.Layers)
	_, err = v.run(ctx, seqs, func(p phi3.Probe) error {
		to := map[string]*[]int8{
			LinearName(p.Layer, QKVProj):    &s.Layers[p.Layer].QKV,
			LinearName(p.Layer, GateUpProj): &s.Layers[p.Layer].GateUp,
			LinearName(p.Layer, DownProj):   &s.Layers[p.Layer].Down,
		}[p.Name]
		if to == nil {
			return nil
		}
		w, err := columnRMS(p)
		*to = balance(channels(p.X, p.In), w)
		return err
	})
	return s, err
}

// surveyRows is how many rows of a weight are in memory at once.
const surveyRows = 64

// columnRMS reads the weight of p, some rows at a time.
func columnRMS(p phi3.Probe) ([]float64, error) {
	sum, rows := make([]float64, p.In), make([]float32, surveyRows*p.In)
	for first := 0; first < p.Out; first += surveyRows {
		part := rows[:min(surveyRows, p.Out-first)*p.In]
		if err := p.Rows(first, part); err != nil {
			return nil, err
		}
		for i, v := range part {
			sum[i%p.In] += float64(v) * float64(v)
		}
	}
	for i, v := range sum {
		sum[i] = math.Sqrt(v / float64(p.Out))
	}
	return sum, nil
}

// deadZone is the smallest fraction of a power of two that counts as a whole one:
// a factor of 2 where 1.1 is asked for makes rows less even, not more.
const deadZone = 0.75

// balance gives every channel of x and its column of w the same share of the
// product's size, in powers of two of the median channel: half the distance of
// x's size from w's. Means of squares, not largest values as in the paper: a few
// tokens with a spike would flatten the channel for all others.
func balance(x []channel, w []float64) []int8 {
	want := make([]float64, len(x))
	for i, c := range x {
		if c.rms > 0 && w[i] > 0 {
			want[i] = (math.Log2(c.rms) - math.Log2(w[i])) / 2
		}
	}
	middle, out := median(want), make([]int8, len(x))
	for i, c := range x {
		if c.rms > 0 && w[i] > 0 {
			far := want[i] - middle
			e := math.Min(math.Floor(math.Abs(far)+1-deadZone), phi3.MaxExponent)
			out[i] = int8(math.Copysign(e, far))
		}
	}
	return out
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

// WriteFile writes s as JSON.
func (s *Smoothing) WriteFile(path string) error {
	return atomicfile.WriteFile(path, 0o644, func(w io.Writer) error { return json.NewEncoder(w).Encode(s) })
}

// ReadSmoothing reads what WriteFile wrote.
func ReadSmoothing(path string) (*Smoothing, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("qlora: smoothing: %w", err)
	}
	defer f.Close()
	dec, s := json.NewDecoder(f), &Smoothing{}
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("qlora: smoothing %s: %w", path, err)
	}
	return s, nil
}

// smooth reads the smoothing that the options name, which must be of the weights
// with this fingerprint. The fingerprint then tells what was done to the weights:
// adapters in a checkpoint are those beside such weights.
func (m *Model) smooth() error {
	if m.opts.Hadamard && m.cfg.IntermediateSize%phi3.HadamardSize != 0 {
		return &OptionError{"hadamard", true, fmt.Sprintf("false: the model's MLP is %d wide, no multiple of %d", m.cfg.IntermediateSize, phi3.HadamardSize)}
	}
	if err := m.readSmoothing(); err != nil {
		return err
	}
	if m.smoothing != nil && m.smoothing.Base != m.fingerprint {
		return fmt.Errorf("%s: %w", m.opts.Smoothing, ErrOtherSmoothing)
	}
	return m.markFingerprint()
}

// readSmoothing reads the file that the options name, if any, and checks that it
// has the model's shape.
func (m *Model) readSmoothing() error {
	if m.opts.Smoothing == "" {
		return nil
	}
	s, err := ReadSmoothing(m.opts.Smoothing)
	if err != nil {
		return err
	}
	if !m.fits(s) {
		return fmt.Errorf("%s: %w", m.opts.Smoothing, ErrOtherSmoothing)
	}
	m.smoothing = s
	return nil
}

func (m *Model) markFingerprint() error {
	e := m.evened()
	if e == nil {
		return nil
	}
	raw, err := json.Marshal(e)
	h := sha256.Sum256(append(raw, m.fingerprint...))
	m.fingerprint = hex.EncodeToString(h[:])
	return err
}

func (m *Model) fits(s *Smoothing) bool {
	ok := len(s.Layers) == m.cfg.Layers
	for _, l := range s.Layers {
		ok = ok && len(l.QKV) == m.cfg.HiddenSize && len(l.GateUp) == m.cfg.HiddenSize && len(l.Down) == m.cfg.IntermediateSize
		for _, e := range slices.Concat(l.QKV, l.GateUp, l.Down) {
			ok = ok && e >= -phi3.MaxExponent && e <= phi3.MaxExponent
		}
	}
	return ok
}

// evened is what the loader does to the weights, nil for nothing.
func (m *Model) evened() *phi3.Smoothing {
	if m.smoothing == nil && !m.opts.Hadamard {
		return nil
	}
	out := &phi3.Smoothing{Layers: make([]phi3.LayerSmoothing, m.cfg.Layers), Hadamard: m.opts.Hadamard}
	if m.smoothing != nil {
		for i, l := range m.smoothing.Layers {
			out.Layers[i] = phi3.LayerSmoothing(l)
		}
	}
	return out
}

// inward turns a linear's factors into those beside the evened weight, in place:
// W + BA became D(W + BA)E, so A becomes AE and B becomes DB.
func (m *Model) inward(layer int, target string, a, b []float32, r int) {
	m.scaleFactors(layer, target, a, b, r, 1)
	if m.opts.Hadamard && target == DownProj {
		phi3.Hadamard(a)
	}
}

// outward undoes inward.
func (m *Model) outward(layer int, target string, a, b []float32, r int) {
	if m.opts.Hadamard && target == DownProj {
		phi3.Hadamard(a)
	}
	m.scaleFactors(layer, target, a, b, r, -1)
}

func (m *Model) scaleFactors(layer int, target string, a, b []float32, r, sign int) {
	if m.smoothing == nil {
		return
	}
	l := m.smoothing.Layers[layer]
	cols := map[string][]int8{QKVProj: l.QKV, GateUpProj: l.GateUp, DownProj: l.Down}[target]
	for i := range a {
		if cols != nil {
			a[i] *= phi3.Pow2(sign * int(cols[i%len(cols)]))
		}
	}
	if target != GateUpProj {
		return
	}
	for i := range b[min(len(b), len(l.Down)*r):] {
		b[len(l.Down)*r+i] *= phi3.Pow2(-sign * int(l.Down[i/r]))
	}
}

// inwardAdapter returns a copy of a for the evened weights, a itself without.
func (m *Model) inwardAdapter(a *Adapter) *Adapter {
	if m.evened() == nil {
		return a
	}
	out := *a
	out.Factors = maps.Clone(a.Factors)
	for i := range m.cfg.Layers {
		for _, target := range Targets() {
			if f, ok := out.Factors[LinearName(i, target)]; ok && m.fitsLinear(f, target) {
				f.A, f.B = slices.Clone(f.A), slices.Clone(f.B)
				m.inward(i, target, f.A, f.B, f.R)
				out.Factors[LinearName(i, target)] = f
			}
		}
	}
	return &out
}
