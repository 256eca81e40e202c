package cpu0

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/internal/cpuid"
)

// allKernels returns every path that this machine can run.
func allKernels() []kernels {
	f := cpuid.X86
	out := []kernels{chooseKernels(cpuid.Features{}), chooseKernels(f)}
	f.AVX512F = false
	return append(out, chooseKernels(f))
}

func normals(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func TestGemmMatchesFloat64(t *testing.T) {
	for _, k := range allKernels() {
		for _, s := range [][3]int{{1, 1, 1}, {5, 7, 3}, {13, 33, 17}, {400, 530, 600}, {12, 32, 1024}} {
			m, n, d := s[0], s[1], s[2]
			a, b := normals(m*d), normals(n*d)
			c := make([]float32, m*n)
			k.gemm(c, n, byLine{a, d}, byLine{b, d}, m, n, d, false)
			k.gemm(c, n, byLine{a, d}, byLine{b, d}, m, n, d, true)
			for i := range m {
				for j := range n {
					want := 0.0
					for p := range d {
						want += 2 * float64(a[i*d+p]) * float64(b[j*d+p])
					}
					if e := math.Abs(want - float64(c[i*n+j])); e > 1e-5*math.Sqrt(float64(d))*4 {
						t.Fatalf("%s %v: c[%d,%d] = %g, want %g", k.name, s, i, j, c[i*n+j], want)
					}
				}
			}
		}
	}
}

func TestExpSum(t *testing.T) {
	for _, k := range allKernels() {
		x := normals(1003)
		x[7], x[1002] = -200, 40
		for i := range x {
			x[i] *= 5
		}
		dst := make([]float32, len(x))
		sum := float64(k.expSum(dst, x, 200))
		total := 0.0
		for i, v := range x {
			want := math.Exp(float64(v - 200))
			total += float64(dst[i])
			if want > 1.7e-38 && math.Abs(float64(dst[i])/want-1) > 3e-7 || want < 1e-38 && dst[i] > 2e-38 {
				t.Fatalf("%s: exp(%g) = %g, want %g", k.name, v-200, dst[i], want)
			}
		}
		if math.Abs(sum/total-1) > 1e-6 {
			t.Fatalf("%s: sum %g, want %g", k.name, sum, total)
		}
	}
}

func BenchmarkGemm(b *testing.B) {
	for _, s := range [][3]int{{512, 576, 192}, {512, 1536, 192}, {512, 9216, 3072}, {512, 32064, 192}} {
		for _, k := range allKernels()[1:] {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", s[0], s[1], s[2], k.name), func(b *testing.B) {
				x, w := normals(s[0]*s[2]), normals(s[1]*s[2])
				c := make([]float32, s[0]*s[1])
				for b.Loop() {
					k.gemm(c, s[1], byLine{x, s[2]}, byLine{w, s[2]}, s[0], s[1], s[2], false)
				}
				b.ReportMetric(2*float64(s[0]*s[1]*s[2])*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
