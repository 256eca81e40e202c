//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// Device implements compute.Device.
type Device struct {
	opts    Options
	real    compute.Type
	hopper  bool
	ctx     *driver.Context
	kern    map[string]driver.Function
	arena   arena
	weights pool
	scratch scratch
	fault   uint64 // three words, see faults
	word    *driver.Pinned
	staging [2]*stage // of rows on their way to a weight
	tables  []*driver.Pinned
	copier  *copier // of snapshots, nil before the first
	maps    map[mapKey]*driver.TensorMap
	adam    uint64 // tables of the 8-bit moments
	profile *profile
	err     error
	closed  bool
}

var _ compute.Device = (*Device)(nil)

// New opens a device. Without a driver or a device the error wraps
// compute.ErrUnsupported.
func New(o Options) (*Device, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	ctx, err := driver.Open(o.Ordinal)
	if err != nil {
		return nil, err
	}
	d := &Device{opts: o, ctx: ctx, real: compute.BF16, maps: map[mapKey]*driver.TensorMap{}}
	if o.Real == "f32" {
		d.real = compute.F32
	}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) prepare() (err error) {
	c := d.ctx
	if c.Major < 8 {
		return fmt.Errorf("cuda: %s has compute capability %d.%d, 8.0 is the least: %w", c.Name, c.Major, c.Minor, compute.ErrUnsupported)
	}
	if d.opts.Path == "hopper" && c.Major != 9 {
		return fmt.Errorf("cuda: %s is no Hopper device: %w", c.Name, compute.ErrUnsupported)
	}
	d.hopper = c.Major == 9 && d.opts.Path != "generic" && d.real == compute.BF16
	mem := &budget{ctx: c, limit: d.opts.Memory}
	d.arena, d.weights, d.scratch = arena{mem: mem}, pool{mem: mem}, scratch{mem: mem}
	if d.kern, err = loadKernels(c, d.hopper); err != nil {
		return err
	}
	if d.fault, err = d.weights.take(256); err != nil {
		return err
	}
	if d.word, err = c.Pinned(16); err != nil {
		return err
	}
	if err := c.Set(d.fault, 0, 256); err != nil {
		return err
	}
	return d.loadMoments()
}

// Name implements compute.Device.
func (d *Device) Name() string {
	path := "generic"
	if d.hopper {
		path = "hopper"
	}
	return fmt.Sprintf("cuda:%d (%s, %s, %s)", d.opts.Ordinal, d.ctx.Name, path, d.real)
}

// Sync implements compute.Device.
func (d *Device) Sync() error {
	if d.closed {
		return errClosed
	}
	p := unsafe.Pointer(unsafe.SliceData(d.word.Bytes()))
	d.run(d.ctx.ToHost(p, d.fault, 12))
	d.run(d.ctx.Sync())
	if w := (*[3]int32)(p); w[0] != 0 {
		d.run(faultError(*w))
		d.run(d.ctx.Set(d.fault, 0, 12))
		w[0] = 0
	}
	err := d.err
	if !driver.Fatal(err) {
		d.err = nil
	}
	return err
}

// Close implements compute.Device: every later operation fails.
func (d *Device) Close() error {
	if d.closed {
		return nil
	}
	var errs []error
	if d.word != nil {
		errs = append(errs, d.Sync(), d.word.Free())
	}
	for _, s := range d.staging {
		if s != nil {
			errs = append(errs, s.mem.Free(), s.passed.Free())
		}
	}
	for _, t := range d.tables {
		errs = append(errs, t.Free())
	}
	if d.copier != nil {
		errs = append(errs, d.copier.free())
	}
	errs = append(errs, d.arena.free(), d.weights.free(), d.scratch.free(), d.ctx.Close())
	*d = Device{opts: d.opts, real: d.real, ctx: d.ctx, err: errClosed, closed: true}
	return errors.Join(errs...)
}

var errClosed = errors.New("cuda: device is closed")

// fail keeps the first error.
func (d *Device) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// run keeps the error of a driver call, if any.
func (d *Device) run(err error) {
	if err != nil {
		d.fail(err)
	}
}

// faults are the words for what a kernel found, by its Fault in real.cuh.
var faults = map[int32]string{
	1: "token %[2]d at position %[1]d is outside the table",
	2: "Start[%d] is %d: neither a new document nor that of the token before",
	3: "rope row[%d] is %d, outside the table",
	4: "target[%d] is %d, outside the vocabulary",
	5: "index[%d] is %d, outside the rows",
	6: "offset ends span %d at %d: a span needs a row",
}

func faultError(w [3]int32) error {
	return fmt.Errorf("cuda: "+faults[w[0]], w[1], w[2])
}

// Memory is what a Device holds, in bytes.
type Memory struct {
	InUse     int64 `json:"in_use"`
	HighWater int64 `json:"high_water"` // most ever held
	Limit     int64 `json:"limit"`      // 0 for none
	Process   int64 `json:"process"`    // of the whole GPU that is not free now; 0 if unknown
}

// Limit implements compute.Limiter.
func (d *Device) Limit(bytes int64) {
	if !d.closed {
		d.arena.mem.limit = bytes
	}
}

var _ compute.Limiter = (*Device)(nil)

// MemoryReport returns what the device holds now and held at most, without the
// driver's own share, and what is taken of the GPU in all, other processes
// included.
func (d *Device) MemoryReport() Memory {
	if d.closed {
		return Memory{}
	}
	m := d.arena.mem
	r := Memory{InUse: m.used, HighWater: m.high, Limit: m.limit}
	if free, total, err := d.ctx.MemoryInfo(); err == nil {
		r.Process = total - free
	}
	return r
}
