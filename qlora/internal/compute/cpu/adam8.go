package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// adamBlock is the number of elements that share an absmax.
const adamBlock = 256

// codebook is a sorted table of 256 values in [-1, 1], and the midpoints between
// neighbours: the code nearest to x is the number of midpoints below x.
type codebook struct {
	value [256]float32
	mid   [255]float32
}

func newCodebook(signed bool) *codebook {
	c := &codebook{value: compute.DynamicMap(signed)}
	for i := range c.mid {
		c.mid[i] = (c.value[i] + c.value[i+1]) / 2
	}
	return c
}

// code returns the nearest entry; halfway, the lower one.
func (c *codebook) code(x float32) uint8 {
	lo := 0
	for step := 128; step > 0; step >>= 1 {
		if lo+step <= 255 && x > c.mid[lo+step-1] {
			lo += step
		}
	}
	return uint8(lo)
}

// adam8 updates block by block: moments are widened, updated in float32, and
// stored again as codes of their new absmax.
func (d *Device) adam8(p, g []float32, cm, cv []uint8, am, av []float32, s adamStep) {
	signed, unsigned := d.moments[0], d.moments[1]
	d.pool.rows(len(am), adamBlock, func(_ *worker, lo, hi int) {
		var m, v [adamBlock]float32
		for b := lo; b < hi; b++ {
			at, end := b*adamBlock, min(len(p), (b+1)*adamBlock)
			var topM, topV float32
			for i := at; i < end; i++ {
				x, y := signed.value[cm[i]]*am[b], unsigned.value[cv[i]]*av[b]
				p[i], x, y = s.update(p[i], g[i], x, y)
				m[i-at], v[i-at] = x, y
				topM, topV = max(topM, x, -x), max(topV, y)
			}
			am[b], av[b] = signed.encode(cm[at:end], m[:end-at], topM), unsigned.encode(cv[at:end], v[:end-at], topV)
		}
	})
}

// encode writes the codes of x divided by top, and returns top.
func (c *codebook) encode(dst []uint8, x []float32, top float32) float32 {
	inv := float32(0)
	if top > 0 {
		inv = 1 / top
	}
	for i, v := range x {
		dst[i] = c.code(v * inv)
	}
	return top
}
