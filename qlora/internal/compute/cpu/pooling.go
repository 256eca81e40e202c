package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// Gather implements compute.Device.
func (d *Device) Gather(out, x, index compute.Buffer, n, cols int) {
	c := d.call("Gather")
	rows, ok := c.rowsOf("x", x, cols)
	if !ok {
		return
	}
	in, to, at := c.f32("x", x, rows*cols), c.f32("out", out, n*cols), c.indices("index", index, n, rows)
	if !c.ok() {
		return
	}
	for i, r := range at {
		copy(to[i*cols:(i+1)*cols], in[int(r)*cols:])
	}
}

// rowsOf returns how many rows of cols elements b has.
func (c call) rowsOf(name string, b compute.Buffer, cols int) (rows int, ok bool) {
	x := c.buffer(name, b)
	if c.ok() && cols < 1 {
		c.failf("%d columns", cols)
	}
	if !c.ok() {
		return 0, false
	}
	return x.n / cols, true
}

// ScatterAdd implements compute.Device.
func (d *Device) ScatterAdd(dx, din, index compute.Buffer, n, cols int) {
	c := d.call("ScatterAdd")
	rows, ok := c.rowsOf("dx", dx, cols)
	if !ok {
		return
	}
	to, in, at := c.f32("dx", dx, rows*cols), c.f32("din", din, n*cols), c.indices("index", index, n, rows)
	if !c.ok() {
		return
	}
	for i, r := range at {
		dst := to[int(r)*cols : (int(r)+1)*cols]
		for k, v := range in[i*cols : (i+1)*cols] {
			dst[k] += v
		}
	}
}

// spans returns offset, checked to rise inside [0, rows].
func (c call) spans(offset compute.Buffer, batch, rows int) []int32 {
	o := c.indices("offset", offset, batch+1, rows+1)
	for b := 1; b < len(o); b++ {
		if o[b] <= o[b-1] {
			c.failf("offset[%d] is %d after %d: a span needs a row", b, o[b], o[b-1])
			return nil
		}
	}
	return o
}

// MeanPool implements compute.Device; sums are float64.
func (d *Device) MeanPool(out, h, offset compute.Buffer, batch, cols int) {
	c := d.call("MeanPool")
	rows, ok := c.rowsOf("h", h, cols)
	if !ok {
		return
	}
	in, to, o := c.f32("h", h, rows*cols), c.f32("out", out, batch*cols), c.spans(offset, batch, rows)
	if !c.ok() {
		return
	}
	d.pool.run(batch, func(_ *worker, b int) {
		lo, hi := int(o[b]), int(o[b+1])
		sum := make([]float64, cols)
		for t := lo; t < hi; t++ {
			for k, v := range in[t*cols : (t+1)*cols] {
				sum[k] += float64(v)
			}
		}
		for k, v := range sum {
			to[b*cols+k] = float32(v / float64(hi-lo))
		}
	})
}

// MeanPoolBackward implements compute.Device.
func (d *Device) MeanPoolBackward(dh, dout, offset compute.Buffer, batch, cols int) {
	c := d.call("MeanPoolBackward")
	rows, ok := c.rowsOf("dh", dh, cols)
	if !ok {
		return
	}
	to, g, o := c.f32("dh", dh, rows*cols), c.f32("dout", dout, batch*cols), c.spans(offset, batch, rows)
	if !c.ok() {
		return
	}
	d.pool.run(batch, func(_ *worker, b int) {
		lo, hi := int(o[b]), int(o[b+1])
		for t := lo; t < hi; t++ {
			dst := to[t*cols : (t+1)*cols]
			for k, v := range g[b*cols : (b+1)*cols] {
				dst[k] += v / float32(hi-lo)
			}
		}
	})
}
