package qlora

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/internal/rewrite"
	"github.com/borea-go/borea/so8t"
)

// MergeReport is what Merge did.
type MergeReport struct {
	Tensors  int     `json:"tensors"`
	Merged   int     `json:"merged"` // with an adapter's update
	Baked    int     `json:"baked"`  // with a gate folded in
	Bytes    int64   `json:"bytes"`
	DType    string  `json:"dtype"`
	MaxDelta float64 `json:"max_delta"` // largest |change| of a weight before rounding
}

// Merge writes a model directory whose weights are those of src with the adapter
// folded in: W + s·BA, and for an o_proj with a gate (W + s·BA)·Q. It reads the
// original weights, works in float64, rounds once to the tensor's own type, and
// holds a few rows a processor at a time; the bytes do not depend on their number.
// Shards, tokenizer and configuration files keep their names.
func Merge(ctx context.Context, src fs.FS, a *Adapter, dst string, env Env) (MergeReport, error) {
	model, err := safetensors.OpenModel(src)
	if err != nil {
		return MergeReport{}, err
	}
	defer model.Close()
	cfg, err := hfconfig.Read(src)
	if err != nil {
		return MergeReport{}, err
	}
	mg := &merger{ctx: ctx, src: model, a: a, env: env, total: len(model.Tensors())}
	if err := mg.checkNames(cfg); err != nil {
		return mg.rep, err
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return mg.rep, err
	}
	if err := mg.writeShards(dst); err != nil {
		return mg.rep, err
	}
	return mg.rep, copyPlainFiles(src, dst)
}

type merger struct {
	ctx   context.Context
	src   *safetensors.Model
	a     *Adapter
	env   Env
	total int
	rep   MergeReport
}

// checkNames refuses an adapter that belongs to another model.
func (g *merger) checkNames(cfg *hfconfig.Config) error {
	for name, f := range g.a.Factors {
		info, ok := g.src.Info(name + ".weight")
		if !ok {
			return &missingLinear{name}
		}
		if len(info.Shape) != 2 || info.Shape[0] != f.Out || info.Shape[1] != f.In {
			return fmt.Errorf("qlora: %s is %v in the model, the adapter's update [%d %d]", name, info.Shape, f.Out, f.In)
		}
	}
	if g.a.Gates == nil {
		return nil
	}
	if len(g.a.Gates.Layers) != cfg.Layers {
		return fmt.Errorf("qlora: %d gates for %d layers", len(g.a.Gates.Layers), cfg.Layers)
	}
	want := cfg.Heads * cfg.HeadDim / so8t.Size * so8t.Angles
	for i, theta := range g.a.Gates.Layers {
		if len(theta) != want {
			return fmt.Errorf("qlora: gate of layer %d has %d angles, o_proj's input takes %d", i, len(theta), want)
		}
		info, _ := g.src.Info(LinearName(i, OProj) + ".weight")
		if len(info.Shape) != 2 || info.Shape[1] != cfg.Heads*cfg.HeadDim {
			return &missingLinear{LinearName(i, OProj)}
		}
	}
	return nil
}

type missingLinear struct{ name string }

func (e *missingLinear) Error() string {
	return fmt.Sprintf("qlora: the adapter updates %s, which the model does not have", e.name)
}

// writeShards writes each shard of the source under its own name.
func (g *merger) writeShards(dst string) error {
	shards := map[string][]safetensors.Tensor{}
	for _, info := range g.src.Tensors() {
		name := g.src.Shard(info.Name)
		shards[name] = append(shards[name], g.tensor(info))
	}
	names := make([]string, 0, len(shards))
	for name := range shards {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		err := atomicfile.WriteFile(filepath.Join(dst, name), 0o644, func(w io.Writer) error {
			return safetensors.Write(w, shards[name], map[string]string{"format": "pt"})
		})
		if err != nil {
			return fmt.Errorf("merge %s: %w", name, err)
		}
	}
	return nil
}

func (g *merger) tensor(info safetensors.Info) safetensors.Tensor {
	return safetensors.Tensor{Info: info, Data: func(w io.Writer) error {
		if err := g.ctx.Err(); err != nil {
			return err
		}
		g.rep.Tensors++
		g.rep.Bytes += info.Size
		defer g.env.progress(Progress{Stage: "merge", Done: g.rep.Tensors, Total: g.total})
		linear := strings.TrimSuffix(info.Name, ".weight")
		f, merged := g.a.Factors[linear]
		gate := g.gate(linear)
		if !merged && gate == nil {
			return g.copy(info, w)
		}
		return g.change(newRowMerger(info, f, gate), w)
	}}
}

func (g *merger) gate(linear string) []float64 {
	if g.a.Gates == nil || !strings.HasSuffix(linear, "."+OProj) {
		return nil
	}
	var layer int
	if _, err := fmt.Sscanf(linear, "model.layers.%d.", &layer); err != nil || layer >= len(g.a.Gates.Layers) {
		return nil
	}
	return so8t.Rotations(g.a.Gates.Layers[layer])
}

func (g *merger) copy(info safetensors.Info, w io.Writer) error {
	sec, err := g.src.Section(info.Name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, sec)
	return err
}

func (g *merger) change(m *rowMerger, w io.Writer) error {
	g.rep.DType = string(m.info.DType)
	if m.f.R > 0 {
		g.rep.Merged++
	}
	if m.gate != nil {
		g.rep.Baked++
	}
	read := func(first int, dst []float32) error { return g.src.ReadFloat32(m.info.Name, first, dst) }
	return rewrite.Rows(w, m.info, read, m.change, func(delta float64) { g.rep.MaxDelta = max(g.rep.MaxDelta, delta) })
}

// copyPlainFiles copies every file but the weights and writes the configuration
// last, so that a half-written directory does not load.
func copyPlainFiles(src fs.FS, dst string) error {
	entries, err := fs.ReadDir(src, ".")
	if err != nil {
		return err
	}
	names := []string{}
	for _, e := range entries {
		if e.Type().IsRegular() && keepPlain(e.Name()) {
			names = append(names, e.Name())
		}
	}
	names = append(names, "config.json")
	for _, name := range names {
		b, err := fs.ReadFile(src, name)
		if err != nil {
			return err
		}
		err = atomicfile.WriteFile(filepath.Join(dst, name), 0o644, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func keepPlain(name string) bool {
	if name == "config.json" || strings.HasSuffix(name, ".safetensors") {
		return false
	}
	for _, suffix := range []string{".json", ".model", ".jinja", ".txt"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// WriteReport writes any report as indented JSON.
func WriteReport(path string, report any) error {
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}
