//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// sliceFloats is the most values that a rank sums at once.
const sliceFloats = 8 << 20

// sliceAlign is where slices begin, in values.
const sliceAlign = 64

// Group implements compute.Group for devices of one process. NCCL only moves
// values between them; the sums are taken by a kernel in the order of the ranks.
// So the bits follow from the number of ranks alone, and not from the algorithm,
// protocol or ring order that NCCL would choose for a sum of its own.
//
// A sum is taken in turns. In each the values are cut into a slice a rank; every
// rank gets its slice from the others, adds, and sends the sum to them. Each
// device sends 2(n-1)/n of the buffer, as a ring of n would.
type Group struct {
	devices []*Device
	nccl    *driver.NCCL
	digests []uint64 // one word on each device
	sent    atomic.Int64
}

var _ compute.Group = (*Group)(nil)

// NewGroup joins devices of this package, each another GPU. Without NCCL the
// error wraps driver.ErrNoNCCL and compute.ErrUnsupported.
func NewGroup(devices []compute.Device) (*Group, error) {
	g := &Group{}
	var contexts []*driver.Context
	for i, d := range devices {
		x, ok := d.(*Device)
		if !ok {
			return nil, fmt.Errorf("cuda: device %d is %T: %w", i, d, compute.ErrUnsupported)
		}
		p, err := x.weights.take(8)
		if err != nil {
			return nil, err
		}
		g.devices, g.digests, contexts = append(g.devices, x), append(g.digests, p), append(contexts, x.ctx)
	}
	var err error
	g.nccl, err = driver.OpenNCCL(contexts)
	return g, err
}

// Ranks implements compute.Group.
func (g *Group) Ranks() int { return len(g.devices) }

// Version returns the version of NCCL as it counts: 22809 is 2.28.9.
func (g *Group) Version() int { return g.nccl.Version }

// Sent returns the bytes that all devices together have sent.
func (g *Group) Sent() int64 { return g.sent.Load() }

// Sum implements compute.Group; it queues the work behind that of each device.
func (g *Group) Sum(buffers ...compute.Buffer) error {
	if err := compute.CheckRanks(len(g.devices), buffers...); err != nil {
		return err
	}
	n, at := buffers[0].Len(), make([]uint64, len(buffers))
	for i, b := range buffers {
		at[i] = g.devices[i].call("Sum").f32("buffer", b, n)
	}
	turn := sliceFloats * len(g.devices)
	for off := 0; off < n; off += turn {
		if err := g.turn(at, off, min(turn, n-off)); err != nil {
			return err
		}
	}
	return g.failed()
}

// failed returns what a device complains of; the device keeps it.
func (g *Group) failed() error {
	for i, d := range g.devices {
		if d.err != nil {
			return fmt.Errorf("cuda: device %d of %d: %w", i, len(g.devices), d.err)
		}
	}
	return nil
}

// slice is the part of a turn that a rank sums, in values.
type slice struct{ first, n int }

func cuts(n, ranks int) []slice {
	per := ceil(ceil(n, ranks), sliceAlign) * sliceAlign
	out := make([]slice, ranks)
	for i := range out {
		first := min(i*per, n)
		out[i] = slice{first, min(per, n-first)}
	}
	return out
}

// turn is where things lie while a part of the buffers is summed, by rank.
type turn struct {
	cut  []slice
	own  []uint64 // this part of the buffer
	part []uint64 // the others' values of the rank's slice, in order, each as long as the first slice
}

// scatter is what rank i sends of rank j's slice.
func (t turn) scatter(i, j int) driver.Transfer {
	s, place := t.cut[j], i
	if i > j {
		place--
	}
	return driver.Transfer{From: t.own[i] + uint64(4*s.first), To: t.part[j] + uint64(4*t.cut[0].n*place), N: s.n}
}

// gather is rank i's sum on its way to rank j.
func (t turn) gather(i, j int) driver.Transfer {
	s := t.cut[i]
	return driver.Transfer{From: t.own[i] + uint64(4*s.first), To: t.own[j] + uint64(4*s.first), N: s.n}
}

