package cpu0

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// queryTile is how many queries share one pass over the keys.
const queryTile = 64

// shape carries one attention call: strides and columns inside a qkv row.
type shape struct {
	compute.Heads
	ld    int
	scale float32
}

func newShape(h compute.Heads) shape { return shape{h, h.QKV(), float32(1 / math.Sqrt(float64(h.D)))} }

func (s shape) qCol(h int) int { return h * s.D }
func (s shape) kCol(h int) int { return (s.H + h*s.K/s.H) * s.D }
func (s shape) vCol(h int) int { return (s.H + s.K + h*s.K/s.H) * s.D }

// rotate turns the pairs (i, i+D/2) of the first heads of each row; sign -1
// turns back.
func (s shape) rotate(x []float32, rope compute.Rope, row []int32, sign float32) {
	half := s.D / 2
	cosAll, sinAll := fl(rope.Cos), fl(rope.Sin)
	rows(len(row), 32, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			r := int(row[t]) * half
			cos, sin := cosAll[r:r+half], sinAll[r:r+half]
			for h := range s.H + s.K {
				a := x[t*s.ld+h*s.D:][:half]
				b := x[t*s.ld+h*s.D+half:][:half]
				for i, c := range cos {
					u, v, w := a[i], b[i], sign*sin[i]
					a[i], b[i] = u*c-v*w, v*c+u*w
				}
			}
		}
	})
}

// Attention implements compute.Device.
func (d *Device) Attention(out compute.Activation, lse, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	s, x, start := newShape(heads), fl(qkv), in(seq.Start)[:n]
	s.rotate(x, rope, in(seq.Row)[:n], 1)
	tiles := (n + queryTile - 1) / queryTile
	parallel(tiles*s.H, func(task int) {
		h, lo := task%s.H, task/s.H*queryTile
		hi := min(n, lo+queryTile)
		first := int(start[lo])
		p := d.probabilities(s, x, h, lo, hi, first, start)
		for i := range hi - lo {
			fl(lse)[(lo+i)*s.H+h] = p.lse[i]
		}
		v := byDepth{x[first*s.ld+s.vCol(h):], s.ld}
		d.k.block(fl(out.X)[lo*s.H*s.D+h*s.D:], s.H*s.D, byLine{p.w, p.keys}, v, 0, hi-lo, 0, s.D, p.keys, false)
	})
	quantiseRows(out, n)
}

// weights is the softmax of one query tile: w [queries, keys].
type weights struct {
	w, lse []float32
	keys   int
}

// probabilities computes softmax(QKᵀ·scale) of queries [lo, hi) over keys
// [first, hi), zero outside each query's document and beyond itself.
func (d *Device) probabilities(s shape, x []float32, h, lo, hi, first int, start []int32) weights {
	m, keys := hi-lo, hi-first
	p := weights{make([]float32, m*keys), make([]float32, m), keys}
	q := scaledLines{x[lo*s.ld+s.qCol(h):], s.ld, s.scale}
	k := byLine{x[first*s.ld+s.kCol(h):], s.ld}
	d.k.block(p.w, keys, q, k, 0, m, 0, keys, s.D, false)
	for i := range m {
		row := p.w[i*keys : (i+1)*keys]
		a, b := int(start[lo+i])-first, lo+i-first+1
		clear(row[:a])
		clear(row[b:])
		p.lse[i] = d.softmax(row[a:b])
	}
	return p
}

// softmax normalises in place and returns the log-sum-exp.
func (d *Device) softmax(x []float32) float32 {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	sum := d.k.expSum(x, x, top)
	inv := 1 / sum
	for i := range x {
		x[i] *= inv
	}
	return top + float32(math.Log(float64(sum)))
}

