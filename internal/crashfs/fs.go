package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
)

// FS is what a crash-safe store needs. Names are relative to the root, joined
// with "/" (fs.ValidPath); "." is the root. Errors wrap those of io/fs.
type FS interface {
	// Create makes a new file; an existing name is an error.
	Create(name string, perm fs.FileMode) (File, error)
	// Open opens a regular file for reading; anything else is an error.
	Open(name string) (File, error)
	// Mkdir makes a folder that only its owner can enter.
	Mkdir(name string) error
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]Entry, error)
	// Stat describes a name; it does not follow links.
	Stat(name string) (Entry, error)
	// Rename moves a file or folder; a file replaces a file, a folder nothing.
	Rename(from, to string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	// Sync makes a file's bytes or a folder's entries durable.
	Sync(name string) error
	// Lock takes an exclusive lock that ends with the process or with Close, and
	// makes the file if need be. ErrLocked says that somebody else has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Write appends and works on created files only, ReadAt
// and Read on opened ones.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes the bytes written so far durable. After it failed the file must
	// be thrown away: a second Sync may succeed without the bytes being there.
	Sync() error
	// Size returns the length in bytes.
	Size() (int64, error)
}

// Entry is a name in a folder.
type Entry struct {
	Name    string
	Dir     bool
	Regular bool
	Size    int64 // of regular files
}

// ErrLocked is what Lock returns while another holder lives.
var ErrLocked = errors.New("locked by another process")

// Exists reports whether name is there.
func Exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// MkdirAll makes a folder and those above it. Each folder's entry is durable
// when it returns, also where a killed process made it and synced nothing.
func MkdirAll(fsys FS, name string) error {
	if name == "." {
		return nil
	}
	if err := MkdirAll(fsys, path.Dir(name)); err != nil {
		return err
	}
	if err := fsys.Mkdir(name); err != nil {
		e, serr := fsys.Stat(name)
		if serr != nil || !e.Dir {
			return err
		}
	}
	return fsys.Sync(path.Dir(name))
}

// RemoveAll removes name and everything below it; a missing name is no error.
func RemoveAll(fsys FS, name string) error {
	e, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.Dir {
		if err := removeEntries(fsys, name); err != nil {
			return err
		}
	}
	return fsys.Remove(name)
}

func removeEntries(fsys FS, name string) error {
	entries, err := fsys.ReadDir(name)
	for _, e := range entries {
		err = errors.Join(err, RemoveAll(fsys, path.Join(name, e.Name)))
	}
	return err
}

// ReadFile reads a file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrTooLong}
	}
	data = make([]byte, size)
	_, err = io.ReadFull(f, data)
	return data, err
}

// ErrTooLong is what ReadFile returns for a file beyond its limit.
var ErrTooLong = errors.New("file is too long")

// WriteSynced creates a file, lets write fill it, syncs and closes it. After an
// error the file may be there, with any part of its bytes.
func WriteSynced(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	f, err := fsys.Create(name, perm)
	if err != nil {
		return err
	}
	w := &stickyWriter{w: f}
	var out io.Writer = w
	if at, ok := f.(io.WriterAt); ok {
		out = &stickyWriterAt{w, at}
	}
	if err = write(out); err == nil {
		err = w.err
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// stickyWriter remembers a failed write, in case the caller does not.
type stickyWriter struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (w *stickyWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	var n int
	n, w.err = w.w.Write(p)
	return n, w.err
}

// stickyWriterAt also writes at offsets, where the file can.
type stickyWriterAt struct {
	*stickyWriter
	at io.WriterAt
}

// WriteAt implements io.WriterAt. It may be called from several goroutines, so
// that it leaves the error to its caller.
func (w *stickyWriterAt) WriteAt(p []byte, off int64) (int, error) { return w.at.WriteAt(p, off) }
