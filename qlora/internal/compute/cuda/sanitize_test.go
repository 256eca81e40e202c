//go:build cuda && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/optest"
)

// lasting is a device that many cases use one after another.
type lasting struct {
	*Device
	mark int
}

// Close gives back what a case took.
func (l lasting) Close() error {
	l.Release(l.mark)
	return l.Sync()
}

// TestSmallShapes runs every kernel on one device a variant, at the smallest shapes
// that it takes: work for compute-sanitizer, for which a device takes seconds to open.
//
//	compute-sanitizer --tool racecheck cuda.test -test.run TestSmallShapes
func TestSmallShapes(t *testing.T) {
	need(t)
	for name, o := range variants(t) {
		d := open(t, o)
		t.Run(name+"/operations", func(t *testing.T) {
			optest.Run(t, func() compute.Device { return lasting{d, d.Mark()} })
		})
		for _, f := range []compute.Format{compute.FormatBF16, compute.FormatInt8, compute.FormatInt8W, compute.FormatNF4} {
			for _, w := range []work{{140, 256, 384, 64}, {33, 128, 256, 8}, {70, 384, 128, 128}} {
				t.Run(fmt.Sprintf("%s/linear/%s/%+v", name, f, w), func(t *testing.T) {
					defer lasting{d, d.Mark()}.Close()
					r := w.run(t, d, f, true)
					finite(t, r.y, r.u, r.dx, r.da, r.db)
				})
			}
		}
		for _, h := range []compute.Heads{{H: 2, K: 1, D: 96}, {H: 2, K: 2, D: 64}, {H: 2, K: 1, D: 128}} {
			t.Run(fmt.Sprintf("%s/attention/%+v", name, h), func(t *testing.T) {
				defer lasting{d, d.Mark()}.Close()
				r := attend(t, d, h, []int{1, 130, 64, 5})
				finite(t, r[:]...)
			})
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func finite(t *testing.T, all ...[]float32) {
	t.Helper()
	for i, v := range all {
		sum := 0.0
		for _, x := range v {
			sum += math.Abs(float64(x))
		}
		if !(sum > 0 && sum <= math.MaxFloat32) {
			t.Errorf("output %d sums up to %v", i, sum)
		}
	}
}
