// Package cpu implements compute.Device in Go and Go assembly.
//
// Activations are float32. Weights are stored once, row by row, as float32,
// bfloat16, int8 with one scale a row, or NF4; a matrix product packs panels of
// them on the fly, widened to float32, so that the forward product, the gradient
// with respect to the input and the adapters' gradients share one micro-kernel.
// FormatInt8 multiplies int8 codes into exact int32 sums instead; every path
// gives the same bits there.
//
// Results do not depend on the number of workers: the tiles of an operation and
// the order of every sum follow from its shape alone. They do depend on the
// path (see Options.Path), whose tile sizes differ.
//
// A Device belongs to one goroutine at a time. Misuse (a buffer of another
// type, too short, released, or of another device) is the sticky error that
// Sync returns; operations after it do nothing until then.
//
// What it does not do: activations are never bfloat16; NF4 has no assembly, its
// absmax is float32 and not quantised again; operations are not asynchronous.
package cpu
