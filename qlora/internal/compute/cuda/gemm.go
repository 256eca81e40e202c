//go:build cuda && cgo && linux && amd64

package cuda

import (
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// left is the left operand of a product and what is added to it: y = x·W + u vᵀ
// + residual. u [m, r] and v [n, r] are Real, r 0 for none; residual is 0 for
// none and may be y.
type left struct {
	y        uint64
	typ      compute.Type // of y
	x        uint64       // Real [m, k], rows ld elements apart
	ld       int
	u, v     uint64
	r        int
	residual uint64
	m, n, k  int
}

// productNT computes y = x wᵀ, w Real [n, k].
func (d *Device) productNT(p left, w uint64) {
	switch {
	case d.real == compute.F32 || !aligned(p.y, p.x, w, p.u, p.v) || p.k%8 != 0 || p.ld%8 != 0 || p.r%8 != 0:
		d.plain(p, w, p.k, 1)
	case (!d.hopper || p.m <= narrowRows) && p.n <= adapterRank && p.n%8 == 0 && p.r == 0 && p.residual == 0 && p.typ == compute.BF16:
		d.narrow(p, w)
	case d.hopper && p.n%8 == 0 && p.r <= 64:
		d.hopperNT(p, w)
	default:
		d.mma(p, "nn", w, p.k)
	}
}

// productNN computes y = x w, w Real [k, n].
func (d *Device) productNN(p left, w uint64) {
	switch {
	case d.real == compute.F32 || !aligned(p.y, p.x, w, p.u, p.v) || p.k%8 != 0 || p.ld%8 != 0 || p.r%8 != 0 || p.n%8 != 0:
		d.plain(p, w, 1, p.n)
	case d.hopper && p.n%64 == 0 && p.r <= 64:
		d.hopperNN(p, w)
	default:
		d.mma(p, "nt", w, p.n)
	}
}

// mma is the product on gemm.cu's kernels.
func (d *Device) mma(p left, order string, w uint64, ldw int) {
	a := &driver.Args{}
	a.Ptr(p.y).Ptr(uint64(p.n)).Ptr(0).Ptr(p.x).Ptr(uint64(p.ld)).Ptr(w).Ptr(uint64(ldw))
	a.Ptr(p.u).Ptr(p.v).Int(p.r).Ptr(p.residual).Int(p.m, p.n, p.k)
	d.launch(typed("mma_bf16_"+order, p.typ), tiles(p.m, p.n, 1), 256, mmaShared, a)
}

const mmaShared = 64 << 10

func tiles(m, n, split int) driver.Grid {
	return driver.Grid{X: ceil(m, 128), Y: ceil(n, 128), Z: split}
}

// plain is the product on product.cu's kernels; element (j, k) of w is at
// j·wj + k·wk.
func (d *Device) plain(p left, w uint64, wj, wk int) {
	add := d.carry(p)
	d.plainProduct(p.y, p.typ, p.n, p.x, p.ld, 1, w, wj, wk, p.m, p.n, p.k, 1, add)
	if p.r > 0 {
		d.plainProduct(p.y, p.typ, p.n, p.u, p.r, 1, p.v, p.r, 1, p.m, p.n, p.r, 1, true)
	}
}

// carry brings the residual into y and reports whether there is one.
func (d *Device) carry(p left) bool {
	if p.residual != 0 && p.residual != p.y && d.err == nil {
		d.run(d.ctx.Copy(p.y, p.residual, p.m*p.n*p.typ.Size()))
	}
	return p.residual != 0
}

func (d *Device) plainProduct(y uint64, typ compute.Type, ld int, a uint64, ai, ak int, b uint64, bj, bk, m, n, k int, alpha float32, add bool) {
	name := "product_fff"
	if d.real == compute.BF16 {
		name = map[compute.Type]string{compute.F32: "product_bbf", compute.BF16: "product_bbb"}[typ]
	}
	g := &driver.Args{}
	g.Ptr(y).Ptr(uint64(ld)).Ptr(a).Ptr(uint64(ai)).Ptr(uint64(ak)).Ptr(b).Ptr(uint64(bj)).Ptr(uint64(bk))
	g.Int(m, n, k).Float(alpha).Int(flag(add))
	d.launch(name, driver.Grid{X: ceil(m, 64), Y: ceil(n, 64), Z: 1}, 256, 0, g)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// addOuter adds alpha·aᵀ b to c, F32 [m, n]; a is Real [k, m], b Real [k, n]. The
// depth is cut so that all multiprocessors have work, and the parts are added in
// order.
func (c call) addOuter(to, a, b uint64, m, n, k int, alpha float32) {
	d := c.d
	if d.real == compute.F32 || m%8 != 0 || n%8 != 0 || !aligned(a, b) {
		d.plainProduct(to, compute.F32, n, a, 1, m, b, 1, n, m, n, k, alpha, true)
		return
	}
	wide, slim, x, y := m, n, a, b
	if m <= adapterRank && n > m {
		wide, slim, x, y = n, m, b, a
	}
	split := depths(d.ctx.SMs, wide, slim, k)
	defer d.scratch.back(d.scratch.depth())
	part := d.temporary(4 * split * m * n)
	if slim <= adapterRank {
		g := (&driver.Args{}).Ptr(part).Ptr(x).Ptr(y).Int(wide, slim, k, flag(x == b))
		d.launch("mma_outer", driver.Grid{X: ceil(wide, 128), Y: 1, Z: split}, 256, narrowShared, g)
	} else {
		g := (&driver.Args{}).Ptr(0).Ptr(uint64(n)).Ptr(part).Ptr(a).Ptr(uint64(m)).Ptr(b).Ptr(uint64(n))
		d.launch("mma_bf16_tt_f32", tiles(m, n, split), 256, mmaShared, g.Ptr(0).Ptr(0).Int(0).Ptr(0).Int(m, n, k))
	}
	d.flat("mma_reduce_f32", m*n/4, (&driver.Args{}).Ptr(to).Ptr(part).Ptr(uint64(m*n)).Int(split).Float(alpha).Int(1))
}

// adapterRank is up to which rank an adapter's products have kernels of their own.
const adapterRank = 64

// narrow is productNT of few columns, an adapter's inner vector: one tile wide,
// so that only a cut of the depth gives every multiprocessor work.
func (d *Device) narrow(p left, w uint64) {
	split := depths(d.ctx.SMs, p.m, p.n, p.k)
	defer d.scratch.back(d.scratch.depth())
	part := d.temporary(4 * split * p.m * p.n)
	g := &driver.Args{}
	g.Ptr(part).Ptr(p.x).Ptr(uint64(p.ld)).Ptr(w).Ptr(uint64(p.k)).Int(p.m, p.n, p.k)
	d.launch("mma_narrow", driver.Grid{X: ceil(p.m, 128), Y: 1, Z: split}, 256, narrowShared, g)
	d.flat("mma_reduce_bf16", p.m*p.n/4, (&driver.Args{}).Ptr(p.y).Ptr(part).Ptr(uint64(p.m*p.n)).Int(split).Float(1).Int(0))
}

const narrowShared = 72 << 10

// productInt8 computes y = sx·sw·(x wᵀ) + u vᵀ + residual from codes x [m, k] and
// w [n, k]; sw 0 stands for ones.
func (d *Device) productInt8(p left, sx, w, sw uint64) {
	switch {
	case p.k%16 != 0 || !aligned(p.y, p.x, w, p.u, p.v) || p.r%8 != 0 || p.r > 0 && d.real == compute.F32:
		d.plainInt8(p, sx, w, sw)
	case d.hopper && p.n%8 == 0 && p.r <= 64:
		d.hopperInt8(p, sx, w, sw)
	default:
		a := &driver.Args{}
		a.Ptr(p.y).Ptr(uint64(p.n)).Ptr(p.x).Ptr(w).Ptr(sx).Ptr(sw).Ptr(p.u).Ptr(p.v).Int(p.r).Ptr(p.residual).Int(p.m, p.n, p.k)
		d.launch(typed("mma_i8", p.typ), tiles(p.m, p.n, 1), 256, mmaShared, a)
	}
}

// plainInt8 keeps the exact sums where a row of codes is whole words of 16
// bytes, and adds the adapter apart.
func (d *Device) plainInt8(p left, sx, w, sw uint64) {
	a := &driver.Args{}
	if p.k%16 == 0 && aligned(p.x, w) {
		a.Ptr(p.y).Ptr(uint64(p.n)).Ptr(p.x).Ptr(w).Ptr(sx).Ptr(sw).Ptr(0).Ptr(0).Int(0).Ptr(p.residual).Int(p.m, p.n, p.k)
		d.launch(typed("mma_i8", p.typ), tiles(p.m, p.n, 1), 256, mmaShared, a)
	} else {
		a.Ptr(p.y).Ptr(p.x).Ptr(w).Ptr(sx).Ptr(sw).Ptr(p.residual).Int(p.m, p.n, p.k)
		d.launch(typed("product_i8", p.typ), driver.Grid{X: ceil(p.m, 64), Y: ceil(p.n, 64), Z: 1}, 256, 0, a)
	}
	if p.r > 0 {
		d.plainProduct(p.y, p.typ, p.n, p.u, p.r, 1, p.v, p.r, 1, p.m, p.n, p.r, 1, true)
	}
}
