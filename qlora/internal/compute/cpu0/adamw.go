package cpu0

import (
	"math"
	"slices"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// blockSize is the number of elements that share one absmax.
const blockSize = 256

// dynamicMap returns the 256 codes of bitsandbytes' dynamic map, ascending: for
// decade e = 0..6 the midpoints of equal cells of [0.1, 1] times 10^(e-6), 2^e
// of them with both signs, or 2^(e+1) unsigned, plus 0 and 1.
func dynamicMap(signed bool) []float32 {
	codes := []float32{0, 1}
	for e := range 7 {
		cells := 1 << e
		if !signed {
			cells *= 2
		}
		scale := math.Pow(10, float64(e-6))
		for i := range cells {
			v := float32((0.1 + 0.9*(float64(i)+0.5)/float64(cells)) * scale)
			codes = append(codes, v)
			if signed {
				codes = append(codes, -v)
			}
		}
	}
	slices.Sort(codes)
	return codes
}

// codebook looks up the nearest code.
type codebook struct {
	code [256]float32
	mid  [255]float32 // midpoints between neighbours
}

func newCodebook(signed bool) *codebook {
	c := &codebook{}
	copy(c.code[:], dynamicMap(signed))
	for i := range c.mid {
		c.mid[i] = (c.code[i] + c.code[i+1]) / 2
	}
	return c
}

func (c *codebook) nearest(v float32) uint8 {
	lo, hi := 0, 255
	for lo < hi {
		m := (lo + hi) / 2
		if v > c.mid[m] {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return uint8(lo)
}

var momentCodes = [2]*codebook{newCodebook(true), newCodebook(false)}

// load widens a block of codes; store replaces it and returns the new absmax.
func (c *codebook) load(dst []float32, codes []uint8, absmax float32) {
	for i, q := range codes {
		dst[i] = c.code[q] * absmax
	}
}

func (c *codebook) store(codes []uint8, v []float32) float32 {
	top := float32(0)
	for _, x := range v {
		top = max(top, max(x, -x))
	}
	inv := float32(0)
	if top > 0 {
		inv = 1 / top
	}
	for i, x := range v {
		codes[i] = c.nearest(x * inv)
	}
	return top
}

// AdamW implements compute.Device.
func (d *Device) AdamW(p, g compute.Buffer, m compute.Moments, hyper compute.Buffer, a compute.Adam) {
	u := update{Adam: a, lr: fl(hyper)[compute.HyperLR] * a.LRScale, clip: fl(hyper)[compute.HyperClip],
		bias1: fl(hyper)[compute.HyperBias1], bias2: fl(hyper)[compute.HyperBias2]}
	n := p.Len()
	rows((n+blockSize-1)/blockSize, 16, func(lo, hi int) {
		var bm, bv [blockSize]float32
		for b := lo; b < hi; b++ {
			i, j := b*blockSize, min(n, (b+1)*blockSize)
			if m.AbsM == nil {
				u.apply(fl(p)[i:j], fl(g)[i:j], fl(m.M)[i:j], fl(m.V)[i:j])
				continue
			}
			cm, cv := m.M.(*buffer).u[i:j], m.V.(*buffer).u[i:j]
			vm, vv := bm[:j-i], bv[:j-i]
			momentCodes[0].load(vm, cm, fl(m.AbsM)[b])
			momentCodes[1].load(vv, cv, fl(m.AbsV)[b])
			u.apply(fl(p)[i:j], fl(g)[i:j], vm, vv)
			fl(m.AbsM)[b] = momentCodes[0].store(cm, vm)
			fl(m.AbsV)[b] = momentCodes[1].store(cv, vv)
		}
	})
}

type update struct {
	compute.Adam
	lr, clip, bias1, bias2 float32
}

// apply is AdamW on one block: decoupled decay, bias-corrected moments.
func (u update) apply(p, g, m, v []float32) {
	root := float32(math.Sqrt(float64(u.bias2)))
	step := u.lr / u.bias1
	for i := range p {
		x := g[i] * u.clip
		m[i] = u.Beta1*m[i] + (1-u.Beta1)*x
		v[i] = u.Beta2*v[i] + (1-u.Beta2)*x*x
		p[i] -= u.lr * u.WeightDecay * p[i]
		p[i] -= step * m[i] / (float32(math.Sqrt(float64(v[i])))/root + u.Eps)
	}
}

// SumSquares implements compute.Device.
func (d *Device) SumSquares(acc, x compute.Buffer) {
	s := 0.0
	for _, v := range fl(x) {
		s += float64(v) * float64(v)
	}
	fl(acc)[0] += float32(s)
}

// ClipScale implements compute.Device.
func (d *Device) ClipScale(hyper, acc compute.Buffer, limit float32) {
	f := float32(1)
	if norm := float32(math.Sqrt(float64(fl(acc)[0]))); limit > 0 && norm > limit {
		f = limit / norm
	}
	fl(hyper)[compute.HyperClip] = f
}
