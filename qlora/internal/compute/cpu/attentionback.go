package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// flashBack is the backward pass of flash, from the log-sum-exp of the forward
// pass (Dao, FlashAttention-2, arXiv 2307.08691, algorithm 2). With P the
// probabilities, s the scale, δ_t = Σ dout·out:
//
//	dV = Pᵀ dout   dP = dout Vᵀ   dS = s P (dP - δ)   dQ = dS K   dK = dSᵀ Q
//
// Two passes, over query tiles for dQ and over key tiles for dK and dV, let each
// task own what it writes: no sum depends on the schedule.
type flashBack struct {
	flash
	dout  []float32 // [n, H, D]
	delta []float32 // [n, H]
	dqkv  []float32 // rows of QKV
}

// AttentionBackward implements compute.Device.
func (d *Device) AttentionBackward(dqkv, dout compute.Buffer, out compute.Activation, lse, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	c := d.call("AttentionBackward")
	c.heads(heads)
	wide := heads.H * heads.D
	gout, y, l := c.f32("dout", dout, n*wide), c.f32("out.X", out.X, n*wide), c.f32("lse", lse, n*heads.H)
	x, g := c.f32("qkv", qkv, n*heads.QKV()), c.f32("dqkv", dqkv, n*heads.QKV())
	start, rot := c.starts(seq, n), c.angles(rope, seq.Row, heads, n)
	if !c.ok() || n == 0 {
		return
	}
	ld := heads.QKV()
	b := &flashBack{
		flash: flash{
			heads: heads, q: x, ldq: ld, k: x[wide:], v: x[(heads.H+heads.K)*heads.D:], ldkv: ld,
			n: n, start: start, out: y, lse: l,
		},
		dout: gout, delta: d.scratch.floats(slotD, n*heads.H), dqkv: g,
	}
	d.pool.rows(n, 2*wide, func(_ *worker, lo, hi int) {
		for i := lo * heads.H; i < hi*heads.H; i++ {
			b.delta[i] = d.kern.dot(gout[i*heads.D:(i+1)*heads.D], y[i*heads.D:(i+1)*heads.D])
		}
	})
	d.attendBack(b)
	d.turnAll(rot, g, heads, n, -1)
}

// attendBack works on a few key heads at a time, so that what is packed stays
// small.
func (d *Device) attendBack(b *flashBack) {
	h, qt := b.heads, d.queryTile()
	tiles, group := (b.n+qt-1)/qt, b.heads.H/b.heads.K
	batch := min(h.K, max(1, headTasks/(tiles*group)))
	for k0 := 0; k0 < h.K; k0 += batch {
		kvs := min(batch, h.K-k0)
		p := d.packBack(b, k0, kvs)
		d.pool.run(kvs*group*tiles, func(w *worker, i int) {
			j := i % (kvs * group)
			d.queryGrad(w, b, k0*group+j, (tiles-1-i/(kvs*group))*qt, p, j/group)
		})
		d.pool.run(kvs*tiles, func(w *worker, i int) {
			d.keyGrad(w, b, k0+i%kvs, i/kvs*qt, p, i%kvs)
		})
	}
}

// backPanels holds right operands: lanes over tokens (L) or over D (D), of keys
// and values for each key head, of queries and dout for each query head.
type backPanels struct{ kL, vL, kD, qL, oL, qD, oD [][]float32 }

func (d *Device) packBack(b *flashBack, first, kvs int) *backPanels {
	h, n, nr := b.heads, b.n, d.kern.nr
	group := h.H / h.K
	sizeL, sizeD := roundUp(n, nr)*h.D, roundUp(h.D, nr)*n
	per := 2*sizeL + sizeD + group*2*(sizeL+sizeD)
	mem := d.scratch.floats(slotG, kvs*per)
	p := &backPanels{}
	type job struct {
		dst   []float32
		o     operand
		overD bool
	}
	var jobs []job
	add := func(list *[][]float32, src []float32, ld int, overD bool) {
		size, o := sizeL, byLane(src, ld)
		if overD {
			size, o = sizeD, byDepth(src, ld)
		}
		*list = append(*list, mem[:size])
		jobs = append(jobs, job{mem[:size], o, overD})
		mem = mem[size:]
	}
	for kv := first; kv < first+kvs; kv++ {
		add(&p.kL, b.k[kv*h.D:], b.ldkv, false)
		add(&p.vL, b.v[kv*h.D:], b.ldkv, false)
		add(&p.kD, b.k[kv*h.D:], b.ldkv, true)
		for head := kv * group; head < (kv+1)*group; head++ {
			add(&p.qL, b.q[head*h.D:], b.ldq, false)
			add(&p.oL, b.dout[head*h.D:], h.H*h.D, false)
			add(&p.qD, b.q[head*h.D:], b.ldq, true)
			add(&p.oD, b.dout[head*h.D:], h.H*h.D, true)
		}
	}
	d.pool.run(len(jobs), func(_ *worker, i int) {
		if j := jobs[i]; j.overD {
			d.kern.packAll(j.dst, j.o, nr, h.D, n)
		} else {
			d.kern.packAll(j.dst, j.o, nr, n, h.D)
		}
	})
	return p
}

