package so8t

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

func normals(n int, s float64) []float64 {
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	v := make([]float64, n)
	for i := range v {
		v[i] = rng.NormFloat64() * s
	}
	return v
}

func TestRotationIsOrthogonalForLargeAngles(t *testing.T) {
	for _, s := range []float64{0, 1e-8, 0.1, 1, 10} {
		r := Rotation(normals(Angles, s))
		if o, _ := Distance(r); o > 1e-12 {
			t.Errorf("scale %g: |RtR-I| = %g", s, o)
		}
	}
}

func TestRotationOfOneAngleIsAPlaneRotation(t *testing.T) {
	theta := make([]float64, Angles)
	theta[0] = 0.3 // rows and columns 0 and 1
	r := Rotation(theta)
	for k, want := range map[int]float64{0: math.Cos(0.3), 1: math.Sin(0.3), Size: -math.Sin(0.3), 2*Size + 2: 1} {
		if math.Abs(r[k]-want) > 1e-14 {
			t.Errorf("R[%d] = %g, want %g", k, r[k], want)
		}
	}
}

// loss is a function of R with a known gradient: Σ c∘R.
func TestRotationBackwardMatchesCentralDifferences(t *testing.T) {
	c := normals(Size*Size, 1)
	for _, s := range []float64{0, 0.1, 2} {
		theta := normals(Angles, s)
		got := RotationBackward(theta, c)
		for k := range theta {
			want := central(theta, k, func() float64 { return dot(Rotation(theta), c) })
			if math.Abs(got[k]-want) > 1e-7 {
				t.Errorf("scale %g, angle %d: %g, want %g", s, k, got[k], want)
			}
		}
	}
}

func dot(a, b []float64) (s float64) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func central(x []float64, i int, f func() float64) float64 {
	const step = 1e-6
	v := x[i]
	x[i] = v + step
	up := f()
	x[i] = v - step
	down := f()
	x[i] = v
	return (up - down) / (2 * step)
}

func TestRotateBackwardMatchesCentralDifferences(t *testing.T) {
	const tokens, cols = 3, 16
	x, rot, dy := normals(tokens*cols, 1), append(Rotation(normals(Angles, 1)), Rotation(normals(Angles, 0.5))...), normals(tokens*cols, 2)
	loss := func() float64 {
		y := make([]float64, len(x))
		Rotate(y, x, rot, tokens)
		return dot(y, dy)
	}
	dx, dr := make([]float64, len(x)), make([]float64, len(rot))
	RotateBackward(dx, dr, dy, x, rot, tokens)
	for i := range x {
		if want := central(x, i, loss); math.Abs(dx[i]-want) > 1e-7 {
			t.Fatalf("dx[%d] = %g, want %g", i, dx[i], want)
		}
	}
	for i := range rot {
		if want := central(rot, i, loss); math.Abs(dr[i]-want) > 1e-7 {
			t.Fatalf("dr[%d] = %g, want %g", i, dr[i], want)
		}
	}
}

func TestBakeEqualsRotatingTheInput(t *testing.T) {
	const rows, cols = 5, 24
	var rot []float64
	for i := range cols / Size {
		rot = append(rot, Rotation(normals(Angles+i, 0.7)[:Angles])...)
	}
	w, x := normals(rows*cols, 1), normals(cols, 1)
	y := make([]float64, cols)
	Rotate(y, x, rot, 1)
	for r := range rows {
		row := append([]float64(nil), w[r*cols:(r+1)*cols]...)
		want := dot(row, y)
		BakeRow(row, rot)
		if got := dot(row, x); math.Abs(got-want) > 1e-12 {
			t.Errorf("row %d: %g, want %g", r, got, want)
		}
	}
}

func TestBakeRowsRefusesWrongSize(t *testing.T) {
	if err := BakeRows(make([]float32, 9), 1, Rotation(normals(Angles, 1))); err == nil {
		t.Error("no error")
	}
}

func TestPETMatchesCentralDifferences(t *testing.T) {
	const tokens, cols = 7, 4
	h, mask := normals(tokens*cols, 1), []bool{true, true, true, false, true, true, true}
	for _, p := range []PET{{Lambda: 0.05}, {Lambda: 0.05, Huber: 0.8}} {
		_, grad := p.Loss(h, mask, cols)
		for i := range h {
			want := central(h, i, func() float64 { l, _ := p.Loss(h, mask, cols); return l })
			if math.Abs(grad[i]-want) > 1e-8 {
				t.Errorf("huber %g: grad[%d] = %g, want %g", p.Huber, i, grad[i], want)
			}
		}
	}
}

func TestPETOfShortTextIsZero(t *testing.T) {
	if l, _ := (PET{Lambda: 1}).Loss(normals(8, 1), []bool{true, true}, 4); l != 0 {
		t.Errorf("loss %g", l)
	}
}

func TestGatesRoundTrip(t *testing.T) {
	g, err := New(2, 16)
	if err != nil {
		t.Fatal(err)
	}
	g.Layers[1][3] = 0.25
	var b bytes.Buffer
	if err := Write(&b, g); err != nil {
		t.Fatal(err)
	}
	r, err := safetensors.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), safetensors.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(r)
	if err != nil || got.Layers[1][3] != 0.25 || len(got.Layers) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	if rep := got.Report(); rep.Blocks != 4 || rep.Orthogonality > 1e-6 || rep.FromIdentity == 0 {
		t.Errorf("report %+v", rep)
	}
}

func TestNewRefusesOddColumns(t *testing.T) {
	if _, err := New(1, 12); err == nil {
		t.Error("no error")
	}
}
