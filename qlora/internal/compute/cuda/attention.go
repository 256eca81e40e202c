//go:build cuda && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// fewQueries is up to how many queries read the cache one by one.
const fewQueries = 8

// mostHead is the largest head size that attention.cu takes.
const mostHead = 160

func (c call) heads(h compute.Heads) {
	if c.ok() && (h.H < 1 || h.K < 1 || h.H%h.K != 0 || h.D < 2 || h.D%2 != 0) {
		c.failf("heads %+v", h)
	}
	if c.ok() && h.D > mostHead {
		c.d.fail(fmt.Errorf("cuda: %s: heads of %d columns, at most %d: %w", c.op, h.D, mostHead, compute.ErrUnsupported))
	}
}

// angles is the checked content of a compute.Rope for given rows.
type angles struct {
	cos, sin, row uint64
	table         int
}

func (c call) angles(r compute.Rope, row compute.Buffer, h compute.Heads, n int) angles {
	table := c.rowsOf("rope.Cos", r.Cos, max(h.D/2, 1))
	return angles{
		cos: c.f32("rope.Cos", r.Cos, table*h.D/2), sin: c.f32("rope.Sin", r.Sin, table*h.D/2),
		row: c.i32("rope row", row, n), table: table,
	}
}

// turn rotates the query and key heads of qkv, or back when sign is -1; start may
// be 0.
func (d *Device) turn(x uint64, g angles, start uint64, h compute.Heads, n int, sign float32) {
	a := &driver.Args{}
	a.Ptr(x).Ptr(g.cos).Ptr(g.sin).Ptr(g.row).Ptr(start).Int(g.table, h.H+h.K, h.D/2, h.QKV()).Float(sign).Ptr(d.fault).Int(vec(h.D/2, x, g.cos, g.sin))
	d.rows(typed("rope", d.real), n, a)
}

// flash reports whether flash_*.cu has kernels for the heads.
func (d *Device) flash(h compute.Heads, ptrs ...uint64) bool {
	return d.real == compute.BF16 && (h.D == 64 || h.D == 96 || h.D == 128) && aligned(ptrs...)
}

// flashShared is their dynamic shared memory by head size: forward, dq, dkv.
var flashShared = map[int][3]int{64: {36864, 55296, 75776}, 96: {53248, 79872, 80896}, 128: {69632, 69632, 70656}}

func scaleOf(h compute.Heads) float32 { return float32(1 / math.Sqrt(float64(h.D))) }

// attentionBytes is the shared memory of attention.cu with tiles tiles of rows
// and scores tiles of scores.
func attentionBytes(d, tiles, scores int) int { return 4 * (tiles*32*(d+1) + scores*32*33) }

// Attention implements compute.Device.
func (d *Device) Attention(out compute.Activation, lse, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	c := d.call("Attention")
	c.heads(heads)
	wide := heads.H * heads.D
	y, l, x := c.activation("out", out, n, wide), c.f32("lse", lse, n*heads.H), c.real("qkv", qkv, n*heads.QKV())
	start, rot := c.i32("seq.Start", seq.Start, n), c.angles(rope, seq.Row, heads, n)
	if !c.ok() || n == 0 {
		return
	}
	d.turn(x, rot, start, heads, n, 1)
	switch {
	case d.hopper && d.flash(heads, x, y.x):
		d.hopperForward(y.x, l, x, start, heads, n)
	case d.flash(heads, x, y.x):
		a := (&driver.Args{}).Ptr(x).Ptr(y.x).Ptr(l).Ptr(start).Int(n, heads.H, heads.K).Float(scaleOf(heads))
		d.launch(fmt.Sprintf("flash_forward_%d", heads.D), driver.Grid{X: heads.H, Y: ceil(n, 128), Z: 1}, 256, flashShared[heads.D][0], a)
	default:
		d.attend(y.x, l, x, heads.QKV(), d.at(x, wide), d.at(x, (heads.H+heads.K)*heads.D), heads.QKV(), start, 0, n, heads)
	}
	d.codes(y, n, wide)
}

// at is the address of element i of activations at p.
func (d *Device) at(p uint64, i int) uint64 { return p + uint64(i*d.real.Size()) }

func (d *Device) attend(out, lse, q uint64, ldq int, k, v uint64, ldkv int, start uint64, past, n int, h compute.Heads) {
	a := &driver.Args{}
	a.Ptr(out).Ptr(lse).Ptr(q).Ptr(uint64(ldq)).Ptr(k).Ptr(v).Ptr(uint64(ldkv)).Ptr(start).Int(past, n, h.H, h.H/h.K, h.D)
	d.launch(typed("attention", d.real), driver.Grid{X: h.H, Y: ceil(n, 32), Z: 1}, 256, attentionBytes(h.D, 3, 1), a)
}

