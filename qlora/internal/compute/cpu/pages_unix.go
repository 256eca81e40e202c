//go:build linux || darwin || freebsd

package cpu

import (
	"runtime"
	"syscall"
	"unsafe"
)

func mapPages(n int) ([]byte, error) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err == nil && runtime.GOOS == "linux" && n >= 1<<21 {
		// Large pages spare a matrix product most of its address translations. Only
		// advice: what it returns does not matter.
		const hugePage = 14
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(unsafe.Pointer(&b[0])), uintptr(n), hugePage)
	}
	return b, err
}

// unmapPages cannot fail for memory that mapPages gave.
func unmapPages(b []byte) { _ = syscall.Munmap(b) }
