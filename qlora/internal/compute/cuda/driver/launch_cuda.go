//go:build cuda && cgo && linux && amd64

package driver

// #include "shim_cuda.h"
import "C"

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Args holds a kernel's parameters, each aligned to its size.
type Args struct {
	buf [1024]byte
	n   int
	at  [C.BOREA_PARAMETERS]uint16
	num int
}

// next is where a parameter of size bytes goes.
func (a *Args) next(size, align int) []byte {
	a.n = (a.n + align - 1) &^ (align - 1)
	to := a.buf[a.n : a.n+size]
	a.at[a.num] = uint16(a.n)
	a.n, a.num = a.n+size, a.num+1
	return to
}

// Ptr appends a device pointer or any 64-bit value.
func (a *Args) Ptr(p uint64) *Args {
	binary.LittleEndian.PutUint64(a.next(8, 8), p)
	return a
}

// Int appends ints.
func (a *Args) Int(v ...int) *Args {
	for _, x := range v {
		binary.LittleEndian.PutUint32(a.next(4, 4), uint32(int32(x)))
	}
	return a
}

// Float appends a float.
func (a *Args) Float(v float32) *Args {
	binary.LittleEndian.PutUint32(a.next(4, 4), math.Float32bits(v))
	return a
}

// Map appends a tensor map passed by value.
func (a *Args) Map(m *TensorMap) *Args {
	copy(a.next(len(m), 64), m[:])
	return a
}

// Grid is the number of blocks in each direction.
type Grid struct{ X, Y, Z int }

// Launch queues f with threads threads a block and shared bytes of dynamic
// shared memory. A grid without blocks is no launch.
func (c *Context) Launch(f Function, g Grid, threads, shared int, a *Args) error {
	if g.X <= 0 || g.Y <= 0 || g.Z <= 0 {
		return nil
	}
	dims := [4]C.uint{C.uint(g.X), C.uint(g.Y), C.uint(g.Z), C.uint(threads)}
	return check("launch "+f.name, C.borea_launch(c.ctx, f.f, &dims[0], C.uint(shared), c.stream, unsafe.Pointer(&a.buf[0]), (*C.ushort)(unsafe.Pointer(&a.at[0])), C.int(a.num)))
}

// TensorMap describes a matrix to the copy engine of Hopper and later.
type TensorMap [128]byte

// Element types and swizzles of a TensorMap, values of CUtensorMapDataType and
// CUtensorMapSwizzle.
const (
	MapU8       = 0
	MapF32      = 7
	MapBF16     = 9
	SwizzleNone = 0
	Swizzle32   = 1
	Swizzle64   = 2
	Swizzle128  = 3
)

// NewTensorMap describes dim elements (innermost first) at p, rows after the
// first direction stride bytes apart, to be fetched in boxes. Elements outside
// read as 0.
func (c *Context) NewTensorMap(typ int, p uint64, dim, stride []uint64, box []uint32, swizzle int) (*TensorMap, error) {
	m := &TensorMap{}
	s := append(stride, 0)
	err := check("cuTensorMapEncodeTiled", C.borea_tensor_map(c.ctx, unsafe.Pointer(m), C.int(typ), C.int(len(dim)), C.CUdeviceptr(p),
		(*C.cuuint64_t)(unsafe.Pointer(&dim[0])), (*C.cuuint64_t)(unsafe.Pointer(&s[0])), (*C.cuuint32_t)(unsafe.Pointer(&box[0])), C.int(swizzle)))
	return m, err
}

// Event is a point in a stream.
type Event struct {
	c *Context
	e C.CUevent
}

// NewEvent makes an event that can measure time.
func (c *Context) NewEvent() (*Event, error) {
	e := &Event{c: c}
	return e, check("cuEventCreate", C.borea_event(c.ctx, &e.e, 0))
}

// Record puts the event after what is queued.
func (e *Event) Record() error {
	return check("cuEventRecord", C.borea_event_record(e.c.ctx, e.e, e.c.stream))
}

// Wait blocks until the event has passed.
func (e *Event) Wait() error {
	return check("cuEventSynchronize", C.borea_event_sync(e.c.ctx, e.e))
}

// Since returns the milliseconds from first to e; both must have passed.
func (e *Event) Since(first *Event) (float64, error) {
	var ms C.float
	err := check("cuEventElapsedTime", C.borea_event_elapsed(e.c.ctx, first.e, e.e, &ms))
	return float64(ms), err
}

// Free frees the event.
func (e *Event) Free() error { return check("cuEventDestroy", C.borea_event_free(e.c.ctx, e.e)) }

// Graph is captured work.
type Graph struct {
	c *Context
	g C.CUgraphExec
}

// Capture records what f queues instead of running it. f must neither wait nor
// allocate device memory.
func (c *Context) Capture(f func() error) (*Graph, error) {
	if err := check("cuStreamBeginCapture", C.borea_capture(c.ctx, c.stream)); err != nil {
		return nil, err
	}
	err := f()
	g := &Graph{c: c}
	if e := check("cuStreamEndCapture", C.borea_capture_end(c.ctx, c.stream, &g.g)); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Launch queues the captured work.
func (g *Graph) Launch() error {
	return check("cuGraphLaunch", C.borea_graph_launch(g.c.ctx, g.g, g.c.stream))
}

// Free frees the graph.
func (g *Graph) Free() error {
	return check("cuGraphExecDestroy", C.borea_graph_free(g.c.ctx, g.g))
}
