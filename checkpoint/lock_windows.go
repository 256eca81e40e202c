package checkpoint

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// errDiskFull is ERROR_DISK_FULL.
var errDiskFull = syscall.Errno(112)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// lock takes an exclusive lock on the first byte; it ends with the process.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	const exclusive, failImmediately = 2, 1
	var overlapped syscall.Overlapped
	ok, _, err := lockFileEx.Call(f.Fd(), exclusive|failImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&overlapped)))
	if ok == 0 {
		const lockViolation = syscall.Errno(33)
		if errors.Is(err, lockViolation) {
			err = ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
