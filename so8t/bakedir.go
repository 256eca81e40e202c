package so8t

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/internal/rewrite"
)

// MaxOrthogonality is the largest |RᵀR - I| that Bake accepts.
const MaxOrthogonality = 1e-6

// Put makes a file of the given name from what write writes, all of it or none.
type Put func(name string, write func(io.Writer) error) error

// Env is what Bake needs besides data; the zero value is silent.
type Env struct {
	// Progress is called after each tensor with how many are done and in all.
	Progress func(done, total int)
}

// BakeReport says what Bake did.
type BakeReport struct {
	Report               // of the float64 rotations that were folded in
	Tensors    int       `json:"tensors"`     // in all
	Baked      int       `json:"baked"`       // of them changed
	Bytes      int64     `json:"bytes"`       // of weights written
	MaxDelta   []float64 `json:"max_delta"`   // per layer: largest |W' - W| before rounding
	MaxRounded []float64 `json:"max_rounded"` // per layer: largest change by rounding W' to its type
	Copied     []string  `json:"copied"`      // files other than weights
}

// GateError reports gates that do not fit the model, or cannot be baked.
type GateError struct {
	Tensor string
	Reason string
}

// Error implements error.
func (e *GateError) Error() string { return fmt.Sprintf("so8t: bake %s: %s", e.Tensor, e.Reason) }

// Bake folds gates into a model directory in Hugging Face layout: every
// model.layers.N.self_attn.o_proj.weight becomes W·Q, computed in float64 and
// rounded once to its own type (F32, F16 or BF16); every other tensor is copied
// byte for byte. Shards keep their names, order of tensors and metadata;
// configuration and tokenizer files are copied, config.json last, so that a
// half-made directory does not load. A few rows a processor are in memory at a time;
// the bytes do not depend on their number.
//
// The gates must be as many as the model's o_proj. On an error nothing is said
// about files already put; BakeDir's are whole ones.
func Bake(ctx context.Context, src fs.FS, g *Gates, put Put, env Env) (BakeReport, error) {
	if err := g.Validate(); err != nil {
		return BakeReport{}, err
	}
	model, err := safetensors.OpenModel(src)
	if err != nil {
		return BakeReport{}, err
	}
	defer model.Close()
	b := &baker{ctx: ctx, src: src, model: model, gates: g, put: put, env: env}
	for _, step := range []func() error{b.prepare, b.shards, b.plainFiles} {
		if err := step(); err != nil {
			return b.rep, err
		}
	}
	return b.rep, nil
}

// BakeDir is Bake into a folder, which is made if need be. Each file is written
// whole, synced and renamed into place.
func BakeDir(ctx context.Context, src fs.FS, g *Gates, dst string, env Env) (BakeReport, error) {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return BakeReport{}, err
	}
	return Bake(ctx, src, g, func(name string, write func(io.Writer) error) error {
		return atomicfile.WriteFile(filepath.Join(dst, name), 0o644, write)
	}, env)
}

type baker struct {
	ctx   context.Context
	src   fs.FS
	model *safetensors.Model
	gates *Gates
	put   Put
	env   Env
	layer map[string]int // o_proj tensor to layer
	rep   BakeReport
}

const weightSuffix = ".self_attn.o_proj.weight"

// prepare compares the gates with the model and measures the rotations, before
// anything is written.
func (b *baker) prepare() error {
	b.layer = map[string]int{}
	for i, theta := range b.gates.Layers {
		name := fmt.Sprintf("model.layers.%d%s", i, weightSuffix)
		info, ok := b.model.Info(name)
		if !ok {
			return &GateError{name, fmt.Sprintf("the model lacks this tensor, and there are %d gates", len(b.gates.Layers))}
		}
		if cols := len(theta) / Angles * Size; len(info.Shape) != 2 || info.Shape[1] != cols {
			return &GateError{name, fmt.Sprintf("has shape %v, the gate turns %d columns", info.Shape, cols)}
		}
		if _, err := roundingOf(info.DType); err != nil {
			return &GateError{name, err.Error()}
		}
		b.layer[name] = i
		o, d := Distance(Rotations(theta))
		if !(o <= MaxOrthogonality) {
			return &GateError{name, fmt.Sprintf("|RᵀR-I| = %.3g exceeds %g", o, MaxOrthogonality)}
		}
		b.rep.add(o, d, len(theta)/Angles)
	}
	for _, t := range b.model.Tensors() {
		if _, ok := b.layer[t.Name]; !ok && strings.HasSuffix(t.Name, weightSuffix) {
			return &GateError{t.Name, fmt.Sprintf("there are %d gates, none for this layer", len(b.gates.Layers))}
		}
	}
	b.rep.Layers, b.rep.FromIdentity = len(b.gates.Layers), b.rep.FromIdentity/float64(b.rep.Blocks)
	b.rep.MaxDelta, b.rep.MaxRounded = make([]float64, b.rep.Layers), make([]float64, b.rep.Layers)
	return nil
}

