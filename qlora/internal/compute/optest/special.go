package optest

import (
	"math"
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// special holds what the float64 device cannot answer.
var special = []struct {
	name  string
	check func(*testing.T, compute.Device)
}{
	{"int8 codes", codes},
	{"dropout", dropout},
	{"neftune", neftune},
	{"8-bit moments", moments8},
	{"small caches", smallCaches},
	{"formats", formats},
	{"misuse is a sticky error", misuse},
	{"mark and release", release},
	{"copy and zero", copies},
	{"mapped weights", mapped},
	{"rotation in place", rotationInPlace},
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// download copies n elements of b.
func download[T any](t *testing.T, d compute.Device, b compute.Buffer, n int) []T {
	t.Helper()
	v := make([]T, n)
	check(t, d.Download(v, b.Slice(0, n)))
	return v
}

// quantise is round(127 x / absmax), ties to even, of one row.
func quantise(x []float32) (q []int8, scale float32) {
	var top float32
	for _, v := range x {
		top = max(top, v, -v)
	}
	for _, v := range x {
		c := 0.0
		if top > 0 {
			c = math.RoundToEven(float64(v * (127 / top)))
		}
		q = append(q, int8(c))
	}
	return q, top / 127
}

// codes checks every operation that writes an Activation.
func codes(t *testing.T, d compute.Device) {
	r := newTrial(d)
	n, c := 9, 40
	same := func(name string, a compute.Activation) {
		t.Helper()
		x, q, s := download[float32](t, d, a.X, n*c), download[int8](t, d, a.Q, n*c), download[float32](t, d, a.S, n)
		for i := range n {
			wq, ws := quantise(x[i*c : (i+1)*c])
			if !slices.Equal(q[i*c:(i+1)*c], wq) || s[i] != ws {
				t.Errorf("%s row %d: codes %v scale %v, want %v %v", name, i, q[i*c:(i+1)*c], s[i], wq, ws)
				return
			}
		}
	}
	act := func() compute.Activation { return d.Activation(compute.FormatInt8, n+room, c) }
	x := r.normal((n + room) * c)
	clear(x[2*c : 3*c])
	a := act()
	d.RMSNorm(a, d.Alloc(compute.F32, n), r.putReal(x), r.put(r.normal(c)), n, 1e-5)
	same("RMSNorm", a)
	a = act()
	d.SwiGLU(a, r.putReal(r.normal((n+room)*2*c)), n, c)
	same("SwiGLU", a)
	a = act()
	d.Rotate(a, r.putReal(x), r.put(r.normal(c*8)), n, c)
	same("Rotate", a)
	h := compute.Heads{H: 5, K: 1, D: 8}
	start, row := documents(4, 5)
	seq := compute.Sequence{Start: r.put(start), Row: r.put(row)}
	a = act()
	d.Attention(a, d.Alloc(compute.F32, n*h.H), r.putReal(r.normal(n*h.QKV())), h, r.ropeTable(n, h.D), seq, n)
	same("Attention", a)
	a = act()
	kv := compute.Cache{K: r.real(n * h.D), V: r.real(n * h.D), Cap: n}
	d.AttentionCached(a, r.putReal(r.normal(n*h.QKV())), h, r.ropeTable(n, h.D), seq.Row, kv, 0, n)
	same("AttentionCached", a)
}

// state is a live Random and the words it holds.
func (r *Trial) state() (compute.Random, [2]uint32, [2]uint32) {
	s := []int32{-5, 77, 12, 1}
	return compute.Random{State: r.put(s)}, [2]uint32{uint32(s[0]), uint32(s[1])}, [2]uint32{uint32(s[2]), uint32(s[3])}
}

// uniforms are the numbers of elements [0, n) of a site, by definition.
func uniforms(n int, key, step [2]uint32, site uint32) []float64 {
	u := make([]float64, n)
	for i := range u {
		w := compute.Philox([4]uint32{uint32(i / 4), step[0], step[1], site}, key)
		u[i] = float64(w[i%4]>>8) / (1 << 24)
	}
	return u
}

func widen(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

// product adds s·a·b to c, with (row, k) of a at row·ai+k·ak and so on.
func product(c, a, b []float64, m, n, k, ai, ak, bj, bk int, s float64) {
	for i := range m {
		for j := range n {
			for p := range k {
				c[i*n+j] += s * a[i*ai+p*ak] * b[j*bj+p*bk]
			}
		}
	}
}

// dropout checks that a zero Random drops nothing and a live one what Philox
// says, forward and backward.
func dropout(t *testing.T, d compute.Device) {
	r := newTrial(d)
	n, in, out, rank, p := 21, 56, 30, 4, 0.25
	xv, wv, av, bv, dyv := r.normal(n*in), r.normal(out*in), r.normal(rank*in), r.normal(out*rank), r.normal(n*out)
	ad := &compute.Adapter{A: r.put(av), B: r.put(bv), R: rank, Scale: 2, Dropout: float32(p), Site: 19}
	g := compute.AdapterGrad{A: d.Alloc(compute.F32, rank*in), B: d.Alloc(compute.F32, out*rank)}
	x, w := compute.Activation{X: r.putReal(xv)}, r.weight(compute.FormatF32, out, in, wv)
	y, u, dx := r.real(n*out), r.real(n*rank), r.real(n*in)
	live, key, step := r.state()
	d.Linear(y, nil, x, w, ad, u, n, live)
	d.LinearBackward(dx, r.putReal(dyv), x, w, ad, g, u, n, live)

	X, W, A, B, DY := widen(xv), widen(wv), widen(av), widen(bv), widen(dyv)
	mask, drop := make([]float64, n*in), make([]float64, n*in)
	for i, v := range uniforms(n*in, key, step, 19) {
		if v >= p {
			mask[i] = 1 / (1 - p)
		}
		drop[i] = X[i] * mask[i]
	}
	wy, wu, wdx, wdu, through := make([]float64, n*out), make([]float64, n*rank), make([]float64, n*in), make([]float64, n*rank), make([]float64, n*in)
	wga, wgb := make([]float64, rank*in), make([]float64, out*rank)
	product(wu, drop, A, n, rank, in, in, 1, in, 1, 1)
	product(wy, X, W, n, out, in, in, 1, in, 1, 1)
	product(wy, wu, B, n, out, rank, rank, 1, rank, 1, 2)
	product(wdu, DY, B, n, rank, out, out, 1, 1, rank, 2)
	product(wga, wdu, drop, rank, in, n, 1, rank, 1, in, 1)
	product(wgb, DY, wu, out, rank, n, 1, out, 1, rank, 2)
	product(through, wdu, A, n, in, rank, rank, 1, 1, in, 1)
	product(wdx, DY, W, n, in, out, out, 1, 1, in, 1)
	for i := range wdx {
		wdx[i] += mask[i] * through[i]
	}
	close32(t, d, "y", download[float32](t, d, y, n*out), wy)
	close32(t, d, "u", download[float32](t, d, u, n*rank), wu)
	close32(t, d, "dx", download[float32](t, d, dx, n*in), wdx)
	close32(t, d, "dA", download[float32](t, d, g.A, rank*in), wga)
	close32(t, d, "dB", download[float32](t, d, g.B, out*rank), wgb)
	d.Linear(y, nil, x, w, ad, u, n, none)
	clear(wu)
	product(wu, X, A, n, rank, in, in, 1, in, 1, 1)
	close32(t, d, "u of evaluation", download[float32](t, d, u, n*rank), wu)
}

func close32(t *testing.T, d compute.Device, name string, got []float32, want []float64) {
	t.Helper()
	if e := relative(widen(got), want); !(e <= within(d, 3e-6)) {
		t.Errorf("%s: relative error %.3g", name, e)
	}
}

func neftune(t *testing.T, d compute.Device) {
	r := newTrial(d)
	start, row := documents(3, 10, 1)
	n, c, v, alpha := len(start), 24, 40, 5.0
	ids, table := make([]int32, n), r.normal(v*c)
	for i := range ids {
		ids[i] = int32(r.rng.IntN(v))
	}
	live, key, step := r.state()
	h := r.real(n * c)
	seq := compute.Sequence{Start: r.put(start), Row: r.put(row)}
	d.Embed(h, r.weight(compute.FormatF32, v, c, table), r.put(ids), n, float32(alpha), seq, live)
	want := make([]float64, n*c)
	for i, u := range uniforms(n*c, key, step, compute.SiteNEFTune) {
		t := i / c
		length := map[int32]float64{0: 3, 3: 10, 13: 1}[start[t]]
		want[i] = float64(table[int(ids[t])*c+i%c]) + alpha/math.Sqrt(length*float64(c))*(2*u-1)
	}
	close32(t, d, "h", download[float32](t, d, h, n*c), want)
}
