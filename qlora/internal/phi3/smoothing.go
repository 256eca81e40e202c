package phi3

import "fmt"

// Smoothing moves powers of two from what a linear multiplies into the columns of
// its weight (SmoothQuant, arXiv 2211.10438, whose factors are any numbers). A
// token's channels share one int8 scale; evened out, they all keep their digits.
// The norms before qkv and gate_up, and the up half of gate_up before down, take
// the reciprocals. A power of two changes no digit of a float, so that every
// product is exactly what it was.
type Smoothing struct {
	Layers []LayerSmoothing // one a block
	// Hadamard also turns down_proj's input and weight (see the function).
	Hadamard bool
}

// LayerSmoothing holds an exponent e for each input channel: the input is divided
// by 2^e and the weight's column multiplied. o_proj has none: a rotation gate may
// stand before it. No exponents at all are zeros.
type LayerSmoothing struct{ QKV, GateUp, Down []int8 }

// MaxExponent bounds exponents to what no float32 of a model overflows by.
const MaxExponent = 30

// Pow2 returns 2^e for e within twice MaxExponent.
func Pow2(e int) float32 {
	if e < 0 {
		return 1 / Pow2(-e)
	}
	return float32(uint64(1) << e)
}

// factors are the exponents of a tensor's columns, a vector being one row, and of
// its rows from first on.
type factors struct {
	cols, rows []int8
	first      int
	turned     bool // by Hadamard matrices, afterwards
}

// factors returns those of every tensor that changes; mlp is F.
func (s *Smoothing) factors(mlp int) map[string]factors {
	out := map[string]factors{}
	if s == nil {
		return out
	}
	for i, l := range s.Layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		out[p+"input_layernorm.weight"] = factors{cols: negated(l.QKV)}
		out[p+"self_attn.qkv_proj.weight"] = factors{cols: l.QKV}
		out[p+"post_attention_layernorm.weight"] = factors{cols: negated(l.GateUp)}
		out[p+"mlp.gate_up_proj.weight"] = factors{cols: l.GateUp, rows: negated(l.Down), first: mlp}
		out[p+"mlp.down_proj.weight"] = factors{cols: l.Down, turned: s.Hadamard}
	}
	return out
}

func negated(e []int8) []int8 {
	out := make([]int8, len(e))
	for i, v := range e {
		out[i] = -v
	}
	return out
}

// apply multiplies whole rows of the tensor; dst[0] is element first.
func (f factors) apply(first int, dst []float32) {
	cols := len(f.cols)
	for at := 0; cols > 0 && at < len(dst); at += cols {
		row := 0
		if r := (first+at)/cols - f.first; r >= 0 && r < len(f.rows) {
			row = int(f.rows[r])
		}
		for c, e := range f.cols {
			if k := int(e) + row; k != 0 {
				dst[at+c] *= Pow2(k)
			}
		}
	}
	if f.turned {
		Hadamard(dst)
	}
}
