//go:build cuda && cgo && linux && amd64

package cuda

import (
	"math"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// adamBlock is the number of elements that share an absmax.
const adamBlock = 256

// sumSpan is the number of squares that one block adds up.
const sumSpan = 16384

// SumSquares implements compute.Device.
func (d *Device) SumSquares(acc, x compute.Buffer) {
	c := d.call("SumSquares")
	n := c.buffer("x", x).n
	in, to := c.f32("x", x, n), c.f32("acc", acc, 1)
	parts := ceil(n, sumSpan)
	part := d.temporary(8 * parts)
	d.rows("squares", parts, (&driver.Args{}).Ptr(part).Ptr(in).Ptr(uint64(n)))
	d.rows("total", 1, (&driver.Args{}).Ptr(to).Ptr(part).Ptr(0).Int(parts))
}

// ClipScale implements compute.Device.
func (d *Device) ClipScale(hyper, acc compute.Buffer, limit float32) {
	c := d.call("ClipScale")
	h, a := c.f32("hyper", hyper, compute.HyperCount), c.f32("acc", acc, 1)
	d.launch("clip_scale", driver.Grid{X: 1, Y: 1, Z: 1}, 1, 0, (&driver.Args{}).Ptr(h).Ptr(a).Float(limit))
}

// AdamW implements compute.Device.
func (d *Device) AdamW(p, g compute.Buffer, m compute.Moments, hyper compute.Buffer, a compute.Adam) {
	c := d.call("AdamW")
	n := c.buffer("p", p).n
	x, gr, h := c.f32("p", p, n), c.f32("g", g, n), c.f32("hyper", hyper, compute.HyperCount)
	args, name := (&driver.Args{}).Ptr(x).Ptr(gr), "adamw"
	if m.AbsM != nil || m.AbsV != nil {
		name = "adamw8"
		blocks := ceil(n, adamBlock)
		args.Ptr(c.ptr("M", m.M, compute.U8, n)).Ptr(c.ptr("V", m.V, compute.U8, n))
		args.Ptr(c.f32("AbsM", m.AbsM, blocks)).Ptr(c.f32("AbsV", m.AbsV, blocks)).Ptr(d.adam)
	} else {
		args.Ptr(c.f32("M", m.M, n)).Ptr(c.f32("V", m.V, n))
	}
	args.Ptr(h).Ptr(uint64(n)).Float(a.Beta1).Float(a.Beta2).Float(a.Eps).Float(a.WeightDecay).Float(a.LRScale)
	d.flat(name, n, args)
}

// mapAndMidpoints is the dynamic map followed by the midpoints between neighbours.
func mapAndMidpoints(signed bool) []float32 {
	table := make([]float32, 512)
	values := compute.DynamicMap(signed)
	copy(table, values[:])
	for i := range 255 {
		table[256+i] = (table[i] + table[i+1]) / 2
	}
	table[511] = float32(math.Inf(1))
	return table
}

// loadMoments uploads the tables of the 8-bit moments.
func (d *Device) loadMoments() (err error) {
	table := append(mapAndMidpoints(true), mapAndMidpoints(false)...)
	if d.adam, err = d.weights.take(4 * len(table)); err != nil {
		return err
	}
	return d.ctx.ToDevice(d.adam, unsafe.Pointer(&table[0]), 4*len(table))
}
