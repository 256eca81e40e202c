package cpu0

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// lossRows is how many tokens have logits at one time; a task holds
// lossRows×V float32.
const lossRows = 96

// CrossEntropy implements compute.Device.
func (d *Device) CrossEntropy(nll, dh, h compute.Buffer, head compute.Weight, target, wt compute.Buffer, n int) {
	w := head.(*weight)
	live := d.liveRows(nll, dh, w.cols, fl(wt)[:n])
	rows(len(live), lossRows, func(lo, hi int) {
		d.lossBlock(fl(nll), dh, fl(h), w, in(target), fl(wt), live[lo:hi])
	})
}

// liveRows lists tokens with a weight and clears the results of the others.
func (d *Device) liveRows(nll, dh compute.Buffer, c int, wt []float32) []int {
	live := make([]int, 0, len(wt))
	for t, v := range wt {
		if v != 0 {
			live = append(live, t)
			continue
		}
		fl(nll)[t] = 0
		if dh != nil {
			clear(fl(dh)[t*c : (t+1)*c])
		}
	}
	return live
}

func (d *Device) lossBlock(nll []float32, dh compute.Buffer, h []float32, w *weight, target []int32, wt []float32, live []int) {
	m, v, c := len(live), w.rows, w.cols
	x, z := make([]float32, m*c), make([]float32, m*v)
	for i, t := range live {
		copy(x[i*c:(i+1)*c], h[t*c:])
	}
	for j := 0; j < v; j += taskN {
		d.k.block(z[j:], v, byLine{x, c}, weightLines{w}, 0, m, j, min(taskN, v-j), c, false)
	}
	for i, t := range live {
		row, y := z[i*v:(i+1)*v], int(target[t])
		correct := row[y]
		lse := d.softmax(row)
		nll[t] = wt[t] * (lse - correct)
		for j := range row {
			row[j] *= wt[t]
		}
		row[y] -= wt[t]
	}
	if dh == nil {
		return
	}
	d.k.block(x, c, byLine{z, v}, weightDepth{w}, 0, m, 0, c, v, false)
	for i, t := range live {
		copy(fl(dh)[t*c:(t+1)*c], x[i*c:(i+1)*c])
	}
}

// PET implements compute.Device; triples are summed in order.
func (d *Device) PET(loss, dh, h compute.Buffer, seq compute.Sequence, coef compute.Buffer, delta float32, n, cols int) {
	c, start, x, sum := fl(coef)[0], in(seq.Start), fl(h), 0.0
	for t := 0; t+2 < n; t++ {
		if start[t] != start[t+2] {
			continue
		}
		p, q, r := x[t*cols:(t+1)*cols], x[(t+1)*cols:(t+2)*cols], x[(t+2)*cols:(t+3)*cols]
		for k := range p {
			v, g := petTerm(r[k]-2*q[k]+p[k], delta)
			sum += float64(v)
			if dh != nil {
				o := fl(dh)[t*cols+k:]
				o[0] += c * g
				o[cols] -= 2 * c * g
				o[2*cols] += c * g
			}
		}
	}
	fl(loss)[0] += float32(float64(c) * sum)
}

// petTerm returns the penalty and its derivative.
func petTerm(x, delta float32) (v, g float32) {
	a := max(x, -x)
	switch {
	case delta == 0:
		return x * x, 2 * x
	case a <= delta:
		return x * x / 2, x
	}
	return delta * (a - delta/2), float32(math.Copysign(float64(delta), float64(x)))
}
