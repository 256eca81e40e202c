package so8t

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

func normals(n int, s float64) []float64 {
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	v := make([]float64, n)
	for i := range v {
		v[i] = rng.NormFloat64() * s
	}
	return v
}

func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}

func dot(a, b []float64) (s float64) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// central is the central difference of f in x[i].
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

// distance is the largest difference of elements over the largest element of b.
func distance(a, b []float64) float64 {
	d, top := 0.0, 0.0
	for i := range a {
		d, top = math.Max(d, math.Abs(a[i]-b[i])), math.Max(top, math.Abs(b[i]))
	}
	if d == 0 {
		return 0
	}
	return d / top
}

func TestExponentialAndDerivativeEqualScipy(t *testing.T) {
	data, err := os.ReadFile("testdata/exp.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Cases []struct {
			Scale                float64
			Theta, R, Dr, DTheta []float64
		}
	}
	if err := json.Unmarshal(data, &f); err != nil || len(f.Cases) < 8 {
		t.Fatal(len(f.Cases), err)
	}
	for _, c := range f.Cases {
		if d := distance(Rotation(c.Theta), c.R); d > 1e-13*(1+c.Scale*10) {
			t.Errorf("scale %g: R differs by %g", c.Scale, d)
		}
		if d := distance(RotationBackward(c.Theta, c.Dr), c.DTheta); d > 1e-13*(1+c.Scale*10) {
			t.Errorf("scale %g: dtheta differs by %g", c.Scale, d)
		}
	}
}

func TestOwnExponentialEqualsTheOracle(t *testing.T) {
	dr := normals(Size*Size, 1)
	for _, s := range []float64{0, 1e-12, 1e-3, 0.02, 0.1, 0.5, 2, 20} {
		for i := range 20 {
			theta := normals(Angles+i, s)[:Angles]
			if d := distance(Rotation(theta), Oracle(theta)); d > 1e-13*(1+5*s) {
				t.Errorf("scale %g: R differs by %g", s, d)
			}
			if d := distance(RotationBackward(theta, dr), OracleBackward(theta, dr)); d > 1e-13*(1+5*s) {
				t.Errorf("scale %g: dtheta differs by %g", s, d)
			}
		}
	}
}

func TestRotationIsOrthogonalForLargeAngles(t *testing.T) {
	for _, s := range []float64{0, 1e-8, 0.1, 1, 10, 100} {
		if o, _ := Distance(Rotation(normals(Angles, s))); o > 1e-13*(1+10*s) {
			t.Errorf("scale %g: |RtR-I| = %g", s, o)
		}
	}
}

func TestRotationOfOneAngleIsAPlaneRotation(t *testing.T) {
	theta := make([]float64, Angles)
	theta[0] = 0.3 // rows and columns 0 and 1
	r := Rotation(theta)
	for k, want := range map[int]float64{0: math.Cos(0.3), 1: math.Sin(0.3), Size: -math.Sin(0.3), 2*Size + 2: 1} {
		if math.Abs(r[k]-want) > 1e-15 {
			t.Errorf("R[%d] = %g, want %g", k, r[k], want)
		}
	}
}

func TestZeroAnglesAreExactlyTheIdentity(t *testing.T) {
	for k, v := range Rotations(make([]float32, 2*Angles)) {
		want := 0.0
		if k%(Size*Size)%(Size+1) == 0 {
			want = 1
		}
		if v != want {
			t.Fatalf("R[%d] = %g", k, v)
		}
	}
}

// The original squared all blocks as often as the largest needed and lost the
// small ones.
func TestOneLargeBlockDoesNotSpoilSmallOnes(t *testing.T) {
	theta := narrow(normals(3*Angles, 0.01))
	for i := range Angles {
		theta[Angles+i] *= 1e6
	}
	r := Rotations(theta)
	for _, b := range []int{0, 2} {
		alone := Rotations(theta[b*Angles : (b+1)*Angles])
		if distance(r[b*64:(b+1)*64], alone) != 0 {
			t.Errorf("block %d depends on its neighbours", b)
		}
	}
}

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

