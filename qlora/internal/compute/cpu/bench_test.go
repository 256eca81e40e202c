package cpu

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// ceiling measures the operations a second that one core's registers reach.
func ceiling(loop func(rounds int) int) float64 {
	if loop == nil {
		return 0
	}
	best := 0.0
	for range 5 {
		t := time.Now()
		flop := loop(1 << 19)
		best = max(best, float64(flop)/time.Since(t).Seconds())
	}
	return best
}

// measure runs f and reports the rate of its fastest run, which a busy machine
// disturbs least, in billions of operations a second and worker, and as a share
// of what the registers reach.
func measure(b *testing.B, d *Device, operations float64, f func()) (rate float64) {
	best := time.Duration(1 << 62)
	for b.Loop() {
		t := time.Now()
		f()
		best = min(best, time.Since(t))
	}
	if err := d.Sync(); err != nil {
		b.Fatal(err)
	}
	rate = operations / best.Seconds() / float64(len(d.pool.workers))
	b.ReportMetric(rate/1e9, "best-Gop/s/core")
	if c := ceiling(d.kern.ceiling); c > 0 {
		b.ReportMetric(100*rate/c, "%f32-ceiling")
	}
	if c := ceiling(d.kern.ints.ceiling); c > 0 {
		b.ReportMetric(100*rate/c, "%int8-ceiling")
	}
	return rate
}

var benchShapes = []struct{ n, in, out int }{{512, 192, 576}, {512, 192, 1536}, {512, 768, 192}, {512, 3072, 9216}, {256, 192, 32064}, {1, 3072, 9216}}

func benchDevice(b *testing.B, path string, workers int) *Device {
	d, err := New(Options{Workers: workers, Path: path, InputGrad: "int8"})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func benchWeight(b *testing.B, d *Device, f compute.Format, out, in int) compute.Weight {
	w, err := d.Weight(f, out, in, func(first int, dst []float32) error {
		for i := range dst {
			dst[i] = float32((first+i)%17) - 8
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// BenchmarkLinear is y = x Wᵀ on one worker.
func BenchmarkLinear(b *testing.B) {
	for _, path := range Paths() {
		for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8W, compute.FormatInt8} {
			for _, s := range benchShapes {
				b.Run(fmt.Sprintf("%s/%s/%dx%d-%d", path, f, s.n, s.in, s.out), func(b *testing.B) {
					d := benchDevice(b, path, 1)
					w, x, y := benchWeight(b, d, f, s.out, s.in), d.Activation(f, s.n, s.in), d.Alloc(compute.F32, s.n*s.out)
					measure(b, d, 2*float64(s.n)*float64(s.in)*float64(s.out), func() {
						d.Linear(y, nil, x, w, nil, nil, s.n, compute.Random{})
					})
				})
			}
		}
	}
}

// BenchmarkLinearBackward is dx = dy W.
func BenchmarkLinearBackward(b *testing.B) {
	for _, path := range Paths() {
		for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8} {
			for _, s := range benchShapes[:4] {
				b.Run(fmt.Sprintf("%s/%s/%dx%d-%d", path, f, s.n, s.in, s.out), func(b *testing.B) {
					d := benchDevice(b, path, 1)
					w, x, y := benchWeight(b, d, f, s.out, s.in), d.Alloc(compute.F32, s.n*s.in), d.Alloc(compute.F32, s.n*s.out)
					measure(b, d, 2*float64(s.n)*float64(s.in)*float64(s.out), func() {
						d.LinearBackward(x, y, compute.Activation{}, w, nil, compute.AdapterGrad{}, nil, s.n, compute.Random{})
					})
				})
			}
		}
	}
}

// BenchmarkCrossEntropy is the loss and its gradient, as the bundled model has
// it: two products and the exponentials.
func BenchmarkCrossEntropy(b *testing.B) {
	const n, c, v = 512, 192, 32064
	for _, path := range Paths() {
		b.Run(path, func(b *testing.B) {
			d := benchDevice(b, path, 1)
			head := benchWeight(b, d, compute.FormatBF16, v, c)
			h, dh, nll := d.Alloc(compute.F32, n*c), d.Alloc(compute.F32, n*c), d.Alloc(compute.F32, n)
			target, one := d.Alloc(compute.I32, n), d.Alloc(compute.F32, n)
			d.Upload(one, slices.Repeat([]float32{1}, n))
			measure(b, d, 4*n*c*v, func() { d.CrossEntropy(nll, dh, h, head, target, one, n) })
		})
	}
}

// BenchmarkAttention is forward and backward of one document; the operations
// counted are those of the products over the causal half.
func BenchmarkAttention(b *testing.B) {
	heads := compute.Heads{H: 2, K: 2, D: 96}
	for _, path := range Paths() {
		for _, n := range []int{512, 2048} {
			b.Run(fmt.Sprintf("%s/%d", path, n), func(b *testing.B) {
				d := benchDevice(b, path, 1)
				f := func(n int) compute.Buffer { return d.Alloc(compute.F32, n) }
				qkv, g, out, dout, lse := f(n*heads.QKV()), f(n*heads.QKV()), compute.Activation{X: f(n * 192)}, f(n*192), f(n*2)
				rope := compute.Rope{Cos: f(n * 48), Sin: f(n * 48)}
				seq := compute.Sequence{Start: d.Alloc(compute.I32, n), Row: d.Alloc(compute.I32, n)}
				flop := float64(heads.H*heads.D) * float64(n) * float64(n) // one product, half of it
				measure(b, d, 9*flop, func() {
					d.Attention(out, lse, qkv, heads, rope, seq, n)
					d.AttentionBackward(g, dout, out, lse, qkv, heads, rope, seq, n)
				})
			})
		}
	}
}