// codes writes the int8 codes of an activation that has any.
func (d *Device) codes(y activation, n, cols int) {
	if y.q != 0 {
		d.rows(typed("quantise", d.real), n, (&driver.Args{}).Ptr(y.q).Ptr(y.s).Ptr(y.x).Int(cols, vec(cols, y.q, y.x)))
	}
}

// AttentionCached implements compute.Device.
func (d *Device) AttentionCached(out compute.Activation, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, row compute.Buffer, kv compute.Cache, past, n int) {
	c := d.call("AttentionCached")
	c.heads(heads)
	size, wide, ld := heads.K*heads.D, heads.H*heads.D, heads.QKV()
	if c.ok() && (past < 0 || n < 0 || past+n > kv.Cap) {
		c.failf("%d tokens after %d exceed the cache of %d", n, past, kv.Cap)
	}
	if c.ok() && kv.K != nil && kv.K.Type() != d.real {
		c.failf("a cache of %s: %w", kv.K.Type(), compute.ErrUnsupported)
	}
	y, x, rot := c.activation("out", out, n, wide), c.real("qkv", qkv, n*ld), c.angles(rope, row, heads, n)
	k, v := c.real("cache K", kv.K, kv.Cap*size), c.real("cache V", kv.V, kv.Cap*size)
	if !c.ok() || n == 0 {
		return
	}
	d.turn(x, rot, 0, heads, n, 1)
	d.rows(typed("append", d.real), n, (&driver.Args{}).Ptr(k).Ptr(v).Ptr(x).Int(past, ld, wide, size))
	if n <= fewQueries {
		a := (&driver.Args{}).Ptr(y.x).Ptr(x).Ptr(uint64(ld)).Ptr(k).Ptr(v).Ptr(uint64(size)).Int(past, heads.H, heads.H/heads.K, heads.D)
		d.launch(typed("attention_few", d.real), driver.Grid{X: heads.H, Y: n, Z: 1}, 256, 0, a)
	} else {
		d.attend(y.x, 0, x, ld, k, v, size, 0, past, n, heads)
	}
	d.codes(y, n, wide)
}

// AttentionBackward implements compute.Device.
func (d *Device) AttentionBackward(dqkv, dout compute.Buffer, out compute.Activation, lse, qkv compute.Buffer, heads compute.Heads, rope compute.Rope, seq compute.Sequence, n int) {
	c := d.call("AttentionBackward")
	c.heads(heads)
	b := backward{h: heads, n: n, ld: heads.QKV()}
	wide := heads.H * heads.D
	b.dout, b.out, b.lse = c.real("dout", dout, n*wide), c.real("out.X", out.X, n*wide), c.f32("lse", lse, n*heads.H)
	b.qkv, b.dqkv = c.real("qkv", qkv, n*b.ld), c.real("dqkv", dqkv, n*b.ld)
	b.start, b.rot = c.i32("seq.Start", seq.Start, n), c.angles(rope, seq.Row, heads, n)
	b.delta = d.temporary(8 * ceil(n, 128) * 128 * heads.H)
	if !c.ok() || n == 0 {
		return
	}
	switch fits := d.flash(heads, b.qkv, b.dqkv, b.dout, b.out); {
	case fits && d.hopper && heads.D < 128:
		d.hopperBackward(b)
	case fits:
		d.flashBackward(b)
	default:
		d.plainBackward(b)
		d.turn(b.dqkv, b.rot, 0, heads, n, -1)
	}
}

type backward struct {
	h                                       compute.Heads
	n, ld                                   int
	dout, out, lse, qkv, dqkv, start, delta uint64
	rot                                     angles
}

func (d *Device) flashBackward(b backward) {
	h, rows := b.h, 128
	if h.D == 128 {
		rows = 64
	}
	d.rows("flash_delta", ceil(b.n*h.H, 16), (&driver.Args{}).Ptr(b.dout).Ptr(b.out).Ptr(b.delta).Int(b.n, h.H, h.D))
	for i, pass := range []struct {
		name  string
		heads int
	}{{"dq", h.H}, {"dkv", h.K}} {
		a := &driver.Args{}
		a.Ptr(b.qkv).Ptr(b.dout).Ptr(b.lse).Ptr(b.delta).Ptr(b.start).Ptr(b.dqkv).Int(b.n, h.H, h.K).Float(scaleOf(h))
		a.Ptr(b.rot.cos).Ptr(b.rot.sin).Ptr(b.rot.row)
		d.launch(fmt.Sprintf("flash_%s_%d", pass.name, h.D), driver.Grid{X: pass.heads, Y: ceil(b.n, rows), Z: 1}, 2*rows, flashShared[h.D][i+1], a)
	}
}

