//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// joined opens the first two devices and joins them, or skips.
func joined(t *testing.T) ([]compute.Device, *Group) {
	t.Helper()
	var devices []compute.Device
	for i := range 2 {
		o := DefaultOptions()
		o.Ordinal = i
		d, err := New(o)
		if errors.Is(err, compute.ErrUnsupported) {
			t.Skipf("two CUDA devices are needed: %v", err)
		}
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
	g, err := NewGroup(devices)
	if errors.Is(err, compute.ErrUnsupported) {
		t.Skipf("no NCCL here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return devices, g
}

// fill gives each device random values and returns them with their sum.
func fill(devices []compute.Device, n int, seed uint64) (buffers []compute.Buffer, terms [][]float32, sum []float32) {
	sum = make([]float32, n)
	for i, d := range devices {
		v := normal(rand.New(rand.NewPCG(seed, uint64(i))), n, 1)
		b := d.Alloc(compute.F32, n)
		d.Upload(b, v)
		for k := range v {
			sum[k] += v[k]
		}
		buffers, terms = append(buffers, b), append(terms, v)
	}
	return buffers, terms, sum
}

// hostTurn is a turn in host memory: addresses are places in mem. Value k of rank
// r is 1 + k%7 in the hexadecimal digit r, so that a sum shows where it is from.
type hostTurn struct {
	turn
	ranks, n int
	mem      []int
}

func newHostTurn(ranks, n int) *hostTurn {
	x := &hostTurn{turn: turn{cut: cuts(n, ranks)}, ranks: ranks, n: n}
	parts := (ranks - 1) * x.cut[0].n
	x.mem = make([]int, ranks*(n+parts))
	for i := range ranks {
		x.own, x.part = append(x.own, uint64(4*i*n)), append(x.part, uint64(4*(ranks*n+i*parts)))
		for k := range n {
			x.mem[i*n+k] = (1 + k%7) << (4 * i)
		}
	}
	return x
}

func (x *hostTurn) move(of func(i, j int) driver.Transfer) {
	for i := range x.ranks {
		for j := range x.ranks {
			if m := of(i, j); i != j {
				copy(x.mem[m.To/4:][:m.N], x.mem[m.From/4:][:m.N])
			}
		}
	}
}

// add is the kernel sum_ranks; it reports whether each part is of the rank whose
// turn it is.
func (x *hostTurn) add(rank int) bool {
	s := x.cut[rank]
	own, part := x.mem[int(x.own[rank]/4)+s.first:][:s.n], x.mem[x.part[rank]/4:]
	for k := range own {
		for q := range x.ranks - 1 {
			from := q
			if q >= rank {
				from++
			}
			v := part[q*x.cut[0].n+k]
			if v>>(4*from) < 1 || v>>(4*from) > 7 {
				return false
			}
			own[k] += v
		}
	}
	return true
}

// TestTurnsOfManyRanks moves and adds in host memory what a turn moves and adds on
// devices, for more ranks than there may be.
func TestTurnsOfManyRanks(t *testing.T) {
	for ranks := 2; ranks <= 9; ranks++ {
		for _, n := range []int{1, 64, 65, 64 * ranks, 64*ranks + 1, 5000} {
			x := newHostTurn(ranks, n)
			x.move(x.scatter)
			for j := range ranks {
				if !x.add(j) {
					t.Fatalf("%d ranks, %d values: rank %d has others' values out of order", ranks, n, j)
				}
			}
			x.move(x.gather)
			for i, v := range x.mem[:ranks*n] {
				if want := (1 + i%n%7) * (1<<(4*ranks) - 1) / 15; v != want {
					t.Fatalf("%d ranks, %d values: rank %d has %x at %d, want %x", ranks, n, i/n, v, i%n, want)
				}
			}
		}
	}
}

func TestGroupSums(t *testing.T) {
	devices, g := joined(t)
	t.Logf("NCCL %d", g.Version())
	for _, n := range []int{1, 63, 64, 129, 100_003, 2*sliceFloats + 65} {
		buffers, terms, want := fill(devices, n, uint64(n))
		for again := range 3 {
			for i, d := range devices {
				d.Upload(buffers[i], terms[i])
			}
			if err := g.Sum(buffers...); err != nil {
				t.Fatal(err)
			}
			for i, d := range devices {
				got := make([]float32, n)
				if err := d.Download(got, buffers[i]); err != nil {
					t.Fatal(err)
				}
				for k := range got {
					if math.Float32bits(got[k]) != math.Float32bits(want[k]) {
						t.Fatalf("%d values, time %d, rank %d: element %d is %g, want %g", n, again, i, k, got[k], want[k])
					}
				}
			}
		}
	}
}

// TestGroupSumsViews sums a part of a buffer and leaves the rest.
func TestGroupSumsViews(t *testing.T) {
	devices, g := joined(t)
	buffers, terms, sum := fill(devices, 1000, 9)
	if err := g.Sum(buffers[0].Slice(64, 500), buffers[1].Slice(64, 500)); err != nil {
		t.Fatal(err)
	}
	for i, d := range devices {
		got := make([]float32, 1000)
		if err := d.Download(got, buffers[i]); err != nil {
			t.Fatal(err)
		}
		for k := range got {
			want := terms[i][k]
			if k >= 64 && k < 564 {
				want = sum[k]
			}
			if got[k] != want {
				t.Fatalf("rank %d, element %d: %g, want %g", i, k, got[k], want)
			}
		}
	}
	if g.Sum(buffers[0], buffers[1].Slice(0, 10)) == nil || g.Sum(buffers[1], buffers[0]) == nil {
		t.Error("buffers that do not fit were taken")
	}
	for _, d := range devices {
		if d.Sync() == nil {
			t.Error("a buffer of another device was taken")
		}
	}
}

func TestGroupComparesBits(t *testing.T) {
	devices, g := joined(t)
	var lists [][]compute.Buffer
	codes := make([]uint8, 5001)
	for i := range codes {
		codes[i] = uint8(i * 7)
	}
	for _, d := range devices {
		x, u := d.Alloc(compute.F32, 100_003), d.Alloc(compute.U8, len(codes))
		d.Upload(x, normal(rand.New(rand.NewPCG(1, 1)), 100_003, 1))
		d.Upload(u, codes)
		lists = append(lists, []compute.Buffer{x, u})
	}
	if err := g.Same(lists...); err != nil {
		t.Fatal(err)
	}
	for k, change := range []func(){
		func() { devices[1].Upload(lists[1][1].Slice(5000, 1), []uint8{codes[5000] ^ 1}) },
		func() { devices[1].Upload(lists[1][1], codes); devices[1].Zero(lists[1][0].Slice(77, 1)) },
	} {
		change()
		if err := g.Same(lists...); !errors.Is(err, compute.ErrDiffer) {
			t.Errorf("change %d: %v", k, err)
		}
	}
	swapped := []compute.Buffer{lists[0][0].Slice(1, 1), lists[0][0].Slice(0, 1)}
	if err := g.Same(lists[0][:1], lists[0][:1]); err == nil {
		t.Error("a list of another device's buffers was taken")
	}
	_ = devices[1].Sync()
	straight := []compute.Buffer{lists[1][0].Slice(0, 1), lists[1][0].Slice(1, 1)}
	if err := g.Same(swapped, straight); !errors.Is(err, compute.ErrDiffer) {
		t.Errorf("swapped: %v", err)
	}
}

// TestGroupAbortFreesWaitingDevices leaves the first device waiting for values
// that the second never sends.
func TestGroupAbortFreesWaitingDevices(t *testing.T) {
	devices, g := joined(t)
	buffers, _, _ := fill(devices, 1<<20, 3)
	if err := g.Sum(buffers...); err != nil { // connects the devices
		t.Fatal(err)
	}
	for _, d := range devices {
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.nccl.Await(0, 1, buffers[0].(*buffer).p, 1<<20); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- devices[0].Sync() }()
	select {
	case err := <-done:
		t.Fatalf("nothing was waited for: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	g.Abort()
	select {
	case err := <-done:
		t.Logf("the device came back: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("still waiting")
	}
	if err := g.Sum(buffers...); !errors.Is(err, compute.ErrAborted) {
		t.Errorf("after Abort: %v", err)
	}
}

// BenchmarkGroupSum sums what Phi-3.5-mini's adapters of rank 64 have for gradients.
func BenchmarkGroupSum(b *testing.B) {
	var devices []compute.Device
	for i := range 2 {
		o := DefaultOptions()
		o.Ordinal = i
		d, err := New(o)
		if err != nil {
			b.Skipf("two CUDA devices are needed: %v", err)
		}
		defer d.Close()
		devices = append(devices, d)
	}
	g, err := NewGroup(devices)
	if err != nil {
		b.Skip(err)
	}
	defer g.Close()
	const n = 32 * 64 * 49152
	buffers, _, _ := fill(devices, n, 1)
	sync := func() {
		for _, d := range devices {
			if err := d.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	}
	step := func() {
		if err := g.Sum(buffers...); err != nil {
			b.Fatal(err)
		}
		sync()
	}
	step()
	before := g.Sent()
	for b.Loop() {
		step()
	}
	each := float64(g.Sent()-before) / 2 / float64(b.N)
	b.ReportMetric(each/1e6, "MB-sent")
	b.ReportMetric(each*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
}
