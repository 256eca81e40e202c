package cuda

import (
	"fmt"
	"slices"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Options configures a Device.
type Options struct {
	// Ordinal is the device's number, from 0.
	Ordinal int `json:"ordinal" yaml:"ordinal"`
	// Real is the type of activations: "bf16", or "f32" for checks.
	Real string `json:"real" yaml:"real"`
	// Path is the kernel set: "generic" (mma.sync, sm_80 and later), "hopper"
	// (wgmma, sm_90a) or "auto" for the best one the device has.
	Path string `json:"path" yaml:"path"`
	// InputGrad is how int8 weights carry a gradient to their input: "bf16"
	// (exact weights) or "int8" (the gradient requantised a token, with
	// stochastic rounding while training, so that the product is int8 as well).
	InputGrad string `json:"input_grad" yaml:"input_grad"`
	// Memory is the most device memory to take for buffers, weights and scratch,
	// in bytes; 0 sets no limit. The driver's own share comes on top.
	Memory int64 `json:"memory" yaml:"memory"`
	// LossRows is the number of tokens whose logits exist at once, at least 1.
	LossRows int `json:"loss_rows" yaml:"loss_rows"`
}

// DefaultOptions is the first device with its best kernels.
func DefaultOptions() Options {
	return Options{Real: "bf16", Path: "auto", InputGrad: "int8", LossRows: 512}
}

// Validate reports what is wrong with o.
func (o Options) Validate() error {
	for _, c := range []struct {
		name, got string
		want      []string
	}{
		{"real", o.Real, []string{"bf16", "f32"}},
		{"path", o.Path, []string{"auto", "generic", "hopper"}},
		{"input_grad", o.InputGrad, []string{"bf16", "int8"}},
	} {
		if !slices.Contains(c.want, c.got) {
			return fmt.Errorf("cuda: option %s = %q, want one of %q: %w", c.name, c.got, c.want, compute.ErrUnsupported)
		}
	}
	if o.Ordinal < 0 || o.Memory < 0 || o.LossRows < 1 {
		return fmt.Errorf("cuda: ordinal %d, memory %d, loss_rows %d: at least 0, 0 and 1", o.Ordinal, o.Memory, o.LossRows)
	}
	return nil
}
