package optest

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// dynamic is the table of bitsandbytes' dynamic map: midpoints of 2^e (2^(e+1)
// unsigned) equal cells of [0.1, 1] times 10^(e-6), with 0 and 1.
func dynamic(signed bool) []float64 {
	v := []float64{0, 1}
	for e := range 7 {
		cells := 1 << e
		if !signed {
			cells *= 2
		}
		for i := range cells {
			x := (0.1 + 0.9*(float64(i)+0.5)/float64(cells)) * math.Pow(10, float64(e-6))
			v = append(v, x)
			if signed {
				v = append(v, -x)
			}
		}
	}
	slices.Sort(v)
	return v
}

// nearest is the code of x, and how far x is from the midpoint that decides,
// relative to the cell.
func nearest(table []float64, x float64) (code int, margin float64) {
	best := 0
	for i := range table {
		if math.Abs(table[i]-x) < math.Abs(table[best]-x) {
			best = i
		}
	}
	margin = 1
	for _, j := range []int{best - 1, best + 1} {
		if j >= 0 && j < len(table) {
			mid, cell := (table[best]+table[j])/2, math.Abs(table[best]-table[j])
			margin = min(margin, math.Abs(x-mid)/cell)
		}
	}
	return best, margin
}

// moments8 follows three steps in float64 from the device's own codes.
func moments8(t *testing.T, d compute.Device) {
	r := newTrial(d)
	n := 700
	blocks := (n + 255) / 256
	start := r.normal(n)
	p := r.put(start)
	m := compute.Moments{
		M: d.Alloc(compute.U8, n), V: d.Alloc(compute.U8, n),
		AbsM: d.Alloc(compute.F32, blocks), AbsV: d.Alloc(compute.F32, blocks),
	}
	a := compute.Adam{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, LRScale: 1}
	tm, tv := dynamic(true), dynamic(false)
	for step := range 3 {
		cm, cv := download[uint8](t, d, m.M, n), download[uint8](t, d, m.V, n)
		am, av := download[float32](t, d, m.AbsM, blocks), download[float32](t, d, m.AbsV, blocks)
		pv, g := download[float32](t, d, p, n), r.normal(n)
		b1, b2 := 1-math.Pow(0.9, float64(step+1)), 1-math.Pow(0.99, float64(step+1))
		hyper := []float32{0.01, float32(b1), float32(b2), 0.5}
		d.AdamW(p, r.put(g), m, r.put(hyper), a)
		wp, wm, wv := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			x := float64(g[i]) * 0.5
			beta1, beta2 := float64(a.Beta1), float64(a.Beta2)
			wm[i] = beta1*tm[cm[i]]*float64(am[i/256]) + (1-beta1)*x
			wv[i] = beta2*tv[cv[i]]*float64(av[i/256]) + (1-beta2)*x*x
			wp[i] = float64(pv[i]) - 0.01*(wm[i]/b1/(math.Sqrt(wv[i]/b2)+1e-8)+0.1*float64(pv[i]))
		}
		close32(t, d, "p", download[float32](t, d, p, n), wp)
		sameCodes(t, "M", tm, wm, download[uint8](t, d, m.M, n), download[float32](t, d, m.AbsM, blocks))
		sameCodes(t, "V", tv, wv, download[uint8](t, d, m.V, n), download[float32](t, d, m.AbsV, blocks))
	}
}

func sameCodes(t *testing.T, name string, table, want []float64, codes []uint8, abs []float32) {
	t.Helper()
	for b := range abs {
		lo, hi := b*256, min(len(want), b*256+256)
		top := 0.0
		for _, v := range want[lo:hi] {
			top = max(top, math.Abs(v))
		}
		if math.Abs(float64(abs[b])-top) > 1e-6*top {
			t.Errorf("%s block %d: absmax %v, want %v", name, b, abs[b], top)
		}
		for i := lo; i < hi; i++ {
			code, margin := nearest(table, want[i]/top)
			if int(codes[i]) != code && margin > 1e-4 {
				t.Fatalf("%s[%d]: code %d, want %d for %v", name, i, codes[i], code, want[i]/top)
			}
		}
	}
}

// formats says that a format works or is refused with ErrUnsupported, and that
// a reader's error comes back.
func formats(t *testing.T, d compute.Device) {
	fill := func(_ int, dst []float32) error { clear(dst); return nil }
	for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8, compute.FormatInt8W, compute.FormatNF4} {
		w, err := d.Weight(f, 130, 64, fill)
		switch {
		case errors.Is(err, compute.ErrUnsupported):
		case err != nil:
			t.Errorf("%s: %v", f, err)
		case w.Rows() != 130 || w.Cols() != 64 || w.Format() != f || w.Bytes() < 130*64/2:
			t.Errorf("%s: %d×%d %s, %d bytes", f, w.Rows(), w.Cols(), w.Format(), w.Bytes())
		}
	}
	broken := errors.New("broken source")
	if _, err := d.Weight(compute.FormatF32, 3, 8, func(int, []float32) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("source error lost: %v", err)
	}
	late := errors.New("a later row is broken too")
	for range 20 {
		_, err := d.Weight(compute.FormatF32, 3000, 8, func(first int, dst []float32) error {
			clear(dst)
			if end := first + len(dst)/8; first <= 700 && end > 700 {
				return broken
			} else if first > 700 {
				return late
			}
			return nil
		})
		if !errors.Is(err, broken) {
			t.Fatalf("the first source error is lost: %v", err)
		}
	}
}

