package optest

import (
	"fmt"
	"math"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/ref"
)

// gradient is an operation as a function of some float64 inputs, and its
// backward operation. Both get inputs freshly uploaded.
type gradient struct {
	name     string
	sizes    []int // of the inputs to differentiate
	out      int
	forward  func(r *Trial, in []compute.Buffer) compute.Buffer
	backward func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer
}

func (g gradient) upload(in [][]float64) (r *Trial, b []compute.Buffer) {
	r = newTrial(ref.New())
	for _, v := range in {
		x := r.real(len(v))
		r.Dev.Upload(x, v)
		b = append(b, x)
	}
	return r, b
}

// value is Σ dout·forward(in).
func (g gradient) value(t *testing.T, in [][]float64, dout []float64) (s float64) {
	r, b := g.upload(in)
	out := make([]float64, g.out)
	check(t, r.Dev.Download(out, g.forward(r, b)))
	for i, v := range out {
		s += v * dout[i]
	}
	return s
}

// TestOracleAgainstCentralDifferences holds the float64 device's own backward
// operations, which every other device is compared with, against differences.
func TestOracleAgainstCentralDifferences(t *testing.T) {
	for _, g := range gradients() {
		t.Run(g.name, func(t *testing.T) {
			src := newTrial(ref.New())
			var in [][]float64
			for _, n := range g.sizes {
				in = append(in, widen(src.normal(n)))
			}
			dout := widen(src.normal(g.out))
			r, b := g.upload(in)
			seed := r.real(g.out)
			r.Dev.Upload(seed, dout)
			for k, db := range g.backward(r, b, seed) {
				got, want := make([]float64, g.sizes[k]), make([]float64, g.sizes[k])
				check(t, r.Dev.Download(got, db))
				for i := range want {
					const h = 1e-5
					x := in[k][i]
					in[k][i] = x + h
					up := g.value(t, in, dout)
					in[k][i] = x - h
					want[i] = (up - g.value(t, in, dout)) / (2 * h)
					in[k][i] = x
				}
				if e := relative(got, want); !(e < 1e-7) {
					t.Errorf("input %d: relative error %.3g", k, e)
				}
			}
		})
	}
}