func TestBatchesEqualSingleBlocks(t *testing.T) {
	theta, dr := narrow(normals(3*Angles, 0.4)), normals(3*Size*Size, 1)
	r := Rotations(theta)
	grad, err := RotationsBackward(theta, dr)
	if err != nil {
		t.Fatal(err)
	}
	for b := range 3 {
		one := make([]float64, Angles)
		for k := range one {
			one[k] = float64(theta[b*Angles+k])
		}
		if distance(r[b*64:(b+1)*64], Rotation(one)) != 0 || distance(grad[b*Angles:(b+1)*Angles], RotationBackward(one, dr[b*64:(b+1)*64])) != 0 {
			t.Errorf("block %d differs", b)
		}
	}
	var se *SizeError
	if _, err := RotationsBackward(theta, dr[1:]); !errors.As(err, &se) {
		t.Error(err)
	}
	if _, err := RotationsBackward(theta[1:], dr); !errors.As(err, &se) {
		t.Error(err)
	}
}

func TestAnglesThatAreNotFiniteGiveNaN(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		theta := normals(Angles, 0.1)
		theta[5] = bad
		r := Rotation(theta)
		if !math.IsNaN(r[0]) {
			t.Errorf("%g: %g", bad, r[0])
		}
		if o, d := Distance(r); !math.IsNaN(o) || !math.IsNaN(d) {
			t.Errorf("%g: distance %g %g", bad, o, d)
		}
	}
}

func TestRotateAndBackwardMatchCentralDifferences(t *testing.T) {
	const tokens, cols = 3, 16
	x, rot, dy := normals(tokens*cols, 1), append(Rotation(normals(Angles, 1)), Rotation(normals(Angles, 0.5))...), normals(tokens*cols, 2)
	y := make([]float64, len(x))
	loss := func() float64 {
		if err := Rotate(y, x, rot, tokens); err != nil {
			t.Fatal(err)
		}
		return dot(y, dy)
	}
	dx, dr := make([]float64, len(x)), make([]float64, len(rot))
	dr[3] = 10 // it is added to
	if err := RotateBackward(dx, dr, dy, x, rot, tokens); err != nil {
		t.Fatal(err)
	}
	dr[3] -= 10
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

// From angles to loss in one chain, as training runs it.
func TestChainFromAnglesToLoss(t *testing.T) {
	const tokens, cols = 4, 8
	theta, x, dy := normals(Angles, 0.3), normals(tokens*cols, 1), normals(tokens*cols+1, 1)[1:]
	y, dx, dr := make([]float64, len(x)), make([]float64, len(x)), make([]float64, Size*Size)
	if err := RotateBackward(dx, dr, dy, x, Rotation(theta), tokens); err != nil {
		t.Fatal(err)
	}
	got := RotationBackward(theta, dr)
	for k := range theta {
		want := central(theta, k, func() float64 {
			if err := Rotate(y, x, Rotation(theta), tokens); err != nil {
				t.Fatal(err)
			}
			return dot(y, dy)
		})
		if math.Abs(got[k]-want) > 1e-7 {
			t.Errorf("angle %d: %g, want %g", k, got[k], want)
		}
	}
}

func TestFloat32RowsRoundOnce(t *testing.T) {
	const tokens = 5
	rot := Rotation(normals(Angles, 1))
	x := narrow(normals(tokens*Size, 1))
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	y, want := make([]float32, len(x)), make([]float64, len(x))
	if err := errors.Join(Rotate(y, x, rot, tokens), Rotate(want, wide, rot, tokens)); err != nil {
		t.Fatal(err)
	}
	for i := range y {
		if y[i] != float32(want[i]) {
			t.Errorf("y[%d] = %g, want %g", i, y[i], want[i])
		}
	}
}

func TestRotateRefusesWrongSizes(t *testing.T) {
	rot, ok, short := Rotation(make([]float64, Angles)), make([]float32, 16), make([]float32, 15)
	dr := make([]float64, 64)
	for name, err := range map[string]error{
		"x": Rotate(ok, short, rot, 2), "y": Rotate(short, ok, rot, 2),
		"dx": RotateBackward(short, dr, ok, ok, rot, 2), "dy": RotateBackward(ok, dr, short, ok, rot, 2),
		"dr": RotateBackward(ok, dr[1:], ok, ok, rot, 2),
	} {
		var se *SizeError
		if !errors.As(err, &se) || se.What != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkRotations(b *testing.B) {
	theta := narrow(normals(384*Angles, 0.1)) // one layer of Phi-3.5
	for b.Loop() {
		Rotations(theta)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/384, "ns/block")
}

func BenchmarkRotationsBackward(b *testing.B) {
	theta, dr := narrow(normals(384*Angles, 0.1)), normals(384*64, 1)
	for b.Loop() {
		if _, err := RotationsBackward(theta, dr); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/384, "ns/block")
}

func BenchmarkOracle(b *testing.B) {
	theta := normals(Angles, 0.1)
	for b.Loop() {
		Oracle(theta)
	}
}
