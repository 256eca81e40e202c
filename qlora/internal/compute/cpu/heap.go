//go:build !linux && !darwin && !freebsd && !windows

package cpu

// mapPages takes the memory from the heap where nothing better is known.
func mapPages(n int) ([]byte, error) { return make([]byte, n), nil }

func unmapPages([]byte) {}
