package optest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/ref"
)

func attentions() (list []Case) {
	for _, a := range []struct {
		heads  compute.Heads
		length []int
	}{
		{compute.Heads{H: 1, K: 1, D: 8}, []int{1}},
		{compute.Heads{H: 2, K: 2, D: 96}, []int{5, 1, 70}},
		{compute.Heads{H: 4, K: 2, D: 8}, []int{300, 17, 260}},
		{compute.Heads{H: 6, K: 2, D: 34}, []int{61}},
	} {
		list = append(list,
			Case{fmt.Sprintf("attention %+v %v", a.heads, a.length), attention(a.heads, a.length), 5e-6},
			Case{fmt.Sprintf("attention with cache %+v", a.heads), cached(a.heads), 5e-6})
	}
	return list
}

// ropeTable is a table of rows positions with attention factor 1.2.
func (r *Trial) ropeTable(rows, d int) compute.Rope {
	var cos, sin []float32
	for p := range rows {
		for i := range d / 2 {
			a := float64(p) * math.Pow(100, -2*float64(i)/float64(d))
			cos, sin = append(cos, float32(1.2*math.Cos(a))), append(sin, float32(1.2*math.Sin(a)))
		}
	}
	return compute.Rope{Cos: r.put(cos), Sin: r.put(sin)}
}

func attention(h compute.Heads, length []int) func(*Trial) {
	return func(r *Trial) {
		start, row := documents(append(length, room)...)
		n, all := len(start)-room, len(start)
		seq := compute.Sequence{Start: r.put(start), Row: r.put(row)}
		rope := r.ropeTable(all, h.D)
		qkv, out := r.putReal(r.normal(all*h.QKV())), compute.Activation{X: r.real(all * h.H * h.D)}
		lse, dqkv := r.Dev.Alloc(compute.F32, all*h.H), r.putReal(r.normal(all*h.QKV()))
		r.Dev.Attention(out, lse, qkv, h, rope, seq, n)
		r.Dev.AttentionBackward(dqkv, r.putReal(r.normal(all*h.H*h.D)), out, lse, qkv, h, rope, seq, n)
		r.out("qkv rotated", qkv, n*h.QKV())
		r.out("out", out.X, n*h.H*h.D)
		r.out("lse", lse, n*h.H)
		r.out("dqkv", dqkv, n*h.QKV())
	}
}

// cached feeds a long piece, single tokens and a short piece.
func cached(h compute.Heads) func(*Trial) {
	return func(r *Trial) {
		size, past := 300, 0
		rope := r.ropeTable(size, h.D)
		kv := compute.Cache{K: r.real(size * h.K * h.D), V: r.real(size * h.K * h.D), Cap: size}
		for _, n := range []int{1, 270, 1, 3, 20} {
			row := make([]int32, n)
			for i := range row {
				row[i] = int32(past + i)
			}
			out, qkv := compute.Activation{X: r.real((n + room) * h.H * h.D)}, r.putReal(r.normal((n+room)*h.QKV()))
			r.Dev.AttentionCached(out, qkv, h, rope, r.put(row), kv, past, n)
			r.out(fmt.Sprintf("out after %d", past), out.X, n*h.H*h.D)
			past += n
		}
		r.out("keys", kv.K, past*h.K*h.D)
	}
}

// smallCaches feeds caches in half precision and in codes, where the device takes
// them. Codes and scales must be those of quantise, and the output that of float64
// attention over what they stand for.
func smallCaches(t *testing.T, d compute.Device) {
	for _, size := range []int{40, 96, 112} {
		smallCachesOf(t, d, compute.Heads{H: 4, K: 2, D: size})
	}
}

func smallCachesOf(t *testing.T, d compute.Device, h compute.Heads) {
	for _, c := range []struct {
		typ    compute.Type
		within float64
	}{{compute.F16, 1e-3}, {compute.I8, 5e-6}} {
		mark := d.Mark()
		f := &feed{Trial: newTrial(d), h: h, n: 150}
		if err := f.run(c.typ); errors.Is(err, compute.ErrUnsupported) {
			t.Logf("a cache of %s: %v", c.typ, err)
			continue
		} else {
			check(t, err)
		}
		if c.typ == compute.I8 {
			f.takeCodes(t, "keys", f.kv.K, f.kv.KScale, h.H)
			f.takeCodes(t, "values", f.kv.V, f.kv.VScale, h.H+h.K)
		}
		if e := relative(widen(f.out), f.want(t)); !(e <= within(d, c.within)) {
			t.Errorf("a cache of %s, %+v: relative error %.3g", c.typ, h, e)
		}
		d.Release(mark)
	}
}

