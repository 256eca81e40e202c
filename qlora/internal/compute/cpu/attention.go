package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Attention walks tiles of queries over blocks of keys with a running maximum
// and sum, so that no row of scores is ever whole (Dao et al., FlashAttention,
// arXiv 2205.14135; the online softmax is Milakov and Gimelshein's, arXiv
// 1805.02867). Keys and values are packed once a head, and both products run on
// the micro-kernel of multiply.
const (
	keyBlock  = 256 // keys per step, a multiple of every nr
	headTasks = 64  // tiles that heads worked on together should give
)

// flash is one attention over keys that may reach back before the queries.
type flash struct {
	heads    compute.Heads
	q        []float32 // rows of q, ldq apart, rotated
	ldq      int
	k, v     []float32              // rows of all key heads, ldkv apart
	keep     struct{ k, v *stored } // a cache that is not float32; then k and v are nil
	ldkv     int
	past, n  int     // query i is key past+i
	start    []int32 // first key of each query, nil for 0
	out, lse []float32
}

func (f *flash) keys() int { return f.past + f.n }

func (f *flash) first(i int) int {
	if f.start == nil {
		return 0
	}
	return int(f.start[i])
}

func (c call) heads(h compute.Heads) {
	if c.ok() && (h.H < 1 || h.K < 1 || h.H%h.K != 0 || h.D < 2 || h.D%2 != 0) {
		c.failf("heads %+v", h)
	}
}

// angles is the checked content of a compute.Rope for given rows.
type angles struct {
	cos, sin []float32
	row      []int32
	half     int
}

func (c call) angles(r compute.Rope, row compute.Buffer, h compute.Heads, n int) angles {
	size, ok := c.rowsOf("rope.Cos", r.Cos, max(h.D/2, 1))
	if !ok {
		return angles{}
	}
	return angles{
		cos: c.f32("rope.Cos", r.Cos, size*h.D/2), sin: c.f32("rope.Sin", r.Sin, size*h.D/2),
		row: c.indices("rope row", row, n, size), half: h.D / 2,
	}
}

// turn rotates heads of row t by the angle of its table row, or back when sign
// is -1: pairs are (i, i+D/2).
func (a angles) turn(x []float32, heads, t int, sign float32) {
	at := int(a.row[t]) * a.half
	cos, sin := a.cos[at:at+a.half], a.sin[at:at+a.half]
	for h := range heads {
		lo, hi := x[2*h*a.half:][:a.half], x[(2*h+1)*a.half:][:a.half]
		for i, u := range lo {
			v, s := hi[i], sign*sin[i]
			lo[i], hi[i] = u*cos[i]-v*s, v*cos[i]+u*s
		}
	}
}

func (d *Device) turnAll(a angles, qkv []float32, h compute.Heads, n int, sign float32) {
	d.pool.rows(n, (h.H+h.K)*h.D, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			a.turn(qkv[t*h.QKV():], h.H+h.K, t, sign)
		}
	})
}

// Attention implements compute.Device.
func (d *Device) Attention(out compute.Activation, lse, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	c := d.call("Attention")
	c.heads(heads)
	y, l := c.activation("out", out, n, heads.H*heads.D), c.f32("lse", lse, n*heads.H)
	x, start, rot := c.f32("qkv", qkv, n*heads.QKV()), c.starts(seq, n), c.angles(rope, seq.Row, heads, n)
	if !c.ok() || n == 0 {
		return
	}
	d.turnAll(rot, x, heads, n, 1)
	ld := heads.QKV()
	f := &flash{
		heads: heads, q: x, ldq: ld, k: x[heads.H*heads.D:], v: x[(heads.H+heads.K)*heads.D:], ldkv: ld,
		n: n, start: start, out: y.x, lse: l,
	}
	d.attend(f)
	d.pool.rows(n, heads.H*heads.D, func(_ *worker, lo, hi int) { d.quantise(y, heads.H*heads.D, lo, hi) })
}

