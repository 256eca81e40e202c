package cpu0

import "github.com/borea-go/borea/qlora/internal/compute"

// Gather implements compute.Device.
func (d *Device) Gather(out, x, index compute.Buffer, n, cols int) {
	for i, r := range in(index)[:n] {
		copy(fl(out)[i*cols:(i+1)*cols], fl(x)[int(r)*cols:])
	}
}

// ScatterAdd implements compute.Device.
func (d *Device) ScatterAdd(dx, din, index compute.Buffer, n, cols int) {
	for i, r := range in(index)[:n] {
		mergeRow(fl(dx)[int(r)*cols:], fl(din)[i*cols:(i+1)*cols], true)
	}
}

// MeanPool implements compute.Device.
func (d *Device) MeanPool(out, h, offset compute.Buffer, batch, cols int) {
	parallel(batch, func(b int) {
		lo, hi := int(in(offset)[b]), int(in(offset)[b+1])
		o := fl(out)[b*cols : (b+1)*cols]
		clear(o)
		for t := lo; t < hi; t++ {
			mergeRow(o, fl(h)[t*cols:(t+1)*cols], true)
		}
		for k := range o {
			o[k] /= float32(max(1, hi-lo))
		}
	})
}

// MeanPoolBackward implements compute.Device.
func (d *Device) MeanPoolBackward(dh, dout, offset compute.Buffer, batch, cols int) {
	parallel(batch, func(b int) {
		lo, hi := int(in(offset)[b]), int(in(offset)[b+1])
		inv := 1 / float32(max(1, hi-lo))
		for t := lo; t < hi; t++ {
			for k, v := range fl(dout)[b*cols : (b+1)*cols] {
				fl(dh)[t*cols+k] += v * inv
			}
		}
	})
}
