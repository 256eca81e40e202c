//go:build !amd64 || noasm

package cpu

// available returns the kernel sets of this processor, the best one first.
func available() []kernels { return []kernels{goKernels()} }

// coarse returns the kernel sets that are taken only by name.
func coarse() []kernels { return nil }