// misuse must neither panic nor pass.
func misuse(t *testing.T, d compute.Device) {
	r := newTrial(d)
	f, i := r.real(64), d.Alloc(compute.I32, 8)
	one := d.Alloc(compute.F32, 1)
	for name, wrong := range map[string]func(){
		"upload of another length":   func() { d.Upload(f, make([]float32, 3)) },
		"upload of another type":     func() { d.Upload(i, make([]float32, 8)) },
		"copy between types":         func() { d.Copy(f, i) },
		"buffer too short":           func() { d.SumSquares(one, f); d.Gather(f, f, i, 9, 8) },
		"index outside":              func() { d.Upload(i, []int32{0, 99, 0, 0, 0, 0, 0, 0}); d.Gather(f, f, i, 2, 8) },
		"columns not a multiple":     func() { d.Rotate(compute.Activation{X: f}, f, f, 1, 7) },
		"nil buffer":                 func() { d.RMSNorm(compute.Activation{X: f}, one, nil, f, 1, 0) },
		"slice beyond the end":       func() { d.Zero(f.Slice(60, 5)) },
		"release to an unknown mark": func() { d.Release(1 << 20) },
	} {
		check(t, d.Sync())
		wrong()
		if err := d.Sync(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := d.Sync(); err != nil {
			t.Errorf("%s: error outlives Sync: %v", name, err)
		}
	}
}

// copies moves and clears parts of buffers of every type.
func copies(t *testing.T, d compute.Device) {
	copied(t, d, d.Real(), []float32{1, 2, 3, 4, 5})
	copied(t, d, compute.F32, []float32{1, 2, 3, 4, 5})
	copied(t, d, compute.I32, []int32{1, -2, 3, 4, 5})
	copied(t, d, compute.I8, []int8{1, -2, 3, 4, 5})
	copied(t, d, compute.U8, []uint8{1, 2, 3, 4, 5})
}

func copied[T comparable](t *testing.T, d compute.Device, typ compute.Type, v []T) {
	t.Helper()
	n := len(v)
	a, b := d.Alloc(typ, n), d.Alloc(typ, n)
	d.Upload(a, v)
	d.Copy(b.Slice(1, n-2), a.Slice(2, n-2))
	d.Zero(a.Slice(3, 1))
	var zero T
	want := append(slices.Concat([]T{zero}, v[2:]), zero)
	if got := download[T](t, d, b, n); !slices.Equal(got, want) {
		t.Errorf("%s: copied %v, want %v", typ, got, want)
	}
	want = slices.Concat(v[:3], []T{zero}, v[4:])
	if got := download[T](t, d, a, n); !slices.Equal(got, want) {
		t.Errorf("%s: cleared %v, want %v", typ, got, want)
	}
}

// release checks that memory before the mark survives and later memory is
// zeroed when it comes again.
func release(t *testing.T, d compute.Device) {
	keep := d.Alloc(compute.F32, 10)
	d.Upload(keep, slices.Repeat([]float32{3}, 10))
	for range 3 {
		mark := d.Mark()
		b := d.Alloc(compute.F32, 1000)
		if v := download[float32](t, d, b, 1000); slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) {
			t.Fatal("memory is not zeroed")
		}
		d.Upload(b, slices.Repeat([]float32{7}, 1000))
		d.Release(mark)
	}
	if v := download[float32](t, d, keep, 10); v[0] != 3 || v[9] != 3 {
		t.Errorf("memory before the mark is %v", v)
	}
}

// rotationInPlace demands the bits of a rotation into another buffer, and of each
// token alone; there are enough tokens for devices to turn several together.
func rotationInPlace(t *testing.T, d compute.Device) {
	const n, cols = 2051, 40
	r := newTrial(d)
	x, blocks := r.normal(n*cols), r.put(r.normal(8*cols))
	a, b := d.Activation(compute.FormatInt8, n, cols), d.Activation(compute.FormatInt8, n, cols)
	from := r.putReal(x)
	d.Copy(b.X, from)
	d.Rotate(a, from, blocks, n, cols)
	d.Rotate(b, b.X, blocks, n, cols)
	if want, got := download[float32](t, d, a.X, n*cols), download[float32](t, d, b.X, n*cols); !slices.Equal(want, got) {
		t.Errorf("values differ in place")
	}
	if want, got := download[int8](t, d, a.Q, n*cols), download[int8](t, d, b.Q, n*cols); !slices.Equal(want, got) {
		t.Errorf("codes differ in place")
	}
	for _, row := range []int{0, 1029, n - 1} {
		one := d.Activation(compute.FormatInt8, 1, cols)
		d.Rotate(one, from.Slice(row*cols, cols), blocks, 1, cols)
		want, q := download[float32](t, d, one.X, cols), download[int8](t, d, one.Q, cols)
		if got := download[float32](t, d, a.X.Slice(row*cols, cols), cols); !slices.Equal(want, got) {
			t.Errorf("row %d differs alone", row)
		}
		codes, scale := quantise(want)
		if !slices.Equal(codes, q) || !slices.Equal(codes, download[int8](t, d, a.Q.Slice(row*cols, cols), cols)) {
			t.Errorf("row %d: codes %v, alone %v, want %v", row, download[int8](t, d, a.Q.Slice(row*cols, cols), cols), q, codes)
		}
		if s := download[float32](t, d, a.S.Slice(row, 1), 1); s[0] != scale {
			t.Errorf("row %d: scale %v, want %v", row, s[0], scale)
		}
	}
}