// turn sums n values from off.
func (g *Group) turn(at []uint64, off, n int) error {
	ranks := len(g.devices)
	t := turn{cut: cuts(n, ranks)}
	stride := t.cut[0].n
	for i, d := range g.devices {
		d.call("Sum")
		t.part = append(t.part, d.temporary(4*stride*(ranks-1)))
		t.own = append(t.own, at[i]+uint64(4*off))
	}
	if err := g.failed(); err != nil {
		return err
	}
	if err := g.exchange(t.scatter); err != nil {
		return err
	}
	for j, d := range g.devices {
		s := t.cut[j]
		a := (&driver.Args{}).Ptr(t.own[j]+uint64(4*s.first)).Ptr(t.part[j]).Ptr(uint64(s.n)).Ptr(uint64(stride)).Int(j, ranks)
		d.flat("sum_ranks", s.n, a)
	}
	return g.exchange(t.gather)
}

// exchange queues the transfers of all ranks to all others.
func (g *Group) exchange(of func(i, j int) driver.Transfer) error {
	t := make([][]driver.Transfer, len(g.devices))
	for i := range t {
		t[i] = make([]driver.Transfer, len(g.devices))
		for j := range t[i] {
			if i != j {
				t[i][j] = of(i, j)
				g.sent.Add(int64(4 * t[i][j].N))
			}
		}
	}
	err := g.nccl.Exchange(t)
	if err == nil {
		return nil
	}
	// Some devices may wait for others already.
	g.Abort()
	return errors.Join(err, g.sync())
}

// sync waits for all devices and returns what they complain of.
func (g *Group) sync() error {
	var errs []error
	for i, d := range g.devices {
		if err := d.Sync(); err != nil {
			errs = append(errs, fmt.Errorf("cuda: device %d of %d: %w", i, len(g.devices), err))
		}
	}
	return errors.Join(errs...)
}

// digestBlocks is the most blocks of the kernel digest.
const digestBlocks = 1024

// Same implements compute.Group. It compares 64-bit digests: other bits go
// unnoticed once in 2^64.
func (g *Group) Same(buffers ...[]compute.Buffer) error {
	if len(buffers) != len(g.devices) {
		return fmt.Errorf("cuda: %d lists of buffers for %d devices", len(buffers), len(g.devices))
	}
	have := make([]uint64, len(buffers))
	for i, list := range buffers {
		g.digest(i, list)
	}
	for i, d := range g.devices {
		d.run(d.ctx.ToHost(unsafe.Pointer(&have[i]), g.digests[i], 8))
		if err := d.Sync(); err != nil {
			return fmt.Errorf("cuda: device %d of %d: %w", i, len(g.devices), err)
		}
		if have[i] != have[0] {
			return fmt.Errorf("cuda: device %d against device 0: %w", i, compute.ErrDiffer)
		}
	}
	return nil
}

// digest queues the digest of a rank's buffers.
func (g *Group) digest(rank int, list []compute.Buffer) {
	d := g.devices[rank]
	d.run(d.ctx.Set(g.digests[rank], 0, 8))
	for k, b := range list {
		c := d.call("Same")
		x := c.buffer("buffer", b)
		if x.p%4 != 0 {
			c.failf("buffer %d begins inside a word", k)
		}
		n := x.n * x.typ.Size()
		a := (&driver.Args{}).Ptr(g.digests[rank]).Ptr(x.p).Ptr(uint64(n)).Int(k)
		d.rows("digest", min(ceil(ceil(n, 4), 256), digestBlocks), a)
	}
}

// Abort implements compute.Group. What NCCL makes of a lost device is of no
// interest beside the loss.
func (g *Group) Abort() { _ = g.nccl.Abort() }

// Close implements compute.Group.
func (g *Group) Close() error {
	err := g.sync()
	if err != nil {
		g.Abort()
	}
	return errors.Join(err, g.nccl.Close())
}
