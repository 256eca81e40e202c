package optest

import (
	"fmt"
	"slices"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// room is how much longer than the work the buffers are.
const room = 3

// none is evaluation: no randomness.
var none compute.Random

// Cases returns the table.
func Cases() []Case {
	list := slices.Concat(linears(), attentions(), losses())
	return append(list,
		Case{"embed", embed, 0},
		Case{"rmsnorm", norm, 3e-6},
		Case{"swiglu", swiglu, 3e-6},
		Case{"rotate", rotate(45, 72), 3e-6},
		Case{"rotate many tokens", rotate(2051, 16), 3e-6},
		Case{"rotation exponential", rotationExp, 3e-6},
		Case{"gather and scatter", gather, 1e-6},
		Case{"mean pool", meanPool, 1e-6},
		Case{"pet", pet(0), 3e-6},
		Case{"pet with huber", pet(0.7), 3e-6},
		Case{"squares and clip", clip, 1e-6},
		Case{"adamw", adamw, 1e-6},
	)
}

type shape struct{ n, in, out, rank int }

func linears() (list []Case) {
	shapes := []shape{{1, 8, 5, 0}, {1, 192, 70, 4}, {3, 264, 33, 0}, {4, 40, 130, 3}, {5, 16, 7, 2}, {61, 328, 75, 9}, {130, 520, 140, 16}}
	for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8, compute.FormatInt8W} {
		for _, s := range shapes {
			list = append(list, Case{fmt.Sprintf("linear %s %+v", f, s), linear(f, s), 3e-6})
		}
	}
	for _, s := range shapes {
		list = append(list, Case{fmt.Sprintf("linear nf4 %+v", s), linear(compute.FormatNF4, s), 3e-6})
	}
	return list
}

func linear(f compute.Format, s shape) func(*Trial) {
	return func(r *Trial) {
		n, d := s.n, r.Dev
		x := r.activation(f, r.exact(n+room, s.in), n+room, s.in)
		w := r.weight(f, s.out, s.in, r.storable(f, s.out, s.in))
		y, res, u := r.real((n+room)*s.out), r.putReal(r.normal((n+room)*s.out)), r.real((n+room)*s.rank)
		var ad *compute.Adapter
		var g compute.AdapterGrad
		if s.rank > 0 {
			ad = &compute.Adapter{A: r.put(r.normal(s.rank * s.in)), B: r.put(r.normal(s.out * s.rank)), R: s.rank, Scale: 0.5}
			g = compute.AdapterGrad{A: r.put(r.normal(s.rank * s.in)), B: r.put(r.normal(s.out * s.rank))}
		}
		d.Linear(y, nil, x, w, ad, u, n, none)
		r.out("y", y, n*s.out)
		d.Linear(y, res, x, w, ad, u, n, none)
		r.out("y with residual", y, n*s.out)
		d.Linear(res, res, x, w, ad, u, n, none)
		r.out("y in place", res, n*s.out)
		dx, dy := r.putReal(r.normal((n+room)*s.in)), r.putReal(r.normal((n+room)*s.out))
		d.LinearBackward(dx, dy, x, w, ad, g, u, n, none)
		d.LinearBackward(nil, dy, x, w, ad, g, u, n, none)
		r.out("dx", dx, n*s.in)
		if ad != nil {
			r.out("u", u, n*s.rank)
			known := *ad
			known.Known = true
			d.Linear(y, nil, x, w, &known, r.putReal(r.normal((n+room)*s.rank)), n, none)
			r.out("y of a known u", y, n*s.out)
			r.out("dA", g.A, s.rank*s.in)
			r.out("dB", g.B, s.out*s.rank)
		}
	}
}

func embed(r *Trial) {
	n, c, v := 70, 24, 50
	ids := make([]int32, n+room)
	for i := range ids {
		ids[i] = int32(r.rng.IntN(v))
	}
	h := r.real((n + room) * c)
	for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8, compute.FormatInt8W, compute.FormatNF4} {
		r.Dev.Embed(h, r.weight(f, v, c, r.storable(f, v, c)), r.put(ids), n, 5, compute.Sequence{}, none)
		r.out("h "+f.String(), h, n*c)
	}
}

func norm(r *Trial) {
	n, c := 37, 200
	x, w, rstd := r.putReal(r.normal((n+room)*c)), r.put(r.normal(c)), r.Dev.Alloc(compute.F32, n+room)
	out := compute.Activation{X: r.real((n + room) * c)}
	dx, dout := r.putReal(r.normal((n+room)*c)), r.putReal(r.normal((n+room)*c))
	r.Dev.RMSNorm(out, rstd, x, w, n, 1e-5)
	r.Dev.RMSNormBackward(dx, dout, x, w, rstd, n)
	r.out("out", out.X, n*c)
	r.out("rstd", rstd, n)
	r.out("dx", dx, n*c)
}

