package classifier

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Head is a linear layer from features [C] to logits [K].
type Head struct {
	Classes int
	Width   int
	W       []float32 // [K, C]
	B       []float32 // [K]
}

// NewHead returns a head with W uniform in ±1/sqrt(C) and B zero.
func NewHead(width, classes int, seed uint64) *Head {
	h := &Head{Classes: classes, Width: width, W: make([]float32, classes*width), B: make([]float32, classes)}
	rng, bound := rand.New(rand.NewPCG(seed, 11)), 1/math.Sqrt(float64(width))
	for i := range h.W {
		h.W[i] = float32((2*rng.Float64() - 1) * bound)
	}
	return h
}

// Forward returns logits [B, K] of features [B, C].
func (h *Head) Forward(features []float32) ([]float64, error) {
	if len(features)%h.Width != 0 {
		return nil, fmt.Errorf("classifier: %d feature values, not a multiple of the head's width %d", len(features), h.Width)
	}
	n := len(features) / h.Width
	z := make([]float64, n*h.Classes)
	for i := range n {
		x := features[i*h.Width : (i+1)*h.Width]
		for k := range h.Classes {
			sum := float64(h.B[k])
			for c, v := range x {
				sum += float64(h.W[k*h.Width+c]) * float64(v)
			}
			z[i*h.Classes+k] = sum
		}
	}
	return z, nil
}

// Backward returns dL/dfeatures [B, C] and adds dL/dW and dL/dB to gw and gb.
func (h *Head) Backward(features []float32, dlogits []float64, gw, gb []float64) []float32 {
	n := len(features) / h.Width
	dx := make([]float32, len(features))
	for i := range n {
		x, o := features[i*h.Width:(i+1)*h.Width], dx[i*h.Width:(i+1)*h.Width]
		for k := range h.Classes {
			g := dlogits[i*h.Classes+k]
			gb[k] += g
			for c, v := range x {
				gw[k*h.Width+c] += g * float64(v)
				o[c] += float32(g * float64(h.W[k*h.Width+c]))
			}
		}
	}
	return dx
}

// dropout zeroes features at rate p, scales the rest, and returns the factors.
func dropout(features []float32, p float64, rng *rand.Rand) (out, factor []float32) {
	out, factor = make([]float32, len(features)), make([]float32, len(features))
	keep := float32(1 / (1 - p))
	for i, v := range features {
		if rng.Float64() >= p {
			factor[i] = keep
			out[i] = v * keep
		}
	}
	return out, factor
}
