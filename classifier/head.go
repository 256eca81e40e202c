package classifier

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Head maps features [C] to logits [K]: linear, or with one hidden layer of GELU,
// x·Φ(x) (arXiv:1606.08415). Weights are float32, sums float64.
type Head struct {
	Classes int // K
	Width   int // C
	Hidden  int // H, 0 for a linear head
	// HiddenW [H, C] and HiddenB [H] are the hidden layer; empty for a linear head.
	HiddenW, HiddenB []float32
	// W [K, H], or [K, C] for a linear head, and B [K] make the logits.
	W, B []float32
}

// NewHead returns a head with weights uniform in ±1/√(inputs) and biases zero.
func NewHead(width, hidden, classes int, seed uint64) *Head {
	h := &Head{Classes: classes, Width: width, Hidden: hidden}
	rng := rand.New(rand.NewPCG(seed, 11))
	h.HiddenW, h.HiddenB = uniform(rng, hidden, width), make([]float32, hidden)
	h.W, h.B = uniform(rng, classes, h.inputs()), make([]float32, classes)
	return h
}

func uniform(rng *rand.Rand, outputs, inputs int) []float32 {
	w, bound := make([]float32, outputs*inputs), 1/math.Sqrt(float64(inputs))
	for i := range w {
		w[i] = float32((2*rng.Float64() - 1) * bound)
	}
	return w
}

// inputs is the width of the last layer's input.
func (h *Head) inputs() int {
	if h.Hidden > 0 {
		return h.Hidden
	}
	return h.Width
}

// param is one array of weights.
type param struct {
	name  string
	shape []int
	data  []float32
}

func (h *Head) params() []param {
	out := []param{{"head.weight", []int{h.Classes, h.inputs()}, h.W}, {"head.bias", []int{h.Classes}, h.B}}
	if h.Hidden > 0 {
		out = append(out, param{"hidden.weight", []int{h.Hidden, h.Width}, h.HiddenW}, param{"hidden.bias", []int{h.Hidden}, h.HiddenB})
	}
	return out
}

func (h *Head) clone() *Head {
	c := *h
	c.W, c.B = slices.Clone(h.W), slices.Clone(h.B)
	c.HiddenW, c.HiddenB = slices.Clone(h.HiddenW), slices.Clone(h.HiddenB)
	return &c
}

// Forward returns logits [B, K] of features [B, C].
func (h *Head) Forward(features []float32) ([]float64, error) {
	if len(features)%h.Width != 0 {
		return nil, fmt.Errorf("%w: %d feature values for a head of width %d", ErrShape, len(features), h.Width)
	}
	return h.train(features, 0, nil).logits, nil
}

// headPass is a forward pass with what its derivative needs.
type headPass struct {
	h           *Head
	x           []float64 // features after dropout [B, C]
	pre         []float64 // hidden layer before GELU [B, H]
	act         []float64 // and after GELU and dropout
	keepX, keep []float64 // dropout factors of x and act; nil for none
	logits      []float64
}

// train runs the head with dropout on its features and its hidden layer.
func (h *Head) train(features []float32, dropout float64, rng *rand.Rand) *headPass {
	p := &headPass{h: h, x: make([]float64, len(features))}
	for i, v := range features {
		p.x[i] = float64(v)
	}
	p.keepX = drop(p.x, dropout, rng)
	last := p.x
	if h.Hidden > 0 {
		p.pre = linear(p.x, h.HiddenW, h.HiddenB, h.Width)
		p.act = make([]float64, len(p.pre))
		for i, v := range p.pre {
			p.act[i] = v * phi(v)
		}
		p.keep = drop(p.act, dropout, rng)
		last = p.act
	}
	p.logits = linear(last, h.W, h.B, h.inputs())
	return p
}

// phi is the normal distribution function Φ.
func phi(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// drop zeroes values at a rate, scales the rest, and returns the factors.
func drop(x []float64, rate float64, rng *rand.Rand) (keep []float64) {
	if rate == 0 {
		return nil
	}
	keep = make([]float64, len(x))
	for i := range x {
		if rng.Float64() >= rate {
			keep[i] = 1 / (1 - rate)
		}
		x[i] *= keep[i]
	}
	return keep
}

// linear returns x·wᵀ + b for x [B, in] and w [out, in].
func linear(x []float64, w, b []float32, in int) []float64 {
	n, out := len(x)/in, len(b)
	y := make([]float64, n*out)
	for i := range n {
		row := x[i*in : (i+1)*in]
		for k := range out {
			sum := float64(b[k])
			for c, v := range w[k*in : (k+1)*in] {
				sum += float64(v) * row[c]
			}
			y[i*out+k] = sum
		}
	}
	return y
}

// backward adds the gradients of the weights, in the order of params, and returns that
// of the features.
func (p *headPass) backward(dlogits []float64, grads [][]float64) []float32 {
	h, last := p.h, p.x
	if h.Hidden > 0 {
		last = p.act
	}
	d := linearBackward(last, h.W, dlogits, h.Classes, grads[0], grads[1])
	if h.Hidden > 0 {
		scale(d, p.keep)
		for i, v := range p.pre {
			d[i] *= phi(v) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi)
		}
		d = linearBackward(p.x, h.HiddenW, d, h.Hidden, grads[2], grads[3])
	}
	scale(d, p.keepX)
	dx := make([]float32, len(d))
	for i, v := range d {
		dx[i] = float32(v)
	}
	return dx
}

func scale(d, keep []float64) {
	for i, k := range keep {
		d[i] *= k
	}
}

// linearBackward adds dL/dw and dL/db and returns dL/dx.
func linearBackward(x []float64, w []float32, dy []float64, out int, gw, gb []float64) []float64 {
	in := len(w) / out
	dx := make([]float64, len(x))
	for i := range len(dy) / out {
		row, d := x[i*in:(i+1)*in], dx[i*in:(i+1)*in]
		for k := range out {
			g := dy[i*out+k]
			if g == 0 {
				continue
			}
			gb[k] += g
			wk, gk := w[k*in:(k+1)*in], gw[k*in:(k+1)*in]
			for c, v := range wk {
				gk[c] += g * row[c]
				d[c] += g * float64(v)
			}
		}
	}
	return dx
}