// AttentionCached implements compute.Device.
func (d *Device) AttentionCached(out compute.Activation, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, row compute.Buffer, kv compute.Cache, past, n int) {
	c := d.call("AttentionCached")
	c.heads(heads)
	size := heads.K * heads.D
	if c.ok() && (past < 0 || n < 0 || past+n > kv.Cap) {
		c.failf("%d tokens after %d exceed the cache of %d", n, past, kv.Cap)
	}
	y, x, rot := c.activation("out", out, n, heads.H*heads.D), c.f32("qkv", qkv, n*heads.QKV()), c.angles(rope, row, heads, n)
	ld := heads.QKV()
	f := &flash{heads: heads, q: x, ldq: ld, ldkv: size, past: past, n: n, out: y.x}
	f.keep.k = c.stored("cache K", kv.K, kv.KScale, kv.Cap, heads)
	f.keep.v = c.stored("cache V", kv.V, kv.VScale, kv.Cap, heads)
	if f.keep.k == nil || f.keep.v == nil {
		f.k, f.v = c.f32("cache K", kv.K, kv.Cap*size), c.f32("cache V", kv.V, kv.Cap*size)
	}
	if !c.ok() || n == 0 {
		return
	}
	d.turnAll(rot, x, heads, n, 1)
	d.append(f)
	if n <= fewTokens {
		d.attendFew(f)
	} else {
		d.attend(d.widened(f))
	}
	d.pool.rows(n, heads.H*heads.D, func(_ *worker, lo, hi int) { d.quantise(y, heads.H*heads.D, lo, hi) })
}

// fewTokens is up to how many tokens packing costs more than it saves.
const fewTokens = 4

// attendFew reads the cache once for each query: decoding.
func (d *Device) attendFew(f *flash) {
	h := f.heads
	scale := float32(1 / math.Sqrt(float64(h.D)))
	d.pool.rows(f.n*h.H, 2*f.keys()*h.D, func(w *worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			t, head := i/h.H, i%h.H
			kv, keys := head*h.K/h.H, f.past+t+1
			q, s := f.q[t*f.ldq+head*h.D:][:h.D], w.scratch.floats(slotS, keys)
			d.keyDots(w, f, s, q, kv)
			d.kern.scale(s, scale)
			inv := float32(1 / expSumWide(d.kern, s, s, d.kern.max(s)))
			o := f.out[(t*h.H+head)*h.D:][:h.D]
			clear(o)
			d.mixValues(w, f, o, s, kv)
			d.kern.scale(o, inv)
		}
	})
}

// attend computes out and, unless nil, lse.
func (d *Device) attend(f *flash) {
	qt := d.queryTile()
	tiles := (f.n + qt - 1) / qt
	group := f.heads.H / f.heads.K
	batch := min(f.heads.K, max(1, headTasks/(tiles*group)))
	for k0 := 0; k0 < f.heads.K; k0 += batch {
		kvs := min(batch, f.heads.K-k0)
		kp, vp := d.packKeys(f, k0, kvs)
		d.pool.run(kvs*group*tiles, func(w *worker, i int) {
			// Late tiles see the most keys: they go first, for balance.
			kv, tile := i%(kvs*group)/group, tiles-1-i/(kvs*group)
			d.attendTile(w, f, (k0*group + i%(kvs*group)), tile*qt, kp[kv], vp[kv])
		})
	}
}

// queryTile is the number of queries of a tile, a multiple of mr.
func (d *Device) queryTile() int { return max(1, 56/d.kern.mr) * d.kern.mr }

// packKeys packs keys as lanes (their depth is D) and values with D as lanes, for
// some heads.
func (d *Device) packKeys(f *flash, first, heads int) (k, v [][]float32) {
	n, h, nr := f.keys(), f.heads.D, d.kern.nr
	sizeK, sizeV := roundUp(n, nr)*h, roundUp(h, nr)*n
	bk, bv := d.scratch.floats(slotK, heads*sizeK), d.scratch.floats(slotV, heads*sizeV)
	for i := range heads {
		k, v = append(k, bk[i*sizeK:(i+1)*sizeK]), append(v, bv[i*sizeV:(i+1)*sizeV])
	}
	d.pool.run(2*heads, func(_ *worker, task int) {
		i, off := task/2, (first+task/2)*h
		if task%2 == 0 {
			d.kern.packAll(k[i], byLane(f.k[off:], f.ldkv), nr, n, h)
		} else {
			d.kern.packAll(v[i], byDepth(f.v[off:], f.ldkv), nr, h, n)
		}
	})
	return k, v
}

