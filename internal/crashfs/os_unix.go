//go:build !windows

package crashfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// syncPath syncs a file or folder. Some network and user-space file systems know
// no syncing of folders and say EINVAL or ENOTSUP, which leaves nothing to do.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		if st, serr := f.Stat(); serr == nil && st.IsDir() {
			err = nil
		}
	}
	return errors.Join(err, f.Close())
}

// patiently is for Windows, where names in use cannot be moved.
func patiently(f func() error) error { return f() }

func (o *OS) remove(name string) error { return o.root.Remove(name) }

// IsFull reports whether err says that a disk or a quota has no room.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsReadOnly reports whether err says that a place may not be written.
func IsReadOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission)
}
