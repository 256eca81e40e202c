package cpu

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Options configures a Device.
type Options struct {
	// Workers is the number of goroutines that share an operation, at least 1.
	Workers int `json:"workers" yaml:"workers"`
	// Path is the kernel set: "go", "avx2", "avx512", "amx", or "auto" for the best
	// one that the processor has. "amx-bf16" is "amx" with activations rounded to
	// bfloat16 where a FormatBF16 weight is multiplied by more than a few of them:
	// faster and coarser, so never taken for "auto".
	Path string `json:"path" yaml:"path"`
	// InputGrad is how FormatInt8 carries a gradient to its input: "int8" (the
	// gradient requantised a token, with stochastic rounding while training, so
	// that the product is int8 as well) or "f32" (exact weights). The other
	// formats are exact always.
	InputGrad string `json:"input_grad" yaml:"input_grad"`
}

// DefaultOptions uses every processor that Go may use, and the best path.
func DefaultOptions() Options {
	return Options{Workers: runtime.GOMAXPROCS(0), Path: "auto", InputGrad: "int8"}
}

// Validate reports what is wrong with o.
func (o Options) Validate() error {
	if o.Workers < 1 {
		return fmt.Errorf("cpu: workers is %d, must be at least 1", o.Workers)
	}
	if o.InputGrad != "int8" && o.InputGrad != "f32" {
		return fmt.Errorf("cpu: input_grad is %q, must be \"int8\" or \"f32\": %w", o.InputGrad, compute.ErrUnsupported)
	}
	_, err := choose(o.Path)
	return err
}

// Device implements compute.Device.
type Device struct {
	kern    kernels
	pages   *pages
	pool    pool
	arena   arena
	err     error
	scratch scratch
	moments [2]*codebook // signed, unsigned
	intGrad bool         // see Options.InputGrad
	closed  bool
}

var _ compute.Device = (*Device)(nil)

// New returns a device.
func New(o Options) (*Device, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	k, err := choose(o.Path)
	if err != nil {
		return nil, err
	}
	mem := newPages()
	d := &Device{kern: k, pages: mem, pool: newPool(o.Workers, mem), arena: arena{pages: mem}, scratch: scratch{pages: mem},
		moments: [2]*codebook{newCodebook(true), newCodebook(false)}, intGrad: o.InputGrad == "int8"}
	mem.watch(d)
	return d, nil
}

// Paths returns the paths that this processor can run, the best one first, but for
// "amx-bf16".
func Paths() []string {
	var names []string
	for _, k := range available() {
		names = append(names, k.name)
	}
	return names
}

func choose(path string) (kernels, error) {
	for _, k := range append(available(), coarse()...) {
		if path == "auto" || path == k.name {
			return k, nil
		}
	}
	return kernels{}, fmt.Errorf("cpu: no path %q here, there are %q: %w", path, Paths(), compute.ErrUnsupported)
}

// Name implements compute.Device.
func (d *Device) Name() string {
	return fmt.Sprintf("cpu (%s, %d workers)", d.kern.name, len(d.pool.workers))
}

// Sync implements compute.Device.
func (d *Device) Sync() error {
	err := d.err
	if !d.closed {
		d.err = nil
	}
	return err
}

// Close implements compute.Device: every later operation fails.
func (d *Device) Close() error {
	if d.closed {
		return nil
	}
	err := d.Sync()
	d.pages.close()
	none := newPages()
	*d = Device{kern: d.kern, pages: none, pool: newPool(1, none), err: errClosed, closed: true}
	return err
}

var errClosed = errors.New("cpu: device is closed")

// fail keeps the first error.
func (d *Device) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}
