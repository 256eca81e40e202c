package so8t

import (
	"math"
	"testing"
)

func loss(t *testing.T, p PET, h []float64, mask []bool, tokens, cols int) (float64, []float64) {
	t.Helper()
	l, g, err := p.Loss(h, mask, tokens, cols)
	if err != nil {
		t.Fatal(err)
	}
	return l, g
}

func TestPETMatchesCentralDifferences(t *testing.T) {
	const tokens, cols = 7, 4
	h, mask := normals(2*tokens*cols, 1), []bool{true, true, true, false, true, true, true, true, true, true, true, false, false, false}
	for _, p := range []PET{{Lambda: 0.05}, {Lambda: 0.05, Huber: 0.8}} {
		_, grad := loss(t, p, h, mask, tokens, cols)
		for i := range h {
			want := central(h, i, func() float64 { l, _ := loss(t, p, h, mask, tokens, cols); return l })
			if math.Abs(grad[i]-want) > 1e-8 {
				t.Errorf("huber %g: grad[%d] = %g, want %g", p.Huber, i, grad[i], want)
			}
		}
	}
}

// By hand: one column, h = 0 1 4 9 gives d = 2 2; padded to five tokens.
func TestPETByHand(t *testing.T) {
	h, mask := []float64{0, 1, 4, 9, 77}, []bool{true, true, true, true, false}
	for want, p := range map[float64]PET{4 * 0.5: {Lambda: 0.5}, 1 * (2 - 0.5) * 0.5: {Lambda: 0.5, Huber: 1}, 2 * 0.5: {Lambda: 0.5, Huber: 2}} {
		if l, _ := loss(t, p, h, mask, 5, 1); math.Abs(l-want) > 1e-15 {
			t.Errorf("%+v: %g, want %g", p, l, want)
		}
	}
}

// The divisor counts live triples, so padding changes nothing.
func TestPETOfPaddedBatchEqualsPlain(t *testing.T) {
	const cols = 3
	h := normals(5*cols, 1)
	want, _ := loss(t, PET{Lambda: 1}, h, []bool{true, true, true, true, true}, 5, cols)
	padded, mask := make([]float64, 9*cols), make([]bool, 9)
	for i := range padded {
		padded[i] = 1e3
	}
	copy(padded[2*cols:], h)
	for i := range 5 {
		mask[2+i] = true
	}
	if got, _ := loss(t, PET{Lambda: 1}, padded, mask, 9, cols); math.Abs(got-want) > 1e-13 {
		t.Errorf("%g, want %g", got, want)
	}
}

func TestPETDoesNotReachAcrossSequences(t *testing.T) {
	mask := []bool{true, true, true, true}
	if l, g := loss(t, PET{Lambda: 1}, []float64{1, -5, 3, 8}, mask, 2, 1); l != 0 || g[0] != 0 {
		t.Errorf("two sequences of two tokens: %g %v", l, g)
	}
}

func TestPETWithoutALiveTripleIsZero(t *testing.T) {
	for name, mask := range map[string][]bool{"short": {true, true}, "broken": {true, true, false, true, true}, "empty": {}} {
		l, g := loss(t, PET{Lambda: 1}, normals(4*len(mask), 1), mask, max(1, len(mask)), 4)
		if l != 0 || len(g) != 4*len(mask) {
			t.Errorf("%s: %g", name, l)
		}
		for _, v := range g {
			if v != 0 {
				t.Errorf("%s: gradient %v", name, g)
			}
		}
	}
}

func TestPETRefuses(t *testing.T) {
	ok := []bool{true, true, true}
	for name, call := range map[string]func() error{
		"negative lambda": func() error { _, _, err := PET{Lambda: -1}.Loss(nil, nil, 1, 1); return err },
		"NaN huber":       func() error { _, _, err := PET{Huber: math.NaN()}.Loss(nil, nil, 1, 1); return err },
		"short h":         func() error { _, _, err := PET{}.Loss(make([]float64, 5), ok, 3, 2); return err },
		"ragged mask":     func() error { _, _, err := PET{}.Loss(make([]float64, 3), ok, 2, 1); return err },
		"no tokens":       func() error { _, _, err := PET{}.Loss(nil, nil, 0, 1); return err },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestScheduleStepsAsTheOriginal(t *testing.T) {
	s := DefaultSchedule()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step, total int
		want        float64
	}{
		{0, 100, 0.01}, {19, 100, 0.01}, {20, 100, 0.05}, {59, 100, 0.05}, {60, 100, 0.1}, {99, 100, 0.1}, {100, 100, 0},
		{0, 9, 0.01}, {1, 9, 0.05}, {3, 9, 0.05}, {4, 9, 0.1}, {8, 9, 0.1}, {9, 9, 0}, // shares 1.8 and 3.6 rounded down
		{0, 1, 0.1}, {5, 0, 0.05}, {5, -1, 0.05},
	} {
		if got := s.At(c.step, c.total); got != c.want {
			t.Errorf("step %d of %d: %g, want %g", c.step, c.total, got, c.want)
		}
	}
}

func TestScheduleRefuses(t *testing.T) {
	for _, s := range []Schedule{
		{Lambda: [3]float64{-1}}, {Lambda: [3]float64{0, math.NaN()}}, {Lambda: [3]float64{0, 0, math.Inf(1)}},
		{Phase: [2]float64{0.7, 0.4}}, {Phase: [2]float64{-0.1, 0.4}}, {Phase: [2]float64{math.NaN(), 0}},
	} {
		if s.Validate() == nil {
			t.Errorf("%+v: no error", s)
		}
	}
}
