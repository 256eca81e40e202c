//go:build !windows

package checkpoint

import (
	"errors"
	"os"
	"syscall"
)

// errDiskFull is Windows' own code; elsewhere nothing equals it.
var errDiskFull = errors.New("disk full")

// lock takes an exclusive lock that ends with the process.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
