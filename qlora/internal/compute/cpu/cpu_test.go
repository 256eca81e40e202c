package cpu

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/optest"
)

func opener(t testing.TB, o Options) optest.Open {
	return func() compute.Device {
		d, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func TestOperations(t *testing.T) {
	for _, path := range Paths() {
		t.Run(path, func(t *testing.T) { optest.Run(t, opener(t, Options{Workers: 3, Path: path, InputGrad: "f32"})) })
	}
}

func TestWorkersDoNotChangeBits(t *testing.T) {
	for _, path := range Paths() {
		t.Run(path, func(t *testing.T) {
			for _, grad := range []string{"f32", "int8"} {
				optest.Same(t, opener(t, Options{Workers: 1, Path: path, InputGrad: grad}), opener(t, Options{Workers: 5, Path: path, InputGrad: grad}))
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Workers: 0, Path: "auto", InputGrad: "int8"}, {Workers: 1, Path: "abacus", InputGrad: "f32"}, {Workers: 1, InputGrad: "int8"}, {Workers: 1, Path: "auto", InputGrad: "int4"},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v: valid", o)
		}
		if _, err := New(o); err == nil {
			t.Errorf("%+v: opened", o)
		}
	}
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}

// TestForeignAndDeadMemoryIsRefused covers what is invisible on a device whose
// memory is not the host's.
func TestForeignAndDeadMemoryIsRefused(t *testing.T) {
	d, other := opener(t, DefaultOptions())(), opener(t, DefaultOptions())()
	foreign := other.Alloc(compute.F32, 8)
	mark := d.Mark()
	dead := d.Alloc(compute.F32, 8)
	view := dead.Slice(2, 4)
	d.Release(mark)
	w, err := other.Weight(compute.FormatF32, 1, 8, func(_ int, dst []float32) error { clear(dst); return nil })
	if err != nil {
		t.Fatal(err)
	}
	live := d.Alloc(compute.F32, 8)
	for name, use := range map[string]func(){
		"foreign buffer":  func() { d.Zero(foreign) },
		"released buffer": func() { d.Zero(dead) },
		"view of it":      func() { d.Copy(live.Slice(0, 4), view) },
		"foreign weight":  func() { d.Linear(live, nil, compute.Activation{X: live}, w, nil, nil, 1, compute.Random{}) },
		"foreign head":    func() { d.CrossEntropy(live, nil, live, w, live, live, 1) },
		"negative size":   func() { d.Alloc(compute.F32, -1) },
		"bad heads": func() {
			d.Attention(compute.Activation{X: live}, live, live, compute.Heads{H: 3, K: 2, D: 4}, compute.Rope{Cos: live, Sin: live}, compute.Sequence{}, 1)
		},
	} {
		use()
		if err := d.Sync(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		d.Zero(live)
		if err := d.Sync(); err == nil {
			t.Error("a closed device works")
		}
	}
}

// TestDocumentsMustBeContiguous: an impossible Start is refused, not read.
func TestDocumentsMustBeContiguous(t *testing.T) {
	d := opener(t, DefaultOptions())()
	h := compute.Heads{H: 1, K: 1, D: 2}
	f := d.Alloc(compute.F32, 64)
	row := d.Alloc(compute.I32, 4)
	for _, start := range [][]int32{{0, 0, 2, 1}, {0, 2, 2, 2}, {-1, 0, 0, 0}, {0, 0, 0, 9}} {
		s := d.Alloc(compute.I32, 4)
		d.Upload(s, start)
		d.Attention(compute.Activation{X: f.Slice(0, 8)}, f.Slice(8, 4), f.Slice(16, 24), h,
			compute.Rope{Cos: f.Slice(40, 4), Sin: f.Slice(44, 4)}, compute.Sequence{Start: s, Row: row}, 4)
		if d.Sync() == nil {
			t.Errorf("%v: no error", start)
		}
	}
}

// TestNaNStaysNaN: a diverged number must reach the loss in every format.
func TestNaNStaysNaN(t *testing.T) {
	for _, path := range Paths() {
		for _, f := range []compute.Format{compute.FormatF32, compute.FormatInt8} {
			for _, n := range []int{1, 9} {
				d := opener(t, Options{Workers: 1, Path: path, InputGrad: "int8"})()
				w, err := d.Weight(f, 40, 64, func(first int, dst []float32) error { copy(dst, ramp(len(dst), first)); return nil })
				if err != nil {
					t.Fatal(err)
				}
				x, y, v := d.Alloc(compute.F32, n*64), d.Alloc(compute.F32, n*40), ramp(n*64, 3)
				v[(n-1)*64+17] = float32(math.NaN())
				d.Upload(x, v)
				d.Linear(y, nil, compute.Activation{X: x}, w, nil, nil, n, compute.Random{})
				got := make([]float32, n*40)
				if err := d.Download(got, y); err != nil {
					t.Fatal(err)
				}
				if last := got[n*40-1]; last == last {
					t.Errorf("%s %s n=%d: NaN became %v", path, f, n, last)
				}
				nll, target, one := d.Alloc(compute.F32, n), d.Alloc(compute.I32, n), d.Alloc(compute.F32, n)
				d.Upload(one, slices.Repeat([]float32{1}, n))
				head, err := d.Weight(compute.FormatF32, 40, 64, func(first int, dst []float32) error { copy(dst, ramp(len(dst), first)); return nil })
				if err != nil {
					t.Fatal(err)
				}
				d.CrossEntropy(nll, nil, x, head, target, one, n)
				loss := make([]float32, n)
				if err := d.Download(loss, nll); err != nil {
					t.Fatal(err)
				}
				if last := loss[n-1]; last == last {
					t.Errorf("%s n=%d: the loss of NaN is %v", path, n, last)
				}
			}
		}
	}
}

// TestGrowingAllocationsDoNotPileUp: a loop of mark, allocate a little more than
// last time, release must settle at the largest size.
func TestGrowingAllocationsDoNotPileUp(t *testing.T) {
	a := arena{pages: newPages()}
	defer a.pages.close()
	take := func(n int) {
		if _, err := a.take(n); err != nil {
			t.Fatal(err)
		}
	}
	take(100)
	for n := slabFloats; n < 2*slabFloats; n += slabFloats / 16 {
		m := a.mark()
		for range 3 {
			take(n)
		}
		if !a.release(m) {
			t.Fatal("mark lost")
		}
	}
	total := 0
	for _, s := range a.slabs {
		total += len(s)
	}
	if int64(4*total) != a.pages.bytes {
		t.Errorf("%d bytes held, the slabs have %d", a.pages.bytes, 4*total)
	}
	if total > 8*slabFloats {
		t.Errorf("%d floats held, three of %d in use at most", total, 2*slabFloats)
	}
}

// TestHelpersEnd: goroutines that wait for work end by themselves, and a later
// operation starts new ones.
func TestHelpersEnd(t *testing.T) {
	p := newPool(4, newPages())
	for range 3 {
		var done [40]int32
		p.run(len(done), func(_ *worker, i int) { done[i]++ })
		for i, v := range done {
			if v != 1 {
				t.Fatalf("task %d ran %d times", i, v)
			}
		}
		for _, w := range p.workers[1:] {
			for start := time.Now(); w.state.Load() != gone; time.Sleep(time.Millisecond) {
				if time.Since(start) > time.Minute {
					t.Fatal("a helper still waits")
				}
			}
		}
	}
}