func gradients() []gradient {
	const n = 5
	heads := compute.Heads{H: 4, K: 2, D: 6}
	sequence := func(r *Trial) compute.Sequence {
		start, row := documents(3, 2)
		return compute.Sequence{Start: r.put(start), Row: r.put(row)}
	}
	normed := func(r *Trial, in []compute.Buffer) (out, rstd compute.Buffer) {
		out, rstd = r.real(n*8), r.real(n)
		r.Dev.RMSNorm(compute.Activation{X: out}, rstd, in[0], r.put(newTrial(r.Dev).normal(8)), n, 1e-5)
		return out, rstd
	}
	// The weight and the adapter of the linear case are the same in every call.
	linearOf := func(r *Trial, in []compute.Buffer) (*compute.Adapter, compute.Weight, compute.Buffer, compute.Buffer) {
		w := r.weight(compute.FormatF32, 7, 8, newTrial(r.Dev).normal(56))
		ad := &compute.Adapter{A: in[1], B: in[2], R: 3, Scale: 0.7}
		y, u := r.real(n*7), r.real(n*3)
		r.Dev.Linear(y, nil, compute.Activation{X: in[0]}, w, ad, u, n, none)
		return ad, w, y, u
	}
	attend := func(r *Trial, in []compute.Buffer) (qkv, out, lse compute.Buffer) {
		qkv, out, lse = r.real(n*heads.QKV()), r.real(n*heads.H*heads.D), r.real(n*heads.H)
		r.Dev.Copy(qkv, in[0])
		r.Dev.Attention(compute.Activation{X: out}, lse, qkv, heads, r.ropeTable(n, heads.D), sequence(r), n)
		return qkv, out, lse
	}
	loss := func(r *Trial, in []compute.Buffer, scale []float64) (nll, dh compute.Buffer) {
		nll, dh = r.real(n), r.real(n*8)
		wt := r.real(n)
		r.Dev.Upload(wt, scale)
		head := r.weight(compute.FormatF32, 11, 8, newTrial(r.Dev).normal(88))
		r.Dev.CrossEntropy(nll, dh, in[0], head, r.put([]int32{3, 0, 10, 7, 7}), wt, n)
		return nll, dh
	}
	petLoss := func(delta float32) gradient {
		pass := func(r *Trial, in []compute.Buffer, coef float64, dh compute.Buffer) compute.Buffer {
			total, c := r.real(1), r.real(1)
			r.Dev.Upload(c, []float64{coef})
			r.Dev.PET(total, dh, in[0], sequence(r), c, delta, n, 8)
			return total
		}
		return gradient{
			fmt.Sprintf("pet delta %v", delta), []int{n * 8}, 1,
			func(r *Trial, in []compute.Buffer) compute.Buffer { return pass(r, in, 1, nil) },
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				v, dh := make([]float64, 1), r.real(n*8)
				_ = r.Dev.Download(v, dout)
				pass(r, in, v[0], dh)
				return []compute.Buffer{dh}
			},
		}
	}
	return []gradient{
		petLoss(0), petLoss(0.8),
		{"rmsnorm", []int{n * 8}, n * 8,
			func(r *Trial, in []compute.Buffer) compute.Buffer { out, _ := normed(r, in); return out },
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				_, rstd := normed(r, in)
				dx := r.real(n * 8)
				r.Dev.RMSNormBackward(dx, dout, in[0], r.put(newTrial(r.Dev).normal(8)), rstd, n)
				return []compute.Buffer{dx}
			}},
		{"linear", []int{n * 8, 3 * 8, 7 * 3}, n * 7,
			func(r *Trial, in []compute.Buffer) compute.Buffer { _, _, y, _ := linearOf(r, in); return y },
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				ad, w, _, u := linearOf(r, in)
				dx, g := r.real(n*8), compute.AdapterGrad{A: r.real(3 * 8), B: r.real(7 * 3)}
				r.Dev.LinearBackward(dx, dout, compute.Activation{X: in[0]}, w, ad, g, u, n, none)
				return []compute.Buffer{dx, g.A, g.B}
			}},
		{"attention", []int{n * heads.QKV()}, n * heads.H * heads.D,
			func(r *Trial, in []compute.Buffer) compute.Buffer { _, out, _ := attend(r, in); return out },
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				qkv, out, lse := attend(r, in)
				g := r.real(n * heads.QKV())
				r.Dev.AttentionBackward(g, dout, compute.Activation{X: out}, lse, qkv, heads, r.ropeTable(n, heads.D), sequence(r), n)
				return []compute.Buffer{g}
			}},
		{"swiglu", []int{n * 16}, n * 8,
			func(r *Trial, in []compute.Buffer) compute.Buffer {
				out := r.real(n * 8)
				r.Dev.SwiGLU(compute.Activation{X: out}, in[0], n, 8)
				return out
			},
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				g := r.real(n * 16)
				r.Dev.SwiGLUBackward(g, dout, in[0], n, 8)
				return []compute.Buffer{g}
			}},
		{"cross entropy", []int{n * 8}, n,
			func(r *Trial, in []compute.Buffer) compute.Buffer {
				nll, _ := loss(r, in, []float64{1, 1, 1, 1, 1})
				return nll
			},
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				scale := make([]float64, n)
				_ = r.Dev.Download(scale, dout)
				_, dh := loss(r, in, scale)
				return []compute.Buffer{dh}
			}},
		{"rotate", []int{n * 16, 2 * 64}, n * 16,
			func(r *Trial, in []compute.Buffer) compute.Buffer {
				out := r.real(n * 16)
				r.Dev.Rotate(compute.Activation{X: out}, in[0], in[1], n, 16)
				return out
			},
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				dx, dr := r.real(n*16), r.real(2*64)
				r.Dev.RotateBackward(dx, dr, dout, in[0], in[1], n, 16)
				return []compute.Buffer{dx, dr}
			}},
		{"rotation exponential", []int{2 * 28}, 2 * 64,
			func(r *Trial, in []compute.Buffer) compute.Buffer {
				m := r.real(2 * 64)
				r.Dev.RotationExp(m, in[0], 2)
				return m
			},
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				g := r.real(2 * 28)
				r.Dev.RotationExpBackward(g, dout, in[0], 2)
				return []compute.Buffer{g}
			}},
		{"mean pool", []int{n * 4}, 2 * 4,
			func(r *Trial, in []compute.Buffer) compute.Buffer {
				out := r.real(2 * 4)
				r.Dev.MeanPool(out, in[0], r.put([]int32{0, 2, 5}), 2, 4)
				return out
			},
			func(r *Trial, in []compute.Buffer, dout compute.Buffer) []compute.Buffer {
				dh := r.real(n * 4)
				r.Dev.MeanPoolBackward(dh, dout, r.put([]int32{0, 2, 5}), 2, 4)
				return []compute.Buffer{dh}
			}},
	}
}

// TestTableSeesAFault proves that a wrong number would be noticed.
func TestTableSeesAFault(t *testing.T) {
	got, want := []float64{1, 2, 3.001}, []float64{1, 2, 3}
	if e := relative(got, want); e < 1e-5 {
		t.Errorf("relative error %g", e)
	}
	if e := relative([]float64{math.NaN(), 2, 3}, want); e <= 1 {
		t.Errorf("NaN gives %g", e)
	}
}

// The table is run from a device's own test with Run; here its size.
func ExampleCases() {
	fmt.Println(len(Cases()) > 50)
	// Output: true
}
