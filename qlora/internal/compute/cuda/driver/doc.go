// Package driver reaches the CUDA driver through gorgonia.org/cu and a small C
// shim for what cu lacks: launches without allocation, function attributes,
// asynchronous copies of Go memory, pinned memory, graphs, tensor maps, and copies
// between devices through NCCL.
//
// Everything here needs the build tag cuda, cgo, linux and amd64. A program
// built so does not need the driver to start: trampoline_cuda.c defines the
// entry points that cu links against as jumps through a table, which a
// constructor fills from libcuda.so.1 when that library is there. Without it
// Count is 0.
//
// NCCL is loaded with dlopen when OpenNCCL is called, and its header is not needed:
// a program without it runs on one device.
//
// A context is made current on whatever thread a call runs on, inside the one C
// call that uses it, so goroutines need not be locked to threads.
//
// What it does not do: it owns no kernels and no memory policy; other operating
// systems and processors are not served.
package driver
