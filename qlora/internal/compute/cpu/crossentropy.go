package cpu

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// lossRows is the number of tokens whose logits exist at once.
const lossRows = 256

// CrossEntropy implements compute.Device. Tokens of weight 0 cost nothing. A
// head in int8 multiplies unquantised activations, as FormatInt8W does.
func (d *Device) CrossEntropy(nll, dh, h compute.Buffer, head compute.Weight, target, weight compute.Buffer, n int) {
	c := d.call("CrossEntropy")
	w := c.weight("head", head)
	if !c.ok() {
		return
	}
	e := lossPass{
		d: d, head: w, h: c.f32("h", h, n*w.cols), nll: c.f32("nll", nll, n), dh: c.maybe("dh", dh, n*w.cols),
		weight: c.f32("weight", weight, n), target: c.i32("target", target, n),
	}
	active := e.active(c)
	if !c.ok() {
		return
	}
	clear(e.nll)
	clear(e.dh)
	for len(active) > 0 {
		rows := min(lossRows, len(active))
		e.chunk(active[:rows])
		active = active[rows:]
	}
}

type lossPass struct {
	d                  *Device
	head               *weight
	h, nll, dh, weight []float32
	target             []int32
}

// active lists the tokens that count, their targets checked.
func (e lossPass) active(c call) (list []int) {
	for t, w := range e.weight {
		if w == 0 || !c.ok() {
			continue
		}
		if y := e.target[t]; y < 0 || int(y) >= e.head.rows {
			c.failf("target[%d] is %d, outside [0, %d)", t, y, e.head.rows)
		}
		list = append(list, t)
	}
	return list
}

func (e lossPass) chunk(tokens []int) {
	d, v, cols, n := e.d, e.head.rows, e.head.cols, len(tokens)
	x := d.scratch.floats(slotH, n*cols)
	for i, t := range tokens {
		copy(x[i*cols:], e.h[t*cols:(t+1)*cols])
	}
	z := d.scratch.floats(slotZ, n*v)
	d.multiply(product{m: n, n: v, k: cols, a: byLane(x, cols), b: e.head.lanes(), c: z, ldc: v, alpha: 1})
	d.pool.run(n, func(_ *worker, i int) { e.softmax(z[i*v:(i+1)*v], tokens[i]) })
	if e.dh == nil {
		return
	}
	d.multiply(product{m: n, n: cols, k: v, a: byLane(z, v), b: e.head.depth(), c: x, ldc: cols, alpha: 1})
	for i, t := range tokens {
		copy(e.dh[t*cols:(t+1)*cols], x[i*cols:])
	}
}

// softmax turns the logits of token t into the gradient of its loss.
func (e lossPass) softmax(z []float32, t int) {
	k, y, w := e.d.kern, e.target[t], e.weight[t]
	top, hit := k.max(z), z[y]
	sum := expSumWide(k, z, z, top)
	e.nll[t] = float32(float64(w) * (math.Log(sum) + float64(top) - float64(hit)))
	if e.dh == nil {
		return
	}
	k.scale(z, float32(float64(w)/sum))
	z[y] -= w
}

// sumBlock bounds how many exponentials are summed in float32.
const sumBlock = 1024

// expSumWide is kernels.expSum with the sum of blocks in float64.
func expSumWide(k kernels, dst, src []float32, shift float32) (sum float64) {
	for i := 0; i < len(src); i += sumBlock {
		j := min(i+sumBlock, len(src))
		sum += float64(k.expSum(dst[i:j], src[i:j], shift))
	}
	return sum
}
