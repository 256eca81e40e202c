package phi3

import (
	"math"

	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// HadamardSize is how many neighbouring channels a Hadamard matrix mixes: what a
// device's Rotate takes, so that turning is one pass over memory with quantising.
const HadamardSize = 8

// Hadamard multiplies every HadamardSize values of v by the Hadamard matrix over √8,
// which is symmetric and its own inverse (QuaRot, arXiv 2404.00456, turns the same
// place by a whole row's matrix). A spike in one channel becomes eight values a third
// as large, and quantising to int8 costs the others less.
func Hadamard(v []float32) {
	scale := float32(1 / math.Sqrt(HadamardSize))
	for ; len(v) > 0; v = v[HadamardSize:] {
		x := v[:HadamardSize]
		for h := 1; h < HadamardSize; h *= 2 {
			for i := range x {
				if i&h == 0 {
					x[i], x[i+h] = x[i]+x[i+h], x[i]-x[i+h]
				}
			}
		}
		for i := range x {
			x[i] *= scale
		}
	}
}

// hadamard returns the matrices that turn down_proj's input, nil if none do.
func (l *loader) hadamard(cfg *hfconfig.Config) compute.Buffer {
	if !l.turned {
		return nil
	}
	n := cfg.IntermediateSize * HadamardSize
	b := l.dev.Alloc(compute.F32, n)
	if l.outline {
		return b
	}
	v := make([]float32, n)
	for i := range n / HadamardSize {
		v[i*HadamardSize+i%HadamardSize] = 1
	}
	Hadamard(v)
	l.dev.Upload(b, v)
	return b
}

// activate writes silu(gate)·up, turned if the model says so.
func (p *Pass) activate(out compute.Activation, gu compute.Buffer) {
	d, f := p.m.Dev, p.m.Config.IntermediateSize
	if p.m.turn == nil {
		d.SwiGLU(out, gu, p.n, f)
		return
	}
	d.SwiGLU(values(out), gu, p.n, f)
	d.Rotate(out, out.X, p.m.turn, p.n, f)
}

// activateBack turns the gradient at down_proj's input back, in place.
func (p *Pass) activateBack(dmlp compute.Buffer) {
	if p.m.turn != nil {
		p.m.Dev.Rotate(compute.Activation{X: dmlp}, dmlp, p.m.turn, p.n, p.m.Config.IntermediateSize)
	}
}
