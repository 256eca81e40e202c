// Package gorgonia converts the low-rank factors of an adapter to and from
// gorgonia.org/tensor's Dense, for programs that already compute with it.
//
// Files: dense.go one matrix, pair.go the two factors of a linear.
//
// What it does not do: it trains nothing and shares no memory: both directions
// copy. Tensors on accelerators, masked tensors and other types than float32 and
// float64 are refused. Nothing else in this module needs gorgonia.org/tensor, so
// nobody pays for it who does not import this package.
package gorgonia
