package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// side is the edge of a rotation block.
const side = 8

func (c call) blocks(cols int) int {
	if c.ok() && (cols < side || cols%side != 0) {
		c.failf("%d columns are no multiple of %d", cols, side)
	}
	return cols / side
}

// Rotate implements compute.Device.
func (d *Device) Rotate(out compute.Activation, x, r compute.Buffer, n, cols int) {
	c := d.call("Rotate")
	blocks := c.blocks(cols)
	in, rot, y := c.f32("x", x, n*cols), c.f32("r", r, blocks*side*side), c.activation("out", out, n, cols)
	if !c.ok() {
		return
	}
	d.pool.rows(n, side*cols, func(_ *worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			for b := range blocks {
				at := t*cols + b*side
				rotate8((*[64]float32)(rot[b*64:]), (*[8]float32)(in[at:]), (*[8]float32)(y.x[at:]))
			}
		}
		d.quantise(y, cols, lo, hi)
	})
}

// rotate8 writes y = R x; they may be one.
func rotate8(r *[64]float32, x, y *[8]float32) {
	v := *x
	for i := range side {
		m := r[i*side : i*side+side : i*side+side]
		y[i] = m[0]*v[0] + m[1]*v[1] + m[2]*v[2] + m[3]*v[3] + m[4]*v[4] + m[5]*v[5] + m[6]*v[6] + m[7]*v[7]
	}
}

// RotateBackward implements compute.Device; a task owns some blocks and walks
// the tokens in order.
func (d *Device) RotateBackward(dx, dr, dout, x, r compute.Buffer, n, cols int) {
	c := d.call("RotateBackward")
	blocks := c.blocks(cols)
	in, rot, g := c.f32("x", x, n*cols), c.f32("r", r, blocks*64), c.f32("dout", dout, n*cols)
	gin, gr := c.f32("dx", dx, n*cols), c.f32("dr", dr, blocks*64)
	if !c.ok() {
		return
	}
	d.pool.rows(blocks, 2*64*n, func(_ *worker, lo, hi int) {
		for b := lo; b < hi; b++ {
			m := transposed((*[64]float32)(rot[b*64:]))
			var sum [64]float32
			for t := range n {
				at := t*cols + b*side
				v, gv := (*[8]float32)(in[at:]), *(*[8]float32)(g[at:])
				addOuter(&sum, &gv, v)
				rotate8(&m, &gv, (*[8]float32)(gin[at:]))
			}
			for i, v := range sum {
				gr[b*64+i] += v
			}
		}
	})
}

func transposed(r *[64]float32) (t [64]float32) {
	for i := range side {
		for j := range side {
			t[j*side+i] = r[i*side+j]
		}
	}
	return t
}

// addOuter adds a bᵀ.
func addOuter(s *[64]float32, a, b *[8]float32) {
	for i, v := range a {
		row := s[i*side : i*side+side : i*side+side]
		for j := range row {
			row[j] += v * b[j]
		}
	}
}
