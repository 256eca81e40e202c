package optest

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/ref"
)

// Open returns a fresh device.
type Open func() compute.Device

// Case is a piece of work with outputs to compare.
type Case struct {
	Name string
	// Work must give the same inputs whatever device it runs on.
	Work func(*Trial)
	// Tolerance bounds ‖got-want‖ / ‖want‖ of each output.
	Tolerance float64
}

// Trial is one run of a Case on one device.
type Trial struct {
	Dev  compute.Device
	rng  *rand.Rand
	outs []output
	errs []error
}

type output struct {
	name   string
	values []float64
}

func newTrial(d compute.Device) *Trial { return &Trial{Dev: d, rng: rand.New(rand.NewPCG(1, 2))} }

// normal returns n standard normal numbers.
func (r *Trial) normal(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.rng.NormFloat64())
	}
	return v
}

// exact returns rows whose int8 codes and scales are exact: integers up to 127
// in magnitude, which one of them has, times a power of two. They are bfloat16
// numbers as well, so every weight format holds them without error.
func (r *Trial) exact(rows, cols int) []float32 {
	v := make([]float32, rows*cols)
	for i := range rows {
		scale := math.Ldexp(1, -6-r.rng.IntN(3))
		for k := range cols {
			v[i*cols+k] = float32(float64(r.rng.IntN(255)-127) * scale)
		}
		v[i*cols+r.rng.IntN(cols)] = float32(127 * scale)
	}
	return v
}

// levels are the values of the 4-bit codes (QLoRA, arXiv 2305.14314, appendix E).
var levels = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// storable returns rows that format f holds without error.
func (r *Trial) storable(f compute.Format, rows, cols int) []float32 {
	if f != compute.FormatNF4 {
		return r.exact(rows, cols)
	}
	v := make([]float32, rows*cols)
	for i := range v {
		v[i] = levels[r.rng.IntN(16)]
		if i%cols%64 == 0 {
			v[i] = 1 // the absmax of its block
		}
		v[i] *= float32(math.Ldexp(1, -i%cols/64%3))
	}
	return v
}

// put uploads v, which is []float32 or []int32.
func (r *Trial) put(v any) compute.Buffer {
	var b compute.Buffer
	switch s := v.(type) {
	case []float32:
		b = r.Dev.Alloc(compute.F32, len(s))
	case []int32:
		b = r.Dev.Alloc(compute.I32, len(s))
	}
	r.Dev.Upload(b, v)
	return b
}

// real allocates n zeroed activations.
func (r *Trial) real(n int) compute.Buffer { return r.Dev.Alloc(r.Dev.Real(), n) }

// putReal uploads v to an activation buffer.
func (r *Trial) putReal(v []float32) compute.Buffer {
	b := r.real(len(v))
	r.Dev.Upload(b, v)
	return b
}

// activation makes an Activation of exact values with its codes, by rotating
// with identity blocks; cols is a multiple of 8.
func (r *Trial) activation(f compute.Format, v []float32, n, cols int) compute.Activation {
	a := r.Dev.Activation(f, n, cols)
	eye := make([]float32, cols*8)
	for i := range cols {
		eye[i*8+i%8] = 1
	}
	r.Dev.Rotate(a, r.putReal(v), r.put(eye), n, cols)
	return a
}

// weight stores v.
func (r *Trial) weight(f compute.Format, rows, cols int, v []float32) compute.Weight {
	w, err := r.Dev.Weight(f, rows, cols, func(first int, dst []float32) error {
		copy(dst, v[first*cols:])
		return nil
	})
	if errors.Is(err, compute.ErrUnsupported) {
		panic(unsupported{err})
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
	return w
}

// unsupported ends a Case on a device that refuses a weight format.
type unsupported struct{ error }

// out records the first n elements of b.
func (r *Trial) out(name string, b compute.Buffer, n int) {
	v := make([]float32, n)
	if err := r.Dev.Download(v, b.Slice(0, n)); err != nil {
		r.errs = append(r.errs, err)
	}
	w := make([]float64, n)
	for i, x := range v {
		w[i] = float64(x)
	}
	r.outs = append(r.outs, output{name, w})
}

// perform runs c on a fresh device.
func perform(t *testing.T, c Case, d compute.Device) *Trial {
	t.Helper()
	r := newTrial(d)
	defer func() {
		switch v := recover().(type) {
		case nil:
		case unsupported:
			t.Skip(v.error)
		default:
			panic(v)
		}
	}()
	c.Work(r)
	r.errs = append(r.errs, d.Sync())
	for _, err := range r.errs {
		if err != nil {
			t.Fatalf("%s: %v", d.Name(), err)
		}
	}
	return r
}

// Run holds a device against float64.
func Run(t *testing.T, open Open) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			d := open()
			defer d.Close()
			got, want := perform(t, c, d), perform(t, c, ref.New())
			for i, w := range want.outs {
				e, most := relative(got.outs[i].values, w.values), within(d, c.Tolerance)
				if !(e <= most) {
					t.Errorf("%s: relative error %.3g, at most %.3g", w.name, e, most)
				}
			}
		})
	}
	for _, s := range special {
		t.Run(s.name, func(t *testing.T) {
			d := open()
			defer d.Close()
			s.check(t, d)
		})
	}
}

// coarse is what bfloat16 activations may be off by: inputs, intermediate and
// final values each lose up to 2^-9.
const coarse = 0.03

// within is the tolerance for d of a case that float32 meets within f.
func within(d compute.Device, f float64) float64 {
	if d.Real() == compute.BF16 {
		return max(f, coarse)
	}
	return f
}

// Same demands equal bits from two devices.
func Same(t *testing.T, a, b Open) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			x, y := a(), b()
			defer x.Close()
			defer y.Close()
			got, want := perform(t, c, x), perform(t, c, y)
			for i, w := range want.outs {
				for k, v := range w.values {
					if g := got.outs[i].values[k]; math.Float64bits(g) != math.Float64bits(v) {
						t.Fatalf("%s[%d]: %v and %v", w.name, k, g, v)
					}
				}
			}
		})
	}
}

// relative is ‖a-b‖/‖b‖; NaN anywhere gives NaN.
func relative(a, b []float64) float64 {
	var e, s float64
	for i := range b {
		e += (a[i] - b[i]) * (a[i] - b[i])
		s += b[i] * b[i]
	}
	if s == 0 {
		s = 1
	}
	return math.Sqrt(e / s)
}
