package safetensors

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

func mapOS(f *os.File, size int) ([]byte, error) {
	section, err := syscall.CreateFileMapping(syscall.Handle(f.Fd()), nil, syscall.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMappable, err)
	}
	p, err := syscall.MapViewOfFile(section, syscall.FILE_MAP_READ, 0, 0, uintptr(size))
	// The view keeps the section alive.
	if err := errors.Join(err, syscall.CloseHandle(section)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMappable, err)
	}
	// The address is not the heap's, so the collector may not move or free it; it is
	// read through a pointer to it, which vet takes for what it is.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), size), nil
}

func unmapOS(b []byte) error {
	return syscall.UnmapViewOfFile(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}
