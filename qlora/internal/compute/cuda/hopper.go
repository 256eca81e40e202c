//go:build cuda && cgo && linux && amd64

package cuda

import (
	"fmt"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// hopperShared is the dynamic shared memory by tile width: SHARED of
// gemm_hopper.cu.
var hopperShared = map[int]int{256: hopperBytes(256, 4), 192: hopperBytes(192, 4), 128: hopperBytes(128, 6)}

func hopperBytes(width, stages int) int {
	return 1024 + stages*(128+width)*128 + 4*8192 + 2*stages*8
}

func hopperNames() string {
	var b strings.Builder
	for _, kind := range []string{"s8", "s8_f32", "bf16", "bf16_f32", "bf16_nn", "bf16_nn_f32"} {
		for _, width := range hopperWidths(kind) {
			fmt.Fprintf(&b, "gemm_%s_%d:%d ", kind, width, hopperShared[width])
		}
	}
	return b.String() + "gemm_transpose_s8"
}

func hopperWidths(kind string) []int {
	if strings.Contains(kind, "nn") {
		return []int{256, 128}
	}
	return []int{256, 192, 128}
}

// mapKey is what a tensor map was made from.
type mapKey struct {
	p          uint64
	typ        int
	dim        [3]int
	stride     [2]int
	box        [3]int
	directions int
	swizzle    int
}

// tensorMap returns a map, made once for each key.
func (d *Device) tensorMap(k mapKey) *driver.TensorMap {
	if m := d.maps[k]; m != nil || d.err != nil {
		return m
	}
	var dim, stride []uint64
	var box []uint32
	for i := range k.directions {
		dim, box = append(dim, uint64(k.dim[i])), append(box, uint32(k.box[i]))
		if i > 0 {
			stride = append(stride, uint64(k.stride[i-1]))
		}
	}
	m, err := d.ctx.NewTensorMap(k.typ, k.p, dim, stride, box, k.swizzle)
	d.run(err)
	if len(d.maps) >= 1<<14 { // addresses of freed memory
		clear(d.maps)
	}
	d.maps[k] = m
	return m
}

// matrixMap is tensorMap of rows × cols, rows ld elements of size bytes apart,
// in boxes of 128 bytes by high.
func (d *Device) matrixMap(p uint64, typ, size, rows, cols, ld, high int) *driver.TensorMap {
	return d.tensorMap(mapKey{p: p, typ: typ, dim: [3]int{cols, rows}, stride: [2]int{ld * size}, box: [3]int{128 / size, high}, directions: 2, swizzle: driver.Swizzle128})
}

// hopperTile chooses the tile width: the fewest columns of work for the busiest
// pair of multiprocessors, then the widest.
func (d *Device) hopperTile(kind string, m, n int) (width, blocks int) {
	pairs, best := d.ctx.SMs/2, 0
	for _, w := range hopperWidths(kind) {
		t := ceil(m, 256) * ceil(n, w)
		if cost := ceil(t, pairs) * w; best == 0 || cost < best {
			width, blocks, best = w, 2*min(t, pairs), cost
		}
	}
	return width, blocks
}

// hopperProduct launches a kernel of gemm_hopper.cu. w makes the map of the
// right operand for a tile width.
func (d *Device) hopperProduct(kind string, p left, x *driver.TensorMap, w func(width int) *driver.TensorMap, sx, sw uint64) {
	if p.typ == compute.F32 {
		kind += "_f32"
	}
	width, blocks := d.hopperTile(kind, p.m, p.n)
	mu, mb, mr, my, mw := x, x, x, x, w(width)
	if p.r > 0 {
		mu = d.matrixMap(p.u, driver.MapBF16, 2, p.m, p.r, p.r, 128)
		mb = d.matrixMap(p.v, driver.MapBF16, 2, p.n, p.r, p.r, width/2)
	}
	if p.residual != 0 {
		mr = d.matrixMap(p.residual, driver.MapBF16, 2, p.m, p.n, p.n, 128)
	}
	if p.typ == compute.BF16 {
		my = d.matrixMap(p.y, driver.MapBF16, 2, p.m, p.n, p.n, 64)
	}
	if d.err != nil {
		return
	}
	a := &driver.Args{}
	a.Map(x).Map(mw).Map(mu).Map(mb).Map(mr).Map(my).Ptr(p.y).Ptr(sx).Ptr(sw).Int(p.m, p.n, p.k, p.r, flag(p.residual != 0))
	d.launch(fmt.Sprintf("gemm_%s_%d", kind, width), driver.Grid{X: blocks, Y: 1, Z: 1}, 384, hopperShared[width], a)
}

func (d *Device) hopperNT(p left, w uint64) {
	x := d.matrixMap(p.x, driver.MapBF16, 2, p.m, p.k, p.ld, 128)
	d.hopperProduct("bf16", p, x, func(width int) *driver.TensorMap {
		return d.matrixMap(w, driver.MapBF16, 2, p.n, p.k, p.k, width/2)
	}, 0, 0)
}

func (d *Device) hopperNN(p left, w uint64) {
	x := d.matrixMap(p.x, driver.MapBF16, 2, p.m, p.k, p.ld, 128)
	d.hopperProduct("bf16_nn", p, x, func(width int) *driver.TensorMap {
		return d.tensorMap(mapKey{
			p: w, typ: driver.MapBF16, dim: [3]int{64, p.k, p.n / 64}, stride: [2]int{2 * p.n, 128},
			box: [3]int{64, 64, width / 128}, directions: 3, swizzle: driver.Swizzle128,
		})
	}, 0, 0)
}

func (d *Device) hopperInt8(p left, sx, w, sw uint64) {
	x := d.matrixMap(p.x, driver.MapU8, 1, p.m, p.k, p.k, 128)
	d.hopperProduct("s8", p, x, func(width int) *driver.TensorMap {
		return d.matrixMap(w, driver.MapU8, 1, p.n, p.k, p.k, width/2)
	}, sx, sw)
}
