//go:build unix

package gguf

import (
	"math/rand/v2"
	"testing"
)

// gaussians are a million weights, in rows of 4096, and an importance matrix.
func gaussians() (x, v []float32) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, v = make([]float32, 1<<20), make([]float32, 4096)
	families[0].make(rng, x)
	importances[2].make(rng, v)
	return x, v
}

func rate(b *testing.B, weights int) {
	b.ReportMetric(float64(weights)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
}

func BenchmarkQuantize(b *testing.B) {
	x, v := gaussians()
	for _, typ := range encodable {
		dst := make([]byte, len(x)/typ.BlockSize()*typ.BlockBytes())
		for _, r := range routes() {
			for name, w := range map[string][]float32{"plain": nil, "importance": v} {
				b.Run(typ.String()+"/"+r.String()+"/"+name, func(b *testing.B) {
					force(b, r)
					for range b.N {
						if err := Quantize(typ, dst, x, len(v), w); err != nil {
							b.Fatal(err)
						}
					}
					rate(b, len(x))
				})
			}
		}
	}
}

// BenchmarkDequantize decodes into 128 KiB, which stay in a cache, and into 256 MiB, which do not. copy/decode is
// the time that copying the decoded floats takes, as a share of the time of decoding.
func BenchmarkDequantize(b *testing.B) {
	x, _ := gaussians()
	for _, size := range []struct {
		name    string
		weights int
	}{{"cached", 1 << 15}, {"memory", 1 << 26}} {
		from, to := make([]float32, size.weights), make([]float32, size.weights)
		for i := 0; i < len(from); i += len(x) {
			copy(from[i:], x)
		}
		for _, typ := range encodable {
			src := make([]byte, len(from)/typ.BlockSize()*typ.BlockBytes())
			force(b, widest())
			if err := Quantize(typ, src, from, 4096, nil); err != nil {
				b.Fatal(err)
			}
			for _, r := range routes() {
				b.Run(typ.String()+"/"+r.String()+"/"+size.name, func(b *testing.B) {
					force(b, r)
					benchmarkDecode(b, typ, to, from, src)
				})
			}
		}
	}
}

// benchmarkDecode alternates decoding and copying, so that both see the same machine.
func benchmarkDecode(b *testing.B, typ Type, to, from []float32, src []byte) {
	var decoding, copying int64
	for range b.N {
		start := processorTime()
		for range max(1, 1<<22/len(to)) {
			if err := Dequantize(typ, to, src); err != nil {
				b.Fatal(err)
			}
		}
		middle := processorTime()
		for range max(1, 1<<22/len(to)) {
			copy(to, from)
		}
		decoding += int64(middle - start)
		copying += int64(processorTime() - middle)
	}
	b.ReportMetric(float64(copying)/float64(decoding), "copy/decode")
	b.ReportMetric(float64(max(1<<22, len(to)))*float64(b.N)/float64(decoding)*1e3, "Mweights/s")
}