// packAll packs every lane: dst is [panel][depth][width].
func (k *kernels) packAll(dst []float32, o operand, width, lanes, depth int) {
	for l := 0; l < lanes; l += width {
		k.pack(o, dst[l*depth:], width, l, min(width, lanes-l), 0, depth)
	}
}

// attendTile computes the queries from t0 on of one head.
func (d *Device) attendTile(w *worker, f *flash, head, t0 int, kp, vp []float32) {
	h, rows := f.heads.D, min(d.queryTile(), f.n-t0)
	q := d.tileRows(w, slotA, f.q[t0*f.ldq+head*h:], f.ldq, rows, h)
	s := w.scratch.floats(slotS, rows*keyBlock)
	o, stat := w.scratch.floats(slotO, rows*h), w.scratch.floats(slotD, 2*rows)
	clear(o)
	top, sum := stat[:rows], stat[rows:]
	for i := range rows {
		top[i], sum[i] = float32(math.Inf(-1)), 0
	}
	end := f.past + t0 + rows
	scale := float32(1 / math.Sqrt(float64(h)))
	for j := f.first(t0) / d.kern.nr * d.kern.nr; j < end; j += keyBlock {
		keys := min(keyBlock, end-j)
		d.panels(w, q, kp[j*h:], tileGrid{c: s, ldc: keyBlock, rows: rows, cols: keys, k: h, alpha: scale})
		for i := range rows {
			lo, hi := max(f.first(t0+i)-j, 0), min(f.past+t0+i+1-j, keys)
			d.fold(s[i*keyBlock:][:keys], o[i*h:][:h], lo, hi, &top[i], &sum[i])
		}
		d.weigh(w, o, h, rowPanel(s, keyBlock), vp, f.keys(), j, rows, keys)
	}
	f.finish(o, top, sum, head, t0)
}

// fold turns the scores in [lo, hi) into exponentials against the running
// maximum, the others into 0, and rescales what was summed before.
func (d *Device) fold(s, o []float32, lo, hi int, top, sum *float32) {
	if lo >= hi {
		clear(s)
		return
	}
	clear(s[:lo])
	clear(s[hi:])
	if m := d.kern.max(s[lo:hi]); m > *top || m != m {
		f := expGo(*top - m)
		*top = m
		*sum *= f
		d.kern.scale(o, f)
	}
	*sum += d.kern.expSum(s[lo:hi], s[lo:hi], *top)
}

// tileRows returns rows of a query tile as a left operand: where they lie, or
// packed into slot if they would fall on one set of the cache.
func (d *Device) tileRows(w *worker, slot int, f []float32, ld, rows, depth int) panel {
	if ld%sameSet != 0 {
		return rowPanel(f, ld)
	}
	packed := w.scratch.floats(slot, d.queryTile()*depth)
	d.kern.packAll(packed, byLane(f, ld), d.kern.mr, rows, depth)
	return packedPanel(packed, d.kern.mr, depth)
}

// weigh adds scores [rows, keys] times values [keys, D] to o; vp is
// [panel of D][all keys][nr].
func (d *Device) weigh(w *worker, o []float32, h int, p panel, vp []float32, all, j, rows, keys int) {
	nr := d.kern.nr
	for c := 0; c < h; c += nr {
		d.panels(w, p, vp[c*all+j*nr:], tileGrid{
			c: o[c:], ldc: h, rows: rows, cols: min(nr, h-c), k: keys, alpha: 1, add: true,
		})
	}
}

func (f *flash) finish(o, top, sum []float32, head, t0 int) {
	h := f.heads
	for i := range sum {
		inv := 1 / sum[i]
		dst := f.out[((t0+i)*h.H+head)*h.D:][:h.D]
		for k, v := range o[i*h.D : (i+1)*h.D] {
			dst[k] = v * inv
		}
		if f.lse != nil {
			f.lse[(t0+i)*h.H+head] = top[i] + float32(math.Log(float64(sum[i])))
		}
	}
}
