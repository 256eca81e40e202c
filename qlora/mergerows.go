package qlora

import (
	"math"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/so8t"
)

// rowMerger computes (W + s·BA)·Q of one tensor, a few rows after the other.
type rowMerger struct {
	info  safetensors.Info
	f     Factor
	a     []float64 // f.A, widened once
	gate  []float64 // nil for none
	round func(float64) float32
}

func newRowMerger(info safetensors.Info, f Factor, gate []float64) *rowMerger {
	// Rounding to odd makes the later rounding to 16 bits the only one that counts.
	m := &rowMerger{info: info, f: f, gate: gate, a: make([]float64, len(f.A)), round: safetensors.RoundToOdd}
	if info.DType == "F32" {
		m.round = func(v float64) float32 { return float32(v) }
	}
	for i, v := range f.A {
		m.a[i] = float64(v)
	}
	return m
}

// change computes whole rows in float64 and returns the largest change of a weight
// before rounding.
func (m *rowMerger) change(first int, rows []float32) (delta float64, _ error) {
	cols := m.info.Shape[1]
	acc := make([]float64, cols)
	for r := range len(rows) / cols {
		row := rows[r*cols : (r+1)*cols]
		for k, v := range row {
			acc[k] = float64(v)
		}
		m.update(acc, first+r)
		if m.gate != nil {
			so8t.BakeRow(acc, m.gate)
		}
		for k, v := range acc {
			delta = max(delta, math.Abs(v-float64(row[k])))
			row[k] = m.round(v)
		}
	}
	return delta, nil
}

// update adds row r of s·BA, rank by rank; four ranks share a pass over acc.
func (m *rowMerger) update(acc []float64, r int) {
	j, n := 0, len(acc)
	rank := func(j int) (float64, []float64) {
		return m.f.Scale * float64(m.f.B[r*m.f.R+j]), m.a[j*n : (j+1)*n]
	}
	for ; j+4 <= m.f.R; j += 4 {
		s0, a0 := rank(j)
		s1, a1 := rank(j + 1)
		s2, a2 := rank(j + 2)
		s3, a3 := rank(j + 3)
		for k, v := range acc {
			acc[k] = v + s0*a0[k] + s1*a1[k] + s2*a2[k] + s3*a3[k]
		}
	}
	for ; j < m.f.R; j++ {
		s, a := rank(j)
		for k, v := range a {
			acc[k] += s * v
		}
	}
}
