// Package cpu implements compute.Device in Go and Go assembly.
//
// Activations are float32. Weights are stored once, row by row, as float32,
// bfloat16, int8 with one scale a row, or NF4; a matrix product packs panels of
// them on the fly, widened to float32, so that the forward product, the gradient
// with respect to the input and the adapters' gradients share one micro-kernel.
// Its left operand is read where it lies, unless its rows would fall on one set
// of the cache. FormatInt8 multiplies int8 codes into exact int32 sums instead;
// every path gives the same bits there. Its weights are stored in the panels that
// micro-kernels read, and it carries gradients to its input as codes too (see
// Options.InputGrad). Of the others, up to four tokens read the weight as it lies,
// four rows at a time. A Cache may be F16, or I8, whose numbers are off by
// absmax/254 of their token and head at most.
//
// MappedWeight uses float32 and bfloat16 where they lie in a file. All other
// weights, buffers and scratch lie outside the heap, so that the collector does
// not let the process grow to twice their size; Scratch and WeightBytes predict
// them. The exponential is within 2e-7 of the true one, relatively.
//
// notes.md holds measurements of the products.
//
// Results do not depend on the number of workers: the tiles of an operation and
// the order of every sum follow from its shape alone, only what a worker gets at
// once does not. They do depend on the path (see Options.Path), whose tile sizes
// differ.
//
// A Device belongs to one goroutine at a time. Misuse (a buffer of another
// type, too short, released, or of another device) is the sticky error that
// Sync returns; operations after it do nothing until then.
//
// On Linux, with a processor that has AMX, tile registers multiply the int8 codes
// of more than four tokens, with the bits of every other path; the process asks
// for them when its first device is opened. "amx-bf16" also rounds activations to
// bfloat16 where the weight of a forward product is, which costs each factor up to
// 1/256 of itself; gradients stay as they are. Subnormal numbers count as zero
// there. How the tiles were checked, and how fast they are: testdata/amx.md.
//
// What it does not do: it has no AVX512-BF16 or NEON kernels (arm64 runs the
// portable path); elsewhere activations are never bfloat16; float weights are not
// packed ahead of time; NF4 has no assembly, its absmax is float32 and not quantised
// again; operations are not asynchronous.
package cpu
