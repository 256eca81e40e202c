//go:build !amd64 || noasm

package cpu

// available returns the kernel sets of this processor, the best one first.
func available() []kernels { return []kernels{goKernels()} }
