//go:build !windows && !aix && !solaris

package crashfs

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes flock's exclusive lock, which the kernel drops with the last
// descriptor of this opening, so also on kill -9.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		default:
			return err
		}
	}
}