func (d *Device) plainBackward(b backward) {
	h, wide := b.h, b.h.H*b.h.D
	k, v := d.at(b.qkv, wide), d.at(b.qkv, wide+h.K*h.D)
	d.rows(typed("attention_delta", d.real), ceil(b.n*h.H, 8), (&driver.Args{}).Ptr(b.delta).Ptr(b.dout).Ptr(b.out).Int(b.n*h.H, h.D))
	a := (&driver.Args{}).Ptr(b.dqkv)
	b.arguments(a, k, v)
	d.launch(typed("attention_dq", d.real), driver.Grid{X: h.H, Y: ceil(b.n, 32), Z: 1}, 256, attentionBytes(h.D, 4, 1), a)
	a = (&driver.Args{}).Ptr(d.at(b.dqkv, wide)).Ptr(d.at(b.dqkv, wide+h.K*h.D))
	b.arguments(a, k, v)
	d.launch(typed("attention_dkv", d.real), driver.Grid{X: h.K, Y: ceil(b.n, 32), Z: 1}, 256, attentionBytes(h.D, 4, 2), a)
}

// arguments appends what dq and dkv share.
func (b backward) arguments(a *driver.Args, k, v uint64) {
	a.Ptr(b.dout).Ptr(b.lse).Ptr(b.delta).Ptr(b.qkv).Ptr(k).Ptr(v).Ptr(uint64(b.ld)).Ptr(b.start).Int(b.n, b.h.H, b.h.H/b.h.K, b.h.D)
}

// flashHopperShared is the dynamic shared memory of flash_*_hopper.cu by head size:
// forward, dq, dkv.
var flashHopperShared = map[int][3]int{64: {83072, 132152, 101448}, 96: {124032, 197688, 150600}, 128: {164992}}

// headsMap describes rows of heads to the copy engine, panels of 32 columns, in
// boxes of high rows of one head.
func (d *Device) headsMap(p uint64, n, cols, head, high int) *driver.TensorMap {
	return d.tensorMap(mapKey{
		p: p, typ: driver.MapBF16, dim: [3]int{32, n, cols / 32}, stride: [2]int{2 * cols, 64},
		box: [3]int{32, high, head / 32}, directions: 3, swizzle: driver.Swizzle64,
	})
}

func (d *Device) hopperForward(out, lse, qkv, start uint64, h compute.Heads, n int) {
	mq, mkv := d.headsMap(qkv, n, h.QKV(), h.D, 64), d.headsMap(qkv, n, h.QKV(), h.D, 128)
	mo := d.headsMap(out, n, h.H*h.D, h.D, 64)
	if d.err != nil {
		return
	}
	a := (&driver.Args{}).Map(mq).Map(mkv).Map(mo).Ptr(lse).Ptr(start).Int(n, h.H, h.K).Float(scaleOf(h))
	d.launch(fmt.Sprintf("flash_forward_hopper_%d", h.D), driver.Grid{X: h.H, Y: ceil(n, 128), Z: 1}, 384, flashHopperShared[h.D][0], a)
}

func (d *Device) hopperBackward(b backward) {
	h := b.h
	mqkv, mdout := d.headsMap(b.qkv, b.n, b.ld, h.D, 64), d.headsMap(b.dout, b.n, h.H*h.D, h.D, 64)
	if d.err != nil {
		return
	}
	d.rows("flash_stats_hopper", ceil(ceil(b.n, 128)*128*h.H, 16),
		(&driver.Args{}).Ptr(b.dout).Ptr(b.out).Ptr(b.lse).Ptr(b.delta).Int(b.n, h.H, h.D))
	for i, pass := range []struct {
		name  string
		heads int
	}{{"dq", h.H}, {"dkv", h.K}} {
		a := (&driver.Args{}).Map(mqkv).Map(mdout).Ptr(b.delta).Ptr(b.start).Ptr(b.dqkv).Int(b.n, h.H, h.K).Float(scaleOf(h))
		a.Ptr(b.rot.cos).Ptr(b.rot.sin).Ptr(b.rot.row)
		d.launch(fmt.Sprintf("flash_%s_hopper_%d", pass.name, h.D), driver.Grid{X: pass.heads, Y: ceil(b.n, 128), Z: 1}, 384, flashHopperShared[h.D][i+1], a)
	}
}
