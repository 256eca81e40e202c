package cpu

import (
	"fmt"
	"testing"
	"time"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// BenchmarkAttentionCached is one token of Phi-3.5-mini's heads after 2,048 others,
// in GB/s of the cache that it reads, beside a plain sum over as much memory.
func BenchmarkAttentionCached(b *testing.B) {
	heads, past := compute.Heads{H: 32, K: 32, D: 96}, 2048
	rows := (past + 1) * heads.K
	for _, path := range Paths() {
		for _, typ := range []compute.Type{compute.F32, compute.F16, compute.I8} {
			b.Run(fmt.Sprintf("%s/%s", path, typ), func(b *testing.B) {
				d := benchDevice(b, path, 1)
				f := func(n int) compute.Buffer { return d.Alloc(compute.F32, n) }
				kv := compute.Cache{K: d.Alloc(typ, rows*heads.D), V: d.Alloc(typ, rows*heads.D), Cap: past + 1}
				if typ == compute.I8 {
					kv.KScale, kv.VScale = f(rows), f(rows)
				}
				qkv, out, row := f(heads.QKV()), compute.Activation{X: f(heads.H * heads.D)}, d.Alloc(compute.I32, 1)
				rope := compute.Rope{Cos: f(heads.D / 2), Sin: f(heads.D / 2)}
				bytes, best := 2*rows*heads.D*typ.Size(), time.Duration(1<<62)
				for b.Loop() {
					t := time.Now()
					d.AttentionCached(out, qkv, heads, rope, row, kv, past, 1)
					best = min(best, time.Since(t))
				}
				if err := d.Sync(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(bytes)/best.Seconds()/1e9, "best-GB/s")
				b.ReportMetric(best.Seconds()*1e3, "best-ms")
				b.ReportMetric(float64(bytes)/readRate(bytes)/best.Seconds()*100, "%read-ceiling")
			})
		}
	}
}

// readRate is how many bytes a second one core reads of so many.
func readRate(n int) float64 {
	x, best := make([]uint64, n/8), time.Duration(1<<62)
	var sum [4]uint64
	for range 5 {
		t := time.Now()
		for i := 0; i+4 <= len(x); i += 4 {
			sum[0] += x[i]
			sum[1] += x[i+1]
			sum[2] += x[i+2]
			sum[3] += x[i+3]
		}
		best = min(best, time.Since(t))
	}
	if sum[0]+sum[1]+sum[2]+sum[3] == 1 { // keeps the loop
		return 0
	}
	return float64(n) / best.Seconds()
}
