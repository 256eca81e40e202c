package compute

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Errors of a Group.
var (
	// ErrDiffer says that ranks hold other bits where all should hold the same.
	ErrDiffer = errors.New("compute: devices that should hold the same values do not")
	// ErrAborted says that Abort was called.
	ErrAborted = errors.New("compute: the group of devices was aborted")
)

// Group joins the devices of one process, ranks 0 to Ranks-1, each with a copy of
// the same model. Its methods are called by one goroutine at a time while no other
// uses the devices, but for Abort.
type Group interface {
	Ranks() int
	// Sum replaces the contents of buffers[i], of rank i, by the sum over the
	// ranks. All are F32 of one length. Terms are added in the order of the ranks,
	// ((b0+b1)+b2)…, so that every rank gets the same bits and a repeated run too.
	// Like a device's operations it may return before the sum is there.
	Sum(buffers ...Buffer) error
	// Same waits for the devices and returns an error that wraps ErrDiffer unless
	// buffers[i], the list of rank i, holds on every rank what it holds on rank 0.
	Same(buffers ...[]Buffer) error
	// Abort ends pending sums with undefined results and makes later calls fail,
	// so that no device waits for one that is lost. Any goroutine may call it.
	Abort()
	// Close comes before the devices' Close.
	Close() error
}

// hostGroup joins any devices through host memory.
type hostGroup struct {
	devices []Device
	aborted atomic.Bool
}

// NewHostGroup joins devices of any kind through host memory: what CPU devices
// need, and the reference for other groups.
func NewHostGroup(devices []Device) Group { return &hostGroup{devices: slices.Clone(devices)} }

// hostPiece is how many values are in host memory at once.
const hostPiece = 1 << 18

// Ranks implements Group.
func (g *hostGroup) Ranks() int { return len(g.devices) }

// CheckRanks reports lists of buffers that a Group cannot take: all must be as
// many as ranks, and agree in type and length.
func CheckRanks(ranks int, buffers ...Buffer) error {
	if len(buffers) != ranks {
		return fmt.Errorf("compute: %d buffers for %d devices", len(buffers), ranks)
	}
	for i, b := range buffers[1:] {
		if b.Type() != buffers[0].Type() || b.Len() != buffers[0].Len() {
			return fmt.Errorf("compute: %s[%d] on device %d, %s[%d] on device 0", b.Type(), b.Len(), i+1, buffers[0].Type(), buffers[0].Len())
		}
	}
	return nil
}

// Sum implements Group.
func (g *hostGroup) Sum(buffers ...Buffer) error {
	if err := CheckRanks(len(g.devices), buffers...); err != nil {
		return err
	}
	sum, part := make([]float32, hostPiece), make([]float32, hostPiece)
	for off := 0; off < buffers[0].Len(); off += hostPiece {
		n := min(hostPiece, buffers[0].Len()-off)
		if err := g.sumPiece(sum[:n], part[:n], buffers, off); err != nil {
			return err
		}
	}
	return nil
}

func (g *hostGroup) sumPiece(sum, part []float32, buffers []Buffer, off int) error {
	if g.aborted.Load() {
		return ErrAborted
	}
	to := sum
	for i, b := range buffers {
		if err := g.devices[i].Download(to, b.Slice(off, len(to))); err != nil {
			return fmt.Errorf("compute: device %d: %w", i, err)
		}
		if i > 0 {
			for k, v := range part {
				sum[k] += v
			}
		}
		to = part
	}
	for i, b := range buffers {
		g.devices[i].Upload(b.Slice(off, len(sum)), sum)
	}
	return nil
}

// Same implements Group.
func (g *hostGroup) Same(buffers ...[]Buffer) error {
	for k := range buffers[0] {
		rank := make([]Buffer, len(buffers))
		for i, list := range buffers {
			rank[i] = list[k]
		}
		if err := g.same(rank); err != nil {
			return fmt.Errorf("compute: buffer %d: %w", k, err)
		}
	}
	return nil
}

func (g *hostGroup) same(buffers []Buffer) error {
	if g.aborted.Load() {
		return ErrAborted
	}
	if err := CheckRanks(len(g.devices), buffers...); err != nil {
		return err
	}
	var first []uint32
	for i, b := range buffers {
		have, err := words(g.devices[i], b)
		if err != nil {
			return fmt.Errorf("device %d: %w", i, err)
		}
		if i == 0 {
			first = have
		} else if !slices.Equal(first, have) {
			return fmt.Errorf("device %d against device 0: %w", i, ErrDiffer)
		}
	}
	return nil
}

// words returns a buffer's elements as bits.
func words(d Device, b Buffer) ([]uint32, error) {
	out := make([]uint32, b.Len())
	if b.Type() == U8 {
		v := make([]uint8, b.Len())
		err := d.Download(v, b)
		for i, x := range v {
			out[i] = uint32(x)
		}
		return out, err
	}
	v := make([]float32, b.Len())
	err := d.Download(v, b)
	for i, x := range v {
		out[i] = math.Float32bits(x)
	}
	return out, err
}

// Abort implements Group.
func (g *hostGroup) Abort() { g.aborted.Store(true) }

// Close implements Group.
func (g *hostGroup) Close() error { return nil }