// AttentionCached implements compute.Device.
func (d *Device) AttentionCached(out compute.Activation, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, row compute.Buffer, kv compute.Cache, past, n int) {
	s, x := newShape(heads), fl(qkv)
	s.rotate(x, rope, in(row)[:n], 1)
	size := s.K * s.D
	for t := range n {
		copy(fl(kv.K)[(past+t)*size:(past+t+1)*size], x[t*s.ld+s.H*s.D:])
		copy(fl(kv.V)[(past+t)*size:(past+t+1)*size], x[t*s.ld+(s.H+s.K)*s.D:])
	}
	tiles := (n + queryTile - 1) / queryTile
	parallel(tiles*s.H, func(task int) {
		h, lo := task%s.H, task/s.H*queryTile
		hi := min(n, lo+queryTile)
		m, keys, col := hi-lo, past+hi, h*s.K/s.H*s.D
		p := make([]float32, m*keys)
		q := scaledLines{x[lo*s.ld+s.qCol(h):], s.ld, s.scale}
		d.k.block(p, keys, q, byLine{fl(kv.K)[col:], size}, 0, m, 0, keys, s.D, false)
		for i := range m {
			line := p[i*keys : (i+1)*keys]
			live := past + lo + i + 1
			d.softmax(line[:live])
			clear(line[live:])
		}
		d.k.block(fl(out.X)[lo*s.H*s.D+h*s.D:], s.H*s.D, byLine{p, keys}, byDepth{fl(kv.V)[col:], size}, 0, m, 0, s.D, keys, false)
	})
	quantiseRows(out, n)
}

// AttentionBackward implements compute.Device. One task owns one key/value head
// and walks its query heads and tiles in order, so sums have one order.
func (d *Device) AttentionBackward(dqkv, dout compute.Buffer, out compute.Activation, _, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	s, g, start := newShape(heads), fl(dqkv)[:n*heads.QKV()], in(seq.Start)[:n]
	clear(g)
	group := s.H / s.K
	parallel(s.K, func(kv int) {
		for h := kv * group; h < (kv+1)*group; h++ {
			for lo := 0; lo < n; lo += queryTile {
				d.tileBackward(s, g, fl(dout), fl(out.X), fl(qkv), h, lo, min(n, lo+queryTile), start)
			}
		}
	})
	s.rotate(g, rope, in(seq.Row)[:n], -1)
}

// tileBackward adds the gradients that queries [lo, hi) of head h cause:
// dV += PᵀdO, dS = P∘(dO Vᵀ - rowsum(dO∘O)), dQ += dS K·scale, dK += dSᵀ Q·scale.
func (d *Device) tileBackward(s shape, g, dout, out, x []float32, h, lo, hi int, start []int32) {
	first, m := int(start[lo]), hi-lo
	p := d.probabilities(s, x, h, lo, hi, first, start)
	keys, ldo := p.keys, s.H*s.D
	do := dout[lo*ldo+h*s.D:]
	d.k.block(g[first*s.ld+s.vCol(h):], s.ld, byDepth{p.w, keys}, byDepth{do, ldo}, 0, keys, 0, s.D, m, true)
	ds := make([]float32, m*keys)
	d.k.block(ds, keys, byLine{do, ldo}, byLine{x[first*s.ld+s.vCol(h):], s.ld}, 0, m, 0, keys, s.D, false)
	for i := range m {
		row := dout[(lo+i)*ldo+h*s.D:][:s.D]
		delta := d.k.dot(row, out[(lo+i)*ldo+h*s.D:][:s.D])
		for j, w := range p.w[i*keys : (i+1)*keys] {
			ds[i*keys+j] = w * (ds[i*keys+j] - delta) * s.scale
		}
	}
	d.k.block(g[lo*s.ld+s.qCol(h):], s.ld, byLine{ds, keys}, byDepth{x[first*s.ld+s.kCol(h):], s.ld}, 0, m, 0, s.D, keys, true)
	d.k.block(g[first*s.ld+s.kCol(h):], s.ld, byDepth{ds, keys}, byDepth{x[lo*s.ld+s.qCol(h):], s.ld}, 0, keys, 0, s.D, m, true)
}