// queryGrad writes dQ of the queries from t0 on of one head.
func (d *Device) queryGrad(w *worker, b *flashBack, head, t0 int, p *backPanels, kv int) {
	h, rows := b.heads.D, min(d.queryTile(), b.n-t0)
	q := d.tileRows(w, slotA, b.q[t0*b.ldq+head*h:], b.ldq, rows, h)
	dout := d.tileRows(w, slotP, b.dout[(t0*b.heads.H+head)*h:], b.heads.H*h, rows, h)
	s, dp := w.scratch.floats(slotS, rows*keyBlock), w.scratch.floats(slotX, rows*keyBlock)
	dq := w.scratch.floats(slotO, rows*h)
	clear(dq)
	scale := float32(1 / math.Sqrt(float64(h)))
	end := t0 + rows
	for j := b.first(t0) / d.kern.nr * d.kern.nr; j < end; j += keyBlock {
		keys := min(keyBlock, end-j)
		g := tileGrid{c: s, ldc: keyBlock, rows: rows, cols: keys, k: h, alpha: scale}
		d.panels(w, q, p.kL[kv][j*h:], g)
		g.c, g.alpha = dp, 1
		d.panels(w, dout, p.vL[kv][j*h:], g)
		for i := range rows {
			t := t0 + i
			lo, hi := max(b.first(t)-j, 0), min(t+1-j, keys)
			d.scoreGrad(s[i*keyBlock:][:keys], dp[i*keyBlock:][:keys], lo, hi, b.lse[t*b.heads.H+head], b.delta[t*b.heads.H+head], scale)
		}
		d.weigh(w, dq, h, rowPanel(dp, keyBlock), p.kD[kv], b.n, j, rows, keys)
	}
	for i := range rows {
		copy(b.dqkv[(t0+i)*b.ldq+head*h:][:h], dq[i*h:])
	}
}

// scoreGrad turns scores into probabilities and dp into the gradient of the
// scores, inside [lo, hi); outside both become 0.
func (d *Device) scoreGrad(s, dp []float32, lo, hi int, lse, delta, scale float32) {
	if lo >= hi {
		clear(s)
		clear(dp)
		return
	}
	clear(s[:lo])
	clear(s[hi:])
	clear(dp[:lo])
	clear(dp[hi:])
	d.kern.expSum(s[lo:hi], s[lo:hi], lse)
	for i := lo; i < hi; i++ {
		dp[i] = scale * s[i] * (dp[i] - delta)
	}
}

// keyGrad writes dK and dV of the keys from j0 on of one key head. Scores are
// computed transposed, keys × queries; heads of the group and query blocks
// follow in order.
func (d *Device) keyGrad(w *worker, b *flashBack, kv, j0 int, p *backPanels, slot int) {
	h, rows := b.heads.D, min(d.queryTile(), b.n-j0)
	group := b.heads.H / b.heads.K
	k := d.tileRows(w, slotA, b.k[j0*b.ldkv+kv*h:], b.ldkv, rows, h)
	v := d.tileRows(w, slotP, b.v[j0*b.ldkv+kv*h:], b.ldkv, rows, h)
	s, dp := w.scratch.floats(slotS, rows*keyBlock), w.scratch.floats(slotX, rows*keyBlock)
	sum := w.scratch.floats(slotO, 2*rows*h)
	clear(sum)
	dk, dv := sum[:rows*h], sum[rows*h:]
	scale, end := float32(1/math.Sqrt(float64(h))), b.last(j0+rows-1)
	for i := range group {
		head, at := kv*group+i, slot*group+i
		for t0 := j0 / d.kern.nr * d.kern.nr; t0 < end; t0 += keyBlock {
			n := min(keyBlock, end-t0)
			g := tileGrid{c: s, ldc: keyBlock, rows: rows, cols: n, k: h, alpha: scale}
			d.panels(w, k, p.qL[at][t0*h:], g)
			g.c, g.alpha = dp, 1
			d.panels(w, v, p.oL[at][t0*h:], g)
			for r := range rows {
				d.keyScores(b, s[r*keyBlock:][:n], dp[r*keyBlock:][:n], head, j0+r, t0, scale)
			}
			d.weigh(w, dv, h, rowPanel(s, keyBlock), p.oD[at], b.n, t0, rows, n)
			d.weigh(w, dk, h, rowPanel(dp, keyBlock), p.qD[at], b.n, t0, rows, n)
		}
	}
	for r := range rows {
		row := b.dqkv[(j0+r)*b.ldkv:]
		copy(row[(b.heads.H+kv)*h:][:h], dk[r*h:])
		copy(row[(b.heads.H+b.heads.K+kv)*h:][:h], dv[r*h:])
	}
}

// last returns the end of the document that token t is in.
func (b *flashBack) last(t int) int {
	for ; t+1 < b.n && b.start[t+1] == b.start[t]; t++ {
	}
	return t + 1
}

// keyScores is scoreGrad for key j against queries t0 on: those from j to the
// end of its document see it.
func (d *Device) keyScores(b *flashBack, s, dp []float32, head, j, t0 int, scale float32) {
	lo, hi := min(max(j-t0, 0), len(s)), len(s)
	for hi > lo && int(b.start[t0+hi-1]) > j {
		hi--
	}
	clear(s[:lo])
	clear(s[hi:])
	clear(dp[:lo])
	clear(dp[hi:])
	h := b.heads.H
	for i := lo; i < hi; i++ {
		s[i] -= b.lse[(t0+i)*h+head]
	}
	d.kern.expSum(s[lo:hi], s[lo:hi], 0)
	for i := lo; i < hi; i++ {
		dp[i] = scale * s[i] * (dp[i] - b.delta[(t0+i)*h+head])
	}
}
