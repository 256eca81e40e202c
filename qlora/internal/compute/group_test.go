package compute_test

import (
	"errors"
	"math"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

// ranks opens CPU devices and joins them.
func ranks(t *testing.T, n int) ([]compute.Device, compute.Group) {
	t.Helper()
	var devices []compute.Device
	for range n {
		d, err := cpu.New(cpu.Options{Workers: 1, Path: "auto", InputGrad: "int8"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		devices = append(devices, d)
	}
	return devices, compute.NewHostGroup(devices)
}

// TestSumAddsInTheOrderOfRanks has terms whose sum depends on the order, at a
// length that takes several turns.
func TestSumAddsInTheOrderOfRanks(t *testing.T) {
	const n = 1<<18 + 77
	devices, g := ranks(t, 3)
	terms := []float32{1e8, 3, -1e8}
	buffers := make([]compute.Buffer, 3)
	for i, d := range devices {
		buffers[i] = d.Alloc(compute.F32, n)
		v := make([]float32, n)
		for k := range v {
			v[k] = terms[(i+k)%3]
		}
		d.Upload(buffers[i], v)
	}
	if err := g.Sum(buffers...); err != nil {
		t.Fatal(err)
	}
	for i, d := range devices {
		got := make([]float32, n)
		if err := d.Download(got, buffers[i]); err != nil {
			t.Fatal(err)
		}
		for k, v := range got {
			want := terms[k%3] + terms[(1+k)%3]
			want += terms[(2+k)%3]
			if v != want {
				t.Fatalf("rank %d, element %d: %g, want %g", i, k, v, want)
			}
		}
	}
}

func TestSameComparesBits(t *testing.T) {
	devices, g := ranks(t, 2)
	lists := make([][]compute.Buffer, 2)
	for i, d := range devices {
		lists[i] = []compute.Buffer{d.Alloc(compute.F32, 3), d.Alloc(compute.U8, 3)}
		d.Upload(lists[i][0], []float32{1, float32(math.NaN()), 3})
		d.Upload(lists[i][1], []uint8{1, 2, 3})
	}
	if err := g.Same(lists...); err != nil {
		t.Error(err)
	}
	devices[1].Upload(lists[1][1], []uint8{1, 2, 4})
	if err := g.Same(lists...); !errors.Is(err, compute.ErrDiffer) {
		t.Errorf("other codes: %v", err)
	}
	devices[1].Upload(lists[1][1], []uint8{1, 2, 3})
	for i, d := range devices { // equal in value, not in bits
		d.Upload(lists[i][0], []float32{0, 0, float32(math.Copysign(0, float64(1-2*i)))})
	}
	if err := g.Same(lists...); !errors.Is(err, compute.ErrDiffer) {
		t.Errorf("another sign of zero: %v", err)
	}
}

func TestGroupRefuses(t *testing.T) {
	devices, g := ranks(t, 2)
	a, b := devices[0].Alloc(compute.F32, 4), devices[1].Alloc(compute.F32, 5)
	if g.Sum(a) == nil || g.Sum(a, b) == nil || g.Sum(a, b.Slice(0, 4), a) == nil {
		t.Error("buffers that do not fit were taken")
	}
	g.Abort()
	if err := g.Sum(a, b.Slice(0, 4)); !errors.Is(err, compute.ErrAborted) {
		t.Errorf("after Abort: %v", err)
	}
	if err := g.Same([]compute.Buffer{a}, []compute.Buffer{b.Slice(0, 4)}); !errors.Is(err, compute.ErrAborted) {
		t.Errorf("after Abort: %v", err)
	}
	if g.Ranks() != 2 || g.Close() != nil {
		t.Error("two ranks")
	}
}
