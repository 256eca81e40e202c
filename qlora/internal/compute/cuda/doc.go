// Package cuda implements compute.Device on NVIDIA GPUs of compute capability
// 8.0 and later, under the build tags cuda and cgo on linux and amd64. Without
// them it holds its options and the compiled kernels' test only.
//
// Activations are bfloat16, or float32 for checks. Each family of kernels is a
// file x.cu, whose head comment states the loop it replaces, its shapes and its
// launch, beside x.go, which launches it, and x.image, the compiled form (machine
// code for sm_90 or sm_90a and, but for the files of Hopper, PTX for sm_80). The
// minimum driver is 580, which reads the PTX of CUDA 13.0. `go generate` compiles
// anew; testdata/install.sh installs the compiler and the headers that a tagged
// build needs, on a machine without a GPU too. notes.md holds measurements.
//
// All sums have a fixed order and no real number is added atomically: equal work
// gives equal bits on one model of device. Group joins several GPUs of one machine;
// NCCL, loaded when a Group is made, only moves their values, and the sums are ours.
//
// A Device can record what it is told and replay it as one graph (graph.go), copy
// buffers to pinned memory beside its work (snapshot.go), keep a table in host
// memory (weight.go) and keep to a limit (arena.go): the optional interfaces of
// package compute. scratch.go is what operations need only while they run.
//
// A Device belongs to one goroutine at a time. Misuse (a buffer of another type,
// too short, released, or of another device) is the sticky error that Sync
// returns; a bad index in device memory is found by the kernels and comes with
// the next Sync or Download.
//
// What it does not do: heads of more than 160 columns; a NF4 absmax is float32
// and not quantised again; GPUs of several machines; managed
// memory.
package cuda

//go:generate go run ./image/compile
