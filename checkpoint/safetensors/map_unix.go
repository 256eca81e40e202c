//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package safetensors

import (
	"fmt"
	"os"
	"syscall"
)

func mapOS(f *os.File, size int) ([]byte, error) {
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMappable, err)
	}
	return b, nil
}

func unmapOS(b []byte) error { return syscall.Munmap(b) }
