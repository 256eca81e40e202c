//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
	"github.com/borea-go/borea/qlora/internal/compute/optest"
)

// need skips where there is no device; the device it keeps open spares the
// others the making of a context.
func need(t testing.TB) {
	t.Helper()
	n, err := driver.Count()
	if n == 0 {
		t.Skipf("no CUDA device here: %v", err)
	}
	d := open(t, DefaultOptions())
	t.Logf("%s", d.Name())
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

func open(t testing.TB, o Options) *Device {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// variants are the kernel sets that this device can run.
func variants(t testing.TB) map[string]Options {
	all := map[string]Options{}
	for _, real := range []string{"f32", "bf16"} {
		for _, path := range []string{"generic", "hopper"} {
			o := DefaultOptions()
			o.Real, o.Path = real, path
			if real == "f32" && path == "hopper" {
				continue
			}
			d, err := New(o)
			if errors.Is(err, compute.ErrUnsupported) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			all[real+" "+path] = o
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	return all
}

func TestOperations(t *testing.T) {
	need(t)
	for name, o := range variants(t) {
		t.Run(name, func(t *testing.T) { optest.Run(t, func() compute.Device { return open(t, o) }) })
	}
}

func TestNoDevice(t *testing.T) {
	if n, _ := driver.Count(); n > 0 {
		t.Skip("there is a device")
	}
	if _, err := New(DefaultOptions()); !errors.Is(err, compute.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// work is a linear at a size that the tensor cores take.
type work struct{ n, in, out, rank int }

type result struct{ y, u, dx, da, db []float32 }

func normal(rng *rand.Rand, n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64() * scale)
	}
	return v
}

// run computes a linear forward and backward from seeded inputs.
func (w work) run(t *testing.T, d compute.Device, f compute.Format, rnd bool) (r result) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 8))
	put := func(typ compute.Type, v []float32) compute.Buffer {
		b := d.Alloc(typ, len(v))
		d.Upload(b, v)
		return b
	}
	x := d.Activation(f, w.n, w.in)
	gain := make([]float32, w.in)
	for i := range gain {
		gain[i] = 1
	}
	d.RMSNorm(x, d.Alloc(compute.F32, w.n), put(d.Real(), normal(rng, w.n*w.in, 1)), put(compute.F32, gain), w.n, 1e-5)
	values := normal(rng, w.out*w.in, 0.05)
	wt, err := d.Weight(f, w.out, w.in, func(first int, dst []float32) error { copy(dst, values[first*w.in:]); return nil })
	if err != nil {
		t.Fatal(err)
	}
	ad := &compute.Adapter{
		A: put(compute.F32, normal(rng, w.rank*w.in, 0.02)), B: put(compute.F32, normal(rng, w.out*w.rank, 0.02)),
		R: w.rank, Scale: 2, Site: 20,
	}
	g := compute.AdapterGrad{A: d.Alloc(compute.F32, w.rank*w.in), B: d.Alloc(compute.F32, w.out*w.rank)}
	y, u, dx := d.Alloc(d.Real(), w.n*w.out), d.Alloc(d.Real(), w.n*w.rank), d.Alloc(d.Real(), w.n*w.in)
	res, dy := put(d.Real(), normal(rng, w.n*w.out, 1)), put(d.Real(), normal(rng, w.n*w.out, 0.01))
	var random compute.Random
	if rnd {
		random.State = d.Alloc(compute.I32, 4)
		d.Upload(random.State, []int32{1, 2, 3, 4})
	}
	d.Linear(y, res, x, wt, ad, u, w.n, random)
	d.LinearBackward(dx, dy, x, wt, ad, g, u, w.n, random)
	for b, to := range map[compute.Buffer]*[]float32{y: &r.y, u: &r.u, dx: &r.dx, g.A: &r.da, g.B: &r.db} {
		*to = make([]float32, b.Len())
		if err := d.Download(*to, b); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func relative(a, b []float32) float64 {
	var e, s float64
	for i := range b {
		e += float64(a[i]-b[i]) * float64(a[i]-b[i])
		s += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(e / s)
}

// TestTensorCoresAgainstFloat32 holds the products that optest's small shapes do
// not reach against the same device in float32.
func TestTensorCoresAgainstFloat32(t *testing.T) {
	need(t)
	plain := DefaultOptions()
	plain.Real = "f32"
	for name, o := range variants(t) {
		if o.Real == "f32" {
			continue
		}
		for _, grad := range []string{"bf16", "int8"} {
			o.InputGrad = grad
			for _, f := range []compute.Format{compute.FormatBF16, compute.FormatInt8, compute.FormatInt8W, compute.FormatNF4} {
				for _, w := range []work{{300, 256, 384, 64}, {1, 512, 128, 16}, {517, 3072, 640, 64}, {130, 384, 1024, 128}, {200, 192, 576, 8}} {
					t.Run(fmt.Sprintf("%s %s dX %s %+v", name, f, grad, w), func(t *testing.T) {
						a, b := open(t, plain), open(t, o)
						want, got := w.run(t, a, f, false), w.run(t, b, f, false)
						most := map[string]float64{"y": 1e-2, "u": 1e-2, "dx": 1e-2, "da": 1e-2, "db": 1e-2}
						if grad == "int8" && f == compute.FormatInt8 {
							most["dx"] = 2e-2
						}
						for _, c := range []struct {
							name      string
							got, want []float32
						}{{"y", got.y, want.y}, {"u", got.u, want.u}, {"dx", got.dx, want.dx}, {"da", got.da, want.da}, {"db", got.db, want.db}} {
							if e := relative(c.got, c.want); !(e <= most[c.name]) {
								t.Errorf("%s: relative error %.3g", c.name, e)
							}
						}
						if err := errors.Join(a.Close(), b.Close()); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
	}
}

// TestRepeatsAreBitEqual covers split sums and stochastic rounding.
func TestRepeatsAreBitEqual(t *testing.T) {
	need(t)
	for name, o := range variants(t) {
		w := work{700, 384, 512, 64}
		a, b := open(t, o), open(t, o)
		x, y := w.run(t, a, compute.FormatInt8, true), w.run(t, b, compute.FormatInt8, true)
		for i, c := range [][2][]float32{{x.y, y.y}, {x.dx, y.dx}, {x.da, y.da}, {x.db, y.db}} {
			for k := range c[0] {
				if math.Float32bits(c[0][k]) != math.Float32bits(c[1][k]) {
					t.Fatalf("%s: output %d differs at %d", name, i, k)
				}
			}
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestInt8EqualsCPU: codes, sums and the scaled result of the int8 product have
// the CPU's bits.
func TestInt8EqualsCPU(t *testing.T) {
	need(t)
	o := DefaultOptions()
	o.Real = "f32"
	for _, w := range []struct{ n, in, out int }{{5, 40, 7}, {33, 64, 70}, {300, 1024, 256}} {
		d := open(t, o)
		host, err := cpu.New(cpu.DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		var ys [2][]float32
		for i, dev := range []compute.Device{host, d} {
			rng := rand.New(rand.NewPCG(3, 4))
			x, v := dev.Alloc(compute.F32, w.n*w.in), normal(rng, w.n*w.in, 3)
			dev.Upload(x, v)
			m := normal(rng, w.out*w.in, 0.1)
			wt, err := dev.Weight(compute.FormatInt8, w.out, w.in, func(first int, dst []float32) error { copy(dst, m[first*w.in:]); return nil })
			if err != nil {
				t.Fatal(err)
			}
			y := dev.Alloc(compute.F32, w.n*w.out)
			dev.Linear(y, nil, compute.Activation{X: x}, wt, nil, nil, w.n, compute.Random{})
			ys[i] = make([]float32, w.n*w.out)
			if err := dev.Download(ys[i], y); err != nil {
				t.Fatal(err)
			}
		}
		for k := range ys[0] {
			if ys[0][k] != ys[1][k] {
				t.Fatalf("%+v: element %d is %v, the CPU has %v", w, k, ys[1][k], ys[0][k])
			}
		}
		if err := errors.Join(d.Close(), host.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestFlashAgainstFloat32 covers long packed documents and grouped heads.
func TestFlashAgainstFloat32(t *testing.T) {
	need(t)
	plain := DefaultOptions()
	plain.Real = "f32"
	for _, h := range []compute.Heads{{H: 4, K: 4, D: 96}, {H: 4, K: 2, D: 64}, {H: 2, K: 1, D: 128}} {
		for _, length := range [][]int{{700}, {1, 130, 300, 64, 5}} {
			t.Run(fmt.Sprintf("%+v %v", h, length), func(t *testing.T) {
				a, b := open(t, plain), open(t, DefaultOptions())
				want, got := attend(t, a, h, length), attend(t, b, h, length)
				for i, name := range []string{"out", "lse", "dqkv"} {
					if e := relative(got[i], want[i]); !(e <= 1.5e-2) {
						t.Errorf("%s: relative error %.3g", name, e)
					}
				}
				if err := errors.Join(a.Close(), b.Close()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func attend(t *testing.T, d compute.Device, h compute.Heads, length []int) [3][]float32 {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	var start, row []int32
	for _, n := range length {
		at := int32(len(start))
		for i := range n {
			start, row = append(start, at), append(row, int32(i))
		}
	}
	n := len(start)
	put := func(typ compute.Type, v []float32) compute.Buffer {
		b := d.Alloc(typ, len(v))
		d.Upload(b, v)
		return b
	}
	ints := func(v []int32) compute.Buffer {
		b := d.Alloc(compute.I32, len(v))
		d.Upload(b, v)
		return b
	}
	var cos, sin []float32
	for p := range n {
		for i := range h.D / 2 {
			f := float64(p) * math.Pow(10000, -2*float64(i)/float64(h.D))
			cos, sin = append(cos, float32(math.Cos(f))), append(sin, float32(math.Sin(f)))
		}
	}
	rope, seq := compute.Rope{Cos: put(compute.F32, cos), Sin: put(compute.F32, sin)}, compute.Sequence{Start: ints(start), Row: ints(row)}
	qkv, out := put(d.Real(), normal(rng, n*h.QKV(), 1)), compute.Activation{X: d.Alloc(d.Real(), n*h.H*h.D)}
	lse, dqkv := d.Alloc(compute.F32, n*h.H), d.Alloc(d.Real(), n*h.QKV())
	d.Attention(out, lse, qkv, h, rope, seq, n)
	d.AttentionBackward(dqkv, put(d.Real(), normal(rng, n*h.H*h.D, 1)), out, lse, qkv, h, rope, seq, n)
	var r [3][]float32
	for i, b := range []compute.Buffer{out.X, lse, dqkv} {
		r[i] = make([]float32, b.Len())
		if err := d.Download(r[i], b); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestMemoryLimit: the cap is kept, the error typed, and what is idle is given
// back before the device gives up.
func TestMemoryLimit(t *testing.T) {
	need(t)
	o := DefaultOptions()
	o.Memory = 256 << 20
	d := open(t, o)
	mark := d.Mark()
	d.Alloc(compute.U8, 100<<20)
	d.Release(mark)
	d.Alloc(compute.U8, 150<<20)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	d.Alloc(compute.U8, 200<<20)
	if err := d.Sync(); !errors.Is(err, compute.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
	if m := d.MemoryReport(); m.HighWater > o.Memory || m.HighWater < 150<<20 {
		t.Errorf("%+v", m)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestGraph replays captured operations on new inputs.
func TestGraph(t *testing.T) {
	need(t)
	d := open(t, DefaultOptions())
	acc, x := d.Alloc(compute.F32, 1), d.Alloc(compute.F32, 1000)
	step := func() { d.Zero(acc); d.SumSquares(acc, x) }
	step()
	g, err := d.Capture(step)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float32{1, 3} {
		ones := make([]float32, 1000)
		for i := range ones {
			ones[i] = v
		}
		d.Upload(x, ones)
		g.Replay()
		got := make([]float32, 1)
		if err := d.Download(got, acc); err != nil || got[0] != 1000*v*v {
			t.Errorf("%v, %v", got, err)
		}
	}
	if err := errors.Join(g.Free(), d.Close()); err != nil {
		t.Error(err)
	}
}
