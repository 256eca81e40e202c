//go:build cuda && cgo && linux && amd64

package driver

// #include "shim_cuda.h"
import "C"

import "unsafe"

// Alloc returns n bytes of device memory, aligned to 256 at least.
func (c *Context) Alloc(n int) (uint64, error) {
	var p C.CUdeviceptr
	err := check("cuMemAlloc", C.borea_alloc(c.ctx, &p, C.size_t(n)))
	return uint64(p), err
}

// Free gives device memory back; it waits for work that uses it.
func (c *Context) Free(p uint64) error {
	return check("cuMemFree", C.borea_free(c.ctx, C.CUdeviceptr(p)))
}

// MemoryInfo returns free and total bytes of the device.
func (c *Context) MemoryInfo() (free, total int64, err error) {
	var f, t C.size_t
	err = check("cuMemGetInfo", C.borea_memory(c.ctx, &f, &t))
	return int64(f), int64(t), err
}

// Pinned is host memory that the device copies from and to without staging.
type Pinned struct {
	c *Context
	p unsafe.Pointer
	n int
}

// Pinned allocates n bytes.
func (c *Context) Pinned(n int) (*Pinned, error) {
	m := &Pinned{c: c, n: n}
	return m, check("cuMemHostAlloc", C.borea_pinned(c.ctx, &m.p, C.size_t(n)))
}

// Bytes returns the memory; it must not be used after Free.
func (m *Pinned) Bytes() []byte { return unsafe.Slice((*byte)(m.p), m.n) }

// Free gives the memory back.
func (m *Pinned) Free() error { return check("cuMemFreeHost", C.borea_unpin(m.c.ctx, m.p)) }

// ToDevice queues a copy of n bytes. Memory that is not pinned may be reused at
// once; pinned memory only after the stream passed.
func (c *Context) ToDevice(dst uint64, src unsafe.Pointer, n int) error {
	return check("cuMemcpyHtoDAsync", C.borea_to_device(c.ctx, C.CUdeviceptr(dst), src, C.size_t(n), c.stream))
}

// ToHost queues a copy of n bytes.
func (c *Context) ToHost(dst unsafe.Pointer, src uint64, n int) error {
	return check("cuMemcpyDtoHAsync", C.borea_to_host(c.ctx, dst, C.CUdeviceptr(src), C.size_t(n), c.stream))
}

// Copy queues a copy inside device memory.
func (c *Context) Copy(dst, src uint64, n int) error {
	return check("cuMemcpyDtoDAsync", C.borea_copy(c.ctx, C.CUdeviceptr(dst), C.CUdeviceptr(src), C.size_t(n), c.stream))
}

// Set queues filling n bytes with v.
func (c *Context) Set(dst uint64, v byte, n int) error {
	return check("cuMemsetD8Async", C.borea_set(c.ctx, C.CUdeviceptr(dst), C.uchar(v), C.size_t(n), c.stream))
}

// Sync waits for the stream and returns what went wrong in it.
func (c *Context) Sync() error { return check("cuStreamSynchronize", C.borea_sync(c.ctx, c.stream)) }
