package qlora

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/so8t"
)

// WriteOptions says how an adapter is written.
type WriteOptions struct {
	// Split writes q_proj, k_proj, v_proj, gate_proj and up_proj instead of the
	// fused names, cut at these rows; the zero value writes fused names.
	Split SplitShape
}

// WriteFiles returns the two files of a PEFT directory. An adapter with gates is
// refused with ErrGated.
func (a *Adapter) WriteFiles(opts WriteOptions) (map[string][]byte, error) {
	if a.Gates != nil {
		return nil, ErrGated
	}
	factors := a.Factors
	if opts.Split != (SplitShape{}) {
		factors = split(factors, opts.Split)
	}
	want := a.Alpha / float64(a.Rank)
	if a.RSLoRA {
		want = a.Alpha / math.Sqrt(float64(a.Rank))
	}
	targets := map[string]bool{}
	var tensors []safetensors.Tensor
	for _, name := range slices.Sorted(maps.Keys(factors)) {
		f := factors[name]
		targets[name[strings.LastIndexByte(name, '.')+1:]] = true
		b := f.B
		ra, rb, r := f.A, b, f.R
		if r != a.Rank {
			return nil, fmt.Errorf("qlora: %s has rank %d, adapter_config.json can say %d only", name, r, a.Rank)
		}
		if s := f.Scale / want; s != 1 {
			rb = scaled(b, float32(s))
		}
		tensors = append(tensors,
			safetensors.F32Tensor(peftPrefix+name+".lora_A.weight", []int{r, f.In}, ra),
			safetensors.F32Tensor(peftPrefix+name+".lora_B.weight", []int{f.Out, r}, rb))
	}
	cfg, err := a.config(slices.Sorted(maps.Keys(targets)))
	if err != nil {
		return nil, err
	}
	var w bytes.Buffer
	if err := safetensors.Write(&w, tensors, map[string]string{"format": "pt"}); err != nil {
		return nil, err
	}
	return map[string][]byte{peftConfigFile: cfg, peftWeightsFile: w.Bytes()}, nil
}

func scaled(v []float32, s float32) []float32 {
	out := make([]float32, len(v))
	for i := range v {
		out[i] = v[i] * s
	}
	return out
}

// WriteDir writes the adapter as a PEFT directory.
func (a *Adapter) WriteDir(dir string, opts WriteOptions) error {
	files, err := a.WriteFiles(opts)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := atomicfile.WriteFile(filepath.Join(dir, name), 0o644, func(w io.Writer) error {
			_, err := w.Write(files[name])
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// OverBaked returns the adapter for the base whose o_proj the gates were baked
// into: y = (WQ)x + B(AQ)x, so A of every o_proj becomes A·Q. base names that
// baked model, by path or hash.
func (a *Adapter) OverBaked(base string) (*Adapter, error) {
	out := *a
	out.Base, out.Gates, out.Factors = base, nil, maps.Clone(a.Factors)
	if a.Gates == nil {
		return &out, nil
	}
	for i, theta := range a.Gates.Layers {
		name := LinearName(i, OProj)
		f, ok := out.Factors[name]
		if !ok {
			continue
		}
		f.A = slices.Clone(f.A)
		if err := so8t.BakeRows(f.A, f.R, so8t.Rotations(theta)); err != nil {
			return nil, fmt.Errorf("qlora: %s: %w", name, err)
		}
		out.Factors[name] = f
	}
	return &out, nil
}
