//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

var _ compute.Snapshotter = (*Device)(nil)

// copier copies to pinned memory on a stream of its own. The memory is kept: to
// make it takes longer than a copy.
type copier struct {
	stream      *driver.Stream
	mem         *driver.Pinned
	ready, done *driver.Event // what is to be copied is there; the copy is made
}

func (d *Device) newCopier() (*copier, error) {
	c := &copier{}
	var errs [3]error
	c.stream, errs[0] = d.ctx.NewStream()
	c.ready, errs[1] = d.ctx.NewEvent()
	c.done, errs[2] = d.ctx.NewEvent()
	return c, errors.Join(errs[:]...)
}

// room makes the pinned memory n bytes large at least.
func (c *copier) room(ctx *driver.Context, n int) (err error) {
	if c.mem != nil && len(c.mem.Bytes()) >= n {
		return nil
	}
	if c.mem != nil {
		if err := c.mem.Free(); err != nil {
			return err
		}
		c.mem = nil
	}
	mem, err := ctx.Pinned(max(n, 1))
	if err == nil {
		c.mem = mem
	}
	return err
}

func (c *copier) free() error {
	errs := []error{c.ready.Free(), c.done.Free(), c.stream.Free()}
	if c.mem != nil {
		errs = append(errs, c.mem.Free())
	}
	return errors.Join(errs...)
}

// snapshot implements compute.Snapshot.
type snapshot struct {
	d     *Device
	c     *copier
	parts [][]byte
}

// Snapshot implements compute.Snapshotter.
func (d *Device) Snapshot(buffers []compute.Buffer) (compute.Snapshot, error) {
	c := d.call("Snapshot")
	total, from := 0, make([]*buffer, len(buffers))
	for i, b := range buffers {
		from[i] = c.buffer("buffer", b)
		total += from[i].n * from[i].typ.Size()
	}
	if d.copier == nil && c.ok() {
		k, err := d.newCopier()
		if err != nil {
			return nil, err
		}
		d.copier = k
	}
	if !c.ok() {
		return nil, d.Sync()
	}
	if err := d.copier.room(d.ctx, total); err != nil {
		return nil, err
	}
	s := &snapshot{d: d, c: d.copier}
	return s, s.begin(from)
}

func (s *snapshot) begin(from []*buffer) error {
	c := s.c
	if err := errors.Join(c.ready.Record(), c.stream.After(c.ready)); err != nil {
		return err
	}
	mem := c.mem.Bytes()
	for _, b := range from {
		n := b.n * b.typ.Size()
		s.parts = append(s.parts, mem[:n:n])
		mem = mem[n:]
		if n == 0 {
			continue
		}
		to := unsafe.Pointer(unsafe.SliceData(s.parts[len(s.parts)-1]))
		if err := c.stream.ToHost(to, b.p, n); err != nil {
			return err
		}
	}
	return c.stream.Record(c.done)
}

// Protect implements compute.Snapshot.
func (s *snapshot) Protect() { s.d.run(s.d.ctx.After(s.c.done)) }

// Contents implements compute.Snapshot.
func (s *snapshot) Contents() ([][]byte, error) { return s.parts, s.c.done.Wait() }