func swiglu(r *Trial) {
	n, f := 19, 77
	v := r.normal((n + room) * 2 * f)
	for i := range v {
		v[i] *= 8
	}
	copy(v, []float32{0, -100, 100, -30, 30, 1e-8})
	gu, dm, dgu := r.putReal(v), r.putReal(r.normal((n+room)*f)), r.real((n+room)*2*f)
	out := compute.Activation{X: r.real((n + room) * f)}
	r.Dev.SwiGLU(out, gu, n, f)
	r.Dev.SwiGLUBackward(dgu, dm, gu, n, f)
	r.out("out", out.X, n*f)
	r.out("dgu", dgu, n*2*f)
	r.Dev.SwiGLUBackward(gu, dm, gu, n, f)
	r.out("dgu in place", gu, n*2*f)
}

func rotate(n, c int) func(*Trial) {
	return func(r *Trial) {
		x, m, dout := r.putReal(r.normal((n+room)*c)), r.put(r.normal(c*8)), r.putReal(r.normal((n+room)*c))
		out := compute.Activation{X: r.real((n + room) * c)}
		dx, dr := r.putReal(r.normal((n+room)*c)), r.put(r.normal(c*8))
		r.Dev.Rotate(out, x, m, n, c)
		r.Dev.RotateBackward(dx, dr, dout, x, m, n, c)
		r.out("out", out.X, n*c)
		r.out("dx", dx, n*c)
		r.out("dr", dr, c*8)
	}
}

func rotationExp(r *Trial) {
	blocks := 11
	theta := r.normal(blocks * 28)
	for i := range theta {
		theta[i] *= float32(i/28) * 0.2 // the first block is zero: R = 1
	}
	th, m := r.put(theta), r.Dev.Alloc(compute.F32, blocks*64)
	dr, dth := r.put(r.normal(blocks*64)), r.put(r.normal(blocks*28))
	r.Dev.RotationExp(m, th, blocks)
	r.Dev.RotationExpBackward(dth, dr, th, blocks)
	r.out("r", m, blocks*64)
	r.out("dtheta", dth, blocks*28)
}

func gather(r *Trial) {
	rows, c := 40, 33
	x, index := r.putReal(r.normal(rows*c)), []int32{39, 0, 7, 12}
	out := r.real(len(index) * c)
	r.Dev.Gather(out, x, r.put(index), 3, c)
	r.Dev.ScatterAdd(x, r.putReal(r.normal(len(index)*c)), r.put(index), 3, c)
	r.out("out", out, 3*c)
	r.out("dx", x, rows*c)
}

func meanPool(r *Trial) {
	rows, c, offset := 50, 20, []int32{2, 3, 40, 47}
	h, out := r.putReal(r.normal(rows*c)), r.real(3*c)
	r.Dev.MeanPool(out, h, r.put(offset), 3, c)
	r.Dev.MeanPoolBackward(h, r.putReal(r.normal(3*c)), r.put(offset), 3, c)
	r.out("out", out, 3*c)
	r.out("dh", h, rows*c)
}

// documents returns the starts of documents of these lengths, and a rope row a
// token, counting anew in each.
func documents(length ...int) (start, row []int32) {
	for _, n := range length {
		at := int32(len(start))
		for i := range n {
			start, row = append(start, at), append(row, int32(i))
		}
	}
	return start, row
}

func pet(delta float32) func(*Trial) {
	return func(r *Trial) {
		start, row := documents(1, 2, 3, 30, 7)
		n, c := len(start)-2, 21
		h, dh := r.putReal(r.normal(len(start)*c)), r.putReal(r.normal(len(start)*c))
		loss, coef := r.put([]float32{0.25}), r.put([]float32{0.125})
		seq := compute.Sequence{Start: r.put(start), Row: r.put(row)}
		r.Dev.PET(loss, dh, h, seq, coef, delta, n, c)
		r.out("loss", loss, 1)
		r.out("dh", dh, n*c)
		r.Dev.PET(loss, nil, h, seq, coef, delta, n, c)
		r.out("loss twice", loss, 1)
	}
}

func clip(r *Trial) {
	acc, hyper := r.put([]float32{0.5}), r.put([]float32{1, 1, 1, 9})
	r.Dev.SumSquares(acc, r.put(r.normal(40000)))
	r.Dev.SumSquares(acc, r.put(r.normal(3)))
	r.out("acc", acc, 1)
	for _, limit := range []float32{0, 1, 1e6} {
		r.Dev.ClipScale(hyper, acc, limit)
		r.out("hyper", hyper, compute.HyperCount)
	}
}

func adamw(r *Trial) {
	n := 5000
	p := r.put(r.normal(n))
	m := compute.Moments{M: r.Dev.Alloc(compute.F32, n), V: r.Dev.Alloc(compute.F32, n)}
	a := compute.Adam{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, LRScale: 2}
	b1, b2 := 1.0, 1.0
	for range 3 {
		b1, b2 = b1*0.9, b2*0.99
		hyper := []float32{0.01, float32(1 - b1), float32(1 - b2), 0.5}
		r.Dev.AdamW(p, r.put(r.normal(n)), m, r.put(hyper), a)
	}
	r.out("p", p, n)
	r.out("m", m.M, n)
	r.out("v", m.V, n)
}
