package crashfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Codes of winerror.h that package syscall does not name.
const (
	errSharingViolation = syscall.Errno(32)
	errLockViolation    = syscall.Errno(33)
	errHandleDiskFull   = syscall.Errno(39)
	errDiskFull         = syscall.Errno(112)
	errWriteProtect     = syscall.Errno(19)
	errInvalidFunction  = syscall.Errno(1)
	errDiskQuota        = syscall.Errno(1295)
)

// syncPath flushes a file or folder. FlushFileBuffers needs a handle that may
// write, and a handle of a folder needs backup semantics. Not every file system
// flushes folders: the newest name is durable as far as the system allows.
func syncPath(path string) error {
	p, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_WRITE,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_WRITE|syscall.FILE_SHARE_DELETE,
		nil, syscall.OPEN_EXISTING, syscall.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err == nil {
		err = errors.Join(syscall.FlushFileBuffers(h), syscall.CloseHandle(h))
	}
	if err == nil || isDir(path) && cannotFlush(err) {
		return nil
	}
	return &fs.PathError{Op: "sync", Path: path, Err: err}
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func cannotFlush(err error) bool {
	return errors.Is(err, syscall.ERROR_ACCESS_DENIED) || errors.Is(err, errInvalidFunction) ||
		errors.Is(err, syscall.Errno(6)) // ERROR_INVALID_HANDLE
}

// patiently repeats f for up to two seconds while another process, a virus
// scanner or an indexer, has the name open (golang/go issue 57747).
func patiently(f func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := f()
		if !errors.Is(err, syscall.ERROR_ACCESS_DENIED) && !errors.Is(err, errSharingViolation) || wait > time.Second {
			return err
		}
		time.Sleep(wait)
	}
}

// remove falls back on DeleteFile where a file system, or Wine, does not know the
// POSIX kind of deletion that os.Root asks for.
func (o *OS) remove(name string) error {
	err := o.root.Remove(name)
	if !errors.Is(err, errInvalidFunction) {
		return err
	}
	p, err := syscall.UTF16PtrFromString(o.Path(name))
	if err == nil && isDir(o.Path(name)) {
		err = syscall.RemoveDirectory(p)
	} else if err == nil {
		err = syscall.DeleteFile(p)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// lockFile locks a byte far beyond the end, so that the file stays readable. The
// lock ends with the handle.
func lockFile(f *os.File) error {
	const exclusive, failImmediately = 2, 1
	at := syscall.Overlapped{OffsetHigh: 0x7fffffff}
	ok, _, err := lockFileEx.Call(f.Fd(), exclusive|failImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return ErrLocked
	}
	return err
}

// IsFull reports whether err says that a disk or a quota has no room. Package
// syscall's own ENOSPC and EROFS are what portable code makes up.
func IsFull(err error) bool {
	return isOneOf(err, errDiskFull, errHandleDiskFull, errDiskQuota, syscall.ENOSPC)
}

// IsReadOnly reports whether err says that a place may not be written.
func IsReadOnly(err error) bool {
	return isOneOf(err, errWriteProtect, syscall.EROFS, fs.ErrPermission)
}

func isOneOf(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
