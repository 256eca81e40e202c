package qlora

import (
	"fmt"
	"strings"
)

// splitNames lists the split linears inside each fused one, in row order.
var splitNames = map[string][]string{
	QKVProj:    {"q_proj", "k_proj", "v_proj"},
	GateUpProj: {"gate_proj", "up_proj"},
}

// fuseParts turns factors under split names into factors of the fused linears:
// with A's stacked and B's on the diagonal the product is the same.
func fuseParts(parts map[string]Factor) (map[string]Factor, error) {
	out := map[string]Factor{}
	groups := map[string]map[string]Factor{}
	for name, f := range parts {
		dot := strings.LastIndexByte(name, '.')
		fused, ok := fusedTarget(name[dot+1:])
		if !ok {
			return nil, fmt.Errorf("qlora: adapter for %s, which Phi-3 does not have", name)
		}
		full := name[:dot+1] + fused
		if name == full {
			out[full] = f
			continue
		}
		if groups[full] == nil {
			groups[full] = map[string]Factor{}
		}
		groups[full][name[dot+1:]] = f
	}
	for full, g := range groups {
		f, err := fuse(full, g)
		if err != nil {
			return nil, err
		}
		out[full] = f
	}
	return out, nil
}

func fuse(full string, g map[string]Factor) (Factor, error) {
	names := splitNames[full[strings.LastIndexByte(full, '.')+1:]]
	var f Factor
	for _, n := range names {
		p, ok := g[n]
		if !ok {
			return f, fmt.Errorf("qlora: adapter for %s lacks %s; all of %v are needed to fuse", full, n, names)
		}
		if f.In != 0 && f.In != p.In {
			return f, fmt.Errorf("qlora: adapter for %s: parts differ in input size", full)
		}
		f.In, f.Out, f.R = p.In, f.Out+p.Out, f.R+p.R
	}
	f.Scale, f.B = 1, make([]float32, f.Out*f.R)
	row, col := 0, 0
	for _, n := range names {
		p := g[n]
		f.A = append(f.A, p.A...)
		for i := range p.Out {
			for j := range p.R {
				f.B[(row+i)*f.R+col+j] = float32(p.Scale) * p.B[i*p.R+j]
			}
		}
		row, col = row+p.Out, col+p.R
	}
	return f, nil
}

// SplitShape says how many rows of the fused projections each split one takes.
type SplitShape struct{ Q, KV, F int }

// SplitShape returns the model's row counts, for WriteOptions.Split.
func (m *Model) SplitShape() SplitShape {
	h := m.net.Heads()
	return SplitShape{Q: h.H * h.D, KV: h.K * h.D, F: m.cfg.IntermediateSize}
}

// split returns the factors under split names: A is copied, B's rows are cut.
// It is exact.
func split(factors map[string]Factor, s SplitShape) map[string]Factor {
	rows := map[string][]int{QKVProj: {s.Q, s.KV, s.KV}, GateUpProj: {s.F, s.F}}
	out := map[string]Factor{}
	for name, f := range factors {
		dot := strings.LastIndexByte(name, '.')
		parts, ok := splitNames[name[dot+1:]]
		if !ok {
			out[name] = f
			continue
		}
		b := f.B
		for i, p := range parts {
			n := rows[name[dot+1:]][i]
			out[name[:dot+1]+p] = Factor{In: f.In, Out: n, R: f.R, Scale: f.Scale, A: f.A, B: b[:n*f.R]}
			b = b[n*f.R:]
		}
	}
	return out
}
