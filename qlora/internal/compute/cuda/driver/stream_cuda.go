//go:build cuda && cgo && linux && amd64

package driver

// #include "shim_cuda.h"
import "C"

import "unsafe"

// Stream is a second queue, for copies beside the work of the context's own.
type Stream struct {
	c *Context
	s C.CUstream
}

// NewStream makes a stream.
func (c *Context) NewStream() (*Stream, error) {
	s := &Stream{c: c}
	return s, check("cuStreamCreate", C.borea_stream(c.ctx, &s.s))
}

// After makes what is queued from now on wait for the event.
func (s *Stream) After(e *Event) error {
	return check("cuStreamWaitEvent", C.borea_event_wait(s.c.ctx, e.e, s.s))
}

// ToHost queues a copy of n bytes to pinned memory.
func (s *Stream) ToHost(dst unsafe.Pointer, src uint64, n int) error {
	return check("cuMemcpyDtoHAsync", C.borea_to_host(s.c.ctx, dst, C.CUdeviceptr(src), C.size_t(n), s.s))
}

// Record puts the event after what is queued.
func (s *Stream) Record(e *Event) error {
	return check("cuEventRecord", C.borea_event_record(s.c.ctx, e.e, s.s))
}

// Free frees the stream when its work is done.
func (s *Stream) Free() error {
	return check("cuStreamDestroy", C.borea_stream_free(s.c.ctx, s.s))
}

// After makes what the context's own stream gets from now on wait for the event.
func (c *Context) After(e *Event) error {
	return check("cuStreamWaitEvent", C.borea_event_wait(c.ctx, e.e, c.stream))
}
