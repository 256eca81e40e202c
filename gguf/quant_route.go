package gguf

// A route is one way to the same bytes: portable Go, or assembly that puts one
// sub-block into each lane of a vector, so that every lane does the reference's
// operations in the reference's order.
type route uint8

const (
	portable route = iota
	avx2
	avx512
)

func (p route) String() string { return [...]string{"portable", "avx2", "avx512"}[p] }

// chosen is the widest route of this processor. Only tests and benchmarks change it.
var chosen = widest()