func (b *baker) shards() error {
	for _, shard := range b.model.Shards() {
		r := b.model.Reader(shard)
		var tensors []safetensors.Tensor
		for _, info := range r.Tensors() {
			tensors = append(tensors, safetensors.Tensor{Info: info, Data: func(w io.Writer) error { return b.tensor(r, info, w) }})
		}
		if err := b.put(shard, func(w io.Writer) error { return safetensors.Write(w, tensors, r.Metadata()) }); err != nil {
			return fmt.Errorf("so8t: bake %s: %w", shard, err)
		}
	}
	return nil
}

func (b *baker) tensor(r *safetensors.Reader, info safetensors.Info, w io.Writer) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if layer, ok := b.layer[info.Name]; ok {
		if err := b.change(r, info, layer, w); err != nil {
			return err
		}
		b.rep.Baked++
	} else {
		sec, err := r.Section(info.Name)
		if err != nil {
			return err
		}
		if err := safetensors.CopyTensor(info, sec).Data(w); err != nil {
			return err
		}
	}
	b.rep.Tensors++
	b.rep.Bytes += info.Size
	if b.env.Progress != nil {
		b.env.Progress(b.rep.Tensors, len(b.model.Tensors()))
	}
	return nil
}

// moved is how far some rows moved and were rounded.
type moved struct{ delta, rounded float64 }

func (b *baker) change(r *safetensors.Reader, info safetensors.Info, layer int, w io.Writer) error {
	rotations := Rotations(b.gates.Layers[layer])
	round, err := roundingOf(info.DType)
	if err != nil {
		return err
	}
	cols := info.Shape[1]
	read := func(first int, dst []float32) error { return r.ReadFloat32(info.Name, first, dst) }
	return rewrite.Rows(w, info, read, func(first int, rows []float32) (moved, error) {
		if at := safetensors.FirstNotFinite(rows); at >= 0 {
			return moved{}, &GateError{info.Name, fmt.Sprintf("element %d is %g; the file is damaged or its training diverged", first*cols+at, rows[at])}
		}
		return bakeChunk(rows, cols, rotations, round), nil
	}, func(m moved) {
		b.rep.MaxDelta[layer] = max(b.rep.MaxDelta[layer], m.delta)
		b.rep.MaxRounded[layer] = max(b.rep.MaxRounded[layer], m.rounded)
	})
}

// bakeChunk bakes whole rows in float64.
func bakeChunk(rows []float32, cols int, rotations []float64, round rounding) (m moved) {
	acc := make([]float64, cols)
	for at := 0; at < len(rows); at += cols {
		w := rows[at : at+cols]
		for k, v := range w {
			acc[k] = float64(v)
		}
		BakeRow(acc, rotations)
		for k, v := range acc {
			m.delta = max(m.delta, math.Abs(v-float64(w[k])))
			w[k] = round.nearest(v)
			m.rounded = max(m.rounded, math.Abs(v-float64(round.stored(w[k]))))
		}
	}
	return m
}

// rounding says how a type is stored: nearest gives the float32 that encode turns
// into the value nearest to a float64, and stored what then reads back.
type rounding struct {
	nearest func(float64) float32
	stored  func(float32) float32
}

func roundingOf(t safetensors.DType) (rounding, error) {
	switch t {
	case "F32":
		return rounding{func(v float64) float32 { return float32(v) }, func(v float32) float32 { return v }}, nil
	case "BF16":
		return rounding{safetensors.RoundToOdd, func(v float32) float32 { return safetensors.FromBF16(safetensors.BF16(v)) }}, nil
	case "F16":
		return rounding{safetensors.RoundToOdd, func(v float32) float32 { return safetensors.FromF16(safetensors.F16(v)) }}, nil
	}
	return rounding{}, fmt.Errorf("is %s, want F32, F16 or BF16", t)
}

// plainFiles copies what a loader needs besides weights.
func (b *baker) plainFiles() error {
	entries, err := fs.ReadDir(b.src, ".")
	if err != nil {
		return err
	}
	single := slices.Equal(b.model.Shards(), []string{safetensors.SingleFile})
	last := []string(nil)
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir() || !plain(name) || single && name == safetensors.IndexFile:
		case name == "config.json":
			last = []string{name}
		default:
			b.rep.Copied = append(b.rep.Copied, name)
		}
	}
	b.rep.Copied = append(b.rep.Copied, last...)
	for _, name := range b.rep.Copied {
		if err := errors.Join(b.ctx.Err(), b.copyFile(name)); err != nil {
			return fmt.Errorf("so8t: copy %s: %w", name, err)
		}
	}
	return nil
}

func plain(name string) bool {
	switch filepath.Ext(name) {
	case ".json", ".model", ".jinja", ".txt":
		return !strings.HasPrefix(name, ".")
	}
	return name == "LICENSE" || name == "NOTICE"
}

func (b *baker) copyFile(name string) error {
	if st, err := fs.Stat(b.src, name); err != nil {
		return err
	} else if !st.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	f, err := b.src.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.put(name, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}
