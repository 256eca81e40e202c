package qlora

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/phi3"
)

// twoSides are the inputs and some rows of a linear: y = x wᵀ, both by rows of cols.
type twoSides struct {
	x, w []float32
	cols int
}

// int8Error is the relative error of the product of codes, one scale a row; columns
// in exact are multiplied apart, without rounding (LLM.int8, arXiv 2208.07339).
func (s twoSides) int8Error(exact map[int]bool) float64 {
	var e, n float64
	qx, qw := roundRows(s.x, s.cols, exact), roundRows(s.w, s.cols, exact)
	for i := 0; i < len(s.x); i += s.cols {
		for j := 0; j < len(s.w); j += s.cols {
			want, got := 0.0, 0.0
			for k := range s.cols {
				want += float64(s.x[i+k]) * float64(s.w[j+k])
				got += float64(qx[i+k]) * float64(qw[j+k])
			}
			e, n = e+(got-want)*(got-want), n+want*want
		}
	}
	return math.Sqrt(e / n)
}

func roundRows(v []float32, cols int, exact map[int]bool) []float32 {
	out := slices.Clone(v)
	for ; len(v) > 0; v = v[cols:] {
		top, row := 0.0, out[len(out)-len(v):][:cols]
		for k, x := range row {
			if !exact[k] {
				top = max(top, math.Abs(float64(x)))
			}
		}
		for k, x := range row {
			if !exact[k] && top > 0 {
				row[k] = float32(math.RoundToEven(float64(x)*127/top) * top / 127)
			}
		}
	}
	return out
}

// divided moves a factor a channel from x to w.
func (s twoSides) divided(f func(k int) float64) twoSides {
	out := twoSides{slices.Clone(s.x), slices.Clone(s.w), s.cols}
	for i := range out.x {
		out.x[i] /= float32(f(i % s.cols))
	}
	for i := range out.w {
		out.w[i] *= float32(f(i % s.cols))
	}
	return out
}

func (s twoSides) sizes() (x, w []channel) { return channels(s.x, s.cols), channels(s.w, s.cols) }

// smooth is SmoothQuant with its square root of largest values.
func (s twoSides) smooth() twoSides {
	x, w := s.sizes()
	return s.divided(func(k int) float64 { return math.Sqrt(max(x[k].absmax, 1e-9) / max(w[k].absmax, 1e-9)) })
}

// even is Calibrate's.
func (s twoSides) even() twoSides {
	x, w := s.sizes()
	rms := make([]float64, s.cols)
	for k, c := range w {
		rms[k] = c.rms
	}
	e := balance(x, rms)
	return s.divided(func(k int) float64 { return math.Exp2(float64(e[k])) })
}

// turned multiplies both by Hadamard matrices of up to size channels, the signs of
// channels drawn first unless size is LoadOptions.Hadamard's.
func (s twoSides) turned(size int) twoSides {
	rng, out := rand.New(rand.NewPCG(1, 2)), s.divided(func(int) float64 { return 1 })
	if size > phi3.HadamardSize {
		sign := make([]float64, s.cols)
		for k := range sign {
			sign[k] = float64(1 - 2*rng.IntN(2))
		}
		out = s.divided(func(k int) float64 { return sign[k] })
	}
	for h := 1; h < size && s.cols%(2*h) == 0; h *= 2 {
		for _, v := range [][]float32{out.x, out.w} {
			for i := range v {
				if i%s.cols&h == 0 {
					a, b := v[i], v[i+h]
					v[i], v[i+h] = (a+b)*math.Sqrt2/2, (a-b)*math.Sqrt2/2
				}
			}
		}
	}
	return out
}

func (s twoSides) largest(n int) map[int]bool {
	x, _ := s.sizes()
	order, out := make([]int, s.cols), map[int]bool{}
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, x[b].absmax-x[a].absmax)) })
	for _, k := range order[:n] {
		out[k] = true
	}
	return out
}

// TestRemedies measures what int8 linears lose on real activations and with planted
// outliers, by each remedy that was considered, and that the two chosen earn their
// place: powers of two undo what is planted, where Hadamard matrices alone do not;
// these halve the error before down_proj, where columns of their own do not.
func TestRemedies(t *testing.T) {
	for _, planted := range []bool{false, true} {
		dir := bundledModel
		if planted {
			dir = plantedModel(t)
		}
		o := loadOptions()
		v, err := openSurvey(os.DirFS(dir), o, Env{})
		require.NoError(t, err)
		sum := map[string][]float64{}
		_, err = v.run(context.Background(), [][]int32{surveyTexts(t)[0][:128]}, func(p phi3.Probe) error {
			rows := make([]float32, 64*p.In)
			s, err := twoSides{p.X, rows, p.In}, p.Rows(0, rows)
			even := s.even()
			target := p.Name[strings.LastIndexByte(p.Name, '.')+1:]
			for i, e := range []float64{
				s.int8Error(nil), s.smooth().int8Error(nil), even.int8Error(nil), s.turned(8).int8Error(nil), s.turned(256).int8Error(nil),
				s.int8Error(s.largest(8)), even.turned(8).int8Error(nil),
			} {
				if sum[target] == nil {
					sum[target] = make([]float64, 7)
				}
				sum[target][i] += 100 * e / float64(v.cfg.Layers)
			}
			return err
		})
		require.NoError(t, err)
		v.close()
		for _, target := range Targets() {
			t.Logf("planted %v, %s: plain, smoothed, powers of two, Hadamard 8, 256, 8 columns apart, powers of two and Hadamard 8: %.2f %%", planted, target, sum[target])
		}
		for target, e := range sum {
			if planted && target != OProj {
				require.Less(t, e[2], e[3]/2, target)
			}
		}
		require.Less(t, sum[DownProj][6], 0.65*sum[DownProj][5])
	}
}
