package cpu0

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

type stream struct {
	key  [2]uint32
	step [2]uint32
	site uint32
}

func newStream(rnd compute.Random, site uint32) stream {
	s := in(rnd.State)
	return stream{[2]uint32{uint32(s[0]), uint32(s[1])}, [2]uint32{uint32(s[2]), uint32(s[3])}, site}
}

func (s stream) words(i int) [4]uint32 {
	return compute.Philox([4]uint32{uint32(i), s.step[0], s.step[1], s.site}, s.key)
}

func dropping(ad *compute.Adapter, rnd compute.Random) bool { return ad.Dropout > 0 && rnd.State != nil }

func dropout(x []float32, ad *compute.Adapter, rnd compute.Random) []float32 {
	if !dropping(ad, rnd) {
		return x
	}
	s, out := newStream(rnd, ad.Site), make([]float32, len(x))
	keep := 1 / (1 - ad.Dropout)
	rows((len(x)+3)/4, 1<<13, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for j, w := range s.words(i) {
				if e := 4*i + j; e < len(x) && compute.Uniform(w) >= ad.Dropout {
					out[e] = x[e] * keep
				}
			}
		}
	})
	return out
}

// Embed implements compute.Device.
func (d *Device) Embed(h compute.Buffer, table compute.Weight, ids compute.Buffer, n int, alpha float32, seq compute.Sequence, rnd compute.Random) {
	w := table.(*weight)
	for t, id := range in(ids)[:n] {
		if id < 0 || int(id) >= w.rows {
			d.fail("embed: token %d at %d, table of %d", id, t, w.rows)
			return
		}
		w.row(fl(h)[t*w.cols:(t+1)*w.cols], int(id))
	}
	if alpha > 0 && rnd.State != nil {
		addNoise(fl(h)[:n*w.cols], w.cols, alpha, in(seq.Start)[:n], newStream(rnd, compute.SiteNEFTune))
	}
}

func addNoise(h []float32, cols int, alpha float32, start []int32, s stream) {
	for first := 0; first < len(start); {
		end := first
		for end < len(start) && start[end] == start[first] {
			end++
		}
		scale := alpha / float32(math.Sqrt(float64((end-first)*cols)))
		for e := first * cols; e < end*cols; e++ {
			u := compute.Uniform(s.words(e / 4)[e%4])
			h[e] += scale * (2*u - 1)
		}
		first = end
	}
}