// feed is n tokens on their way through a cache, in pieces of every kind.
type feed struct {
	*Trial
	h   compute.Heads
	n   int
	kv  compute.Cache
	qkv []float32 // rotated
	out []float32
}

func (f *feed) run(typ compute.Type) error {
	h, d, size := f.h, f.Dev, (f.n+room)*f.h.K
	f.kv = compute.Cache{K: d.Alloc(typ, size*h.D), V: d.Alloc(typ, size*h.D), Cap: f.n + room}
	if typ == compute.I8 {
		f.kv.KScale, f.kv.VScale = d.Alloc(compute.F32, size), d.Alloc(compute.F32, size)
	}
	rope := f.ropeTable(f.n, h.D)
	past := 0
	for _, n := range []int{1, 67, 1, 4, 5, 72} {
		row := make([]int32, n)
		for i := range row {
			row[i] = int32(past + i)
		}
		out, qkv := compute.Activation{X: f.real(n * h.H * h.D)}, f.putReal(f.normal(n*h.QKV()))
		d.AttentionCached(out, qkv, h, rope, f.put(row), f.kv, past, n)
		o, x := make([]float32, n*h.H*h.D), make([]float32, n*h.QKV())
		if err := errors.Join(d.Download(o, out.X), d.Download(x, qkv)); err != nil {
			return err
		}
		f.out, f.qkv, past = append(f.out, o...), append(f.qkv, x...), past+n
	}
	return nil
}

// takeCodes compares what the cache holds with the heads from first on of every
// row of qkv, and puts the numbers that it stands for in their place.
func (f *feed) takeCodes(t *testing.T, name string, codes, scale compute.Buffer, first int) {
	h := f.h
	q, s := download[int8](t, f.Dev, codes, codes.Len()), download[float32](t, f.Dev, scale, scale.Len())
	for i := range f.n * h.K {
		token, head := i/h.K, i%h.K
		x := f.qkv[token*h.QKV()+(first+head)*h.D:][:h.D]
		got := q[i*h.D:][:h.D]
		want, ws := quantise(x)
		if gs := s[head*f.kv.Cap+token]; gs != ws || !slices.Equal(got, want) {
			t.Fatalf("%s of token %d, head %d: codes %v scale %v, want %v %v", name, token, head, got, gs, want, ws)
		}
		for j, c := range got {
			x[j] = float32(c) * ws
		}
	}
}

// want is the reference's attention over the rotated rows.
func (f *feed) want(t *testing.T) []float64 {
	r, h := newTrial(ref.New()), f.h
	start, row := documents(f.n)
	one := r.put(slices.Repeat([]float32{1}, f.n*h.D/2))
	out, lse := r.real(f.n*h.H*h.D), r.real(f.n*h.H)
	seq := compute.Sequence{Start: r.put(start), Row: r.put(row)}
	rope := compute.Rope{Cos: one, Sin: r.put(make([]float32, f.n*h.D/2))}
	r.Dev.Attention(compute.Activation{X: out}, lse, r.putReal(f.qkv), h, rope, seq, f.n)
	v := make([]float64, f.n*h.H*h.D)
	check(t, r.Dev.Download(v, out))
	return v
}

func losses() (list []Case) {
	for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8, compute.FormatInt8W} {
		for _, s := range []shape{{1, 16, 70, 0}, {9, 40, 1100, 0}, {290, 24, 101, 0}, {20, 24, 9001, 0}} {
			list = append(list, Case{fmt.Sprintf("cross entropy %s %+v", f, s), crossEntropy(f, s), 5e-6})
		}
	}
	return list
}

func crossEntropy(f compute.Format, s shape) func(*Trial) {
	return func(r *Trial) {
		all := s.n + room
		target, weight := make([]int32, all), make([]float32, all)
		for i := range target {
			target[i] = int32(r.rng.IntN(s.out))
			if i%5 != 1 {
				weight[i] = float32(i%3+1) / 4
			}
		}
		target[1] = -1 // of weight 0: not looked at
		head := r.weight(f, s.out, s.in, r.exact(s.out, s.in))
		h, dh, nll := r.putReal(r.normal(all*s.in)), r.putReal(r.normal(all*s.in)), r.put(r.normal(all))
		r.Dev.CrossEntropy(nll, dh, h, head, r.put(target), r.put(weight), s.n)
		r.out("nll", nll, s.n)
		r.out("dh", dh, s.n*s.in)
		r.Dev.CrossEntropy(nll, nil, h, head, r.put(target), r.put(weight), s.n)
		r.out("nll alone", nll, s.n)
	}
}
