//go:build cuda && cgo && linux && amd64

package driver

// #cgo LDFLAGS: -ldl
// #include "shim_cuda.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Count returns how many devices there are, and 0 with the reason where the
// driver is missing or refuses to start.
func Count() (int, error) {
	var result C.int
	if C.borea_cuda_init(&result) == 0 {
		return 0, fmt.Errorf("cuda: libcuda.so.1 is not installed: %w", ErrNoDriver)
	}
	if err := check("cuInit", C.CUresult(result)); err != nil {
		return 0, err
	}
	return cu.NumDevices()
}

// Context is one device, its primary context and one stream.
type Context struct {
	Name   string
	Major  int // compute capability
	Minor  int
	SMs    int   // multiprocessors
	Shared int   // largest shared memory of a block, bytes
	Memory int64 // bytes
	L2     int   // bytes

	dev     cu.Device
	cu      cu.CUContext
	ctx     C.CUcontext
	stream  C.CUstream
	modules []cu.Module
}

// Open retains the primary context of a device.
func Open(ordinal int) (*Context, error) {
	n, err := Count()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= n {
		return nil, fmt.Errorf("cuda: device %d of %d: %w", ordinal, n, ErrNoDevice)
	}
	c := &Context{}
	if c.dev, err = cu.GetDevice(ordinal); err != nil {
		return nil, fmt.Errorf("cuda: device %d: %w", ordinal, err)
	}
	if err := c.describe(); err != nil {
		return nil, err
	}
	if c.cu, err = c.dev.RetainPrimaryCtx(); err != nil {
		return nil, fmt.Errorf("cuda: context of device %d: %w", ordinal, err)
	}
	c.ctx = *(*C.CUcontext)(unsafe.Pointer(&c.cu)) // a struct of this one field
	err = c.with(func() error {
		if err := cu.SetLimit(cu.StackSize, leastStack); err != nil {
			return err
		}
		s, err := cu.MakeStream(cu.NonBlocking)
		c.stream = C.CUstream(unsafe.Pointer(s.C()))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cuda: stack and stream: %w", err)
	}
	return c, nil
}

// leastStack is the stack that a context reserves for each thread that the device
// can hold: at the default of 1 KiB 260 MiB of an H100. A kernel that needs more
// gets it when it is launched.
const leastStack = 16

func (c *Context) describe() (err error) {
	if c.Name, err = c.dev.Name(); err != nil {
		return fmt.Errorf("cuda: device name: %w", err)
	}
	if c.Memory, err = c.dev.TotalMem(); err != nil {
		return fmt.Errorf("cuda: device memory: %w", err)
	}
	for _, a := range []struct {
		to *int
		id cu.DeviceAttribute
	}{
		{&c.Major, cu.ComputeCapabilityMajor}, {&c.Minor, cu.ComputeCapabilityMinor},
		{&c.SMs, cu.MultiprocessorCount}, {&c.Shared, cu.DeviceAttribute(C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)}, {&c.L2, cu.L2CacheSize},
	} {
		if *a.to, err = c.dev.Attribute(a.id); err != nil {
			return fmt.Errorf("cuda: device attribute: %w", err)
		}
	}
	return nil
}

// with runs calls of cu on a thread that has the context.
func (c *Context) with(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := check("cuCtxSetCurrent", C.borea_bind(c.ctx)); err != nil {
		return err
	}
	return f()
}

// Close frees the stream and the modules and releases the context.
func (c *Context) Close() error {
	err := c.with(func() error {
		var first error
		for _, m := range c.modules {
			if err := m.Unload(); err != nil && first == nil {
				first = err
			}
		}
		s := *(*cu.Stream)(unsafe.Pointer(&c.stream))
		if err := s.Destroy(); err != nil && first == nil {
			first = err
		}
		return first
	})
	if e := c.dev.ReleasePrimaryCtx(); e != nil && err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("cuda: close: %w", err)
	}
	return nil
}

// Function is a kernel.
type Function struct {
	name string
	f    C.CUfunction
}

// Module is a loaded image.
type Module struct {
	c *Context
	m cu.Module
}

// Load loads a cubin, PTX or fat binary.
func (c *Context) Load(image []byte) (*Module, error) {
	m := &Module{c: c}
	err := c.with(func() (err error) {
		m.m, err = cu.LoadData(string(image))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cuda: load module: %w", err)
	}
	c.modules = append(c.modules, m.m)
	return m, nil
}

// Function finds a kernel and lets it use shared bytes of dynamic shared memory.
func (m *Module) Function(name string, shared int) (Function, error) {
	f := Function{name: name}
	err := m.c.with(func() error {
		fn, err := m.m.Function(name)
		f.f = *(*C.CUfunction)(unsafe.Pointer(&fn)) // a struct of this one field
		return err
	})
	if err != nil {
		return f, fmt.Errorf("cuda: kernel %s: %w", name, err)
	}
	if shared > 48<<10 {
		err = check("cuFuncSetAttribute "+name, C.borea_shared(m.c.ctx, f.f, C.int(shared)))
	}
	return f, err
}

// Resources are what a kernel takes.
type Resources struct{ Registers, Static, Local int }

// Resources returns registers a thread, static shared bytes a block and local
// bytes a thread of f.
func (c *Context) Resources(f Function) (r Resources, err error) {
	for _, a := range []struct {
		to *int
		id C.CUfunction_attribute
	}{
		{&r.Registers, C.CU_FUNC_ATTRIBUTE_NUM_REGS}, {&r.Static, C.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES},
		{&r.Local, C.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES},
	} {
		var v C.int
		if err := check("cuFuncGetAttribute "+f.name, C.borea_attribute(c.ctx, f.f, a.id, &v)); err != nil {
			return r, err
		}
		*a.to = int(v)
	}
	return r, nil
}
