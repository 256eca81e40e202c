package crashfs

import (
	"io"
	"os"

	"github.com/borea-go/borea/internal/atomicfile"
)

// FS is what a crash-safe store needs. Paths are slash-free names joined with
// "/", relative to the store's own root; "" is the root.
type FS interface {
	Mkdir(dir string) error
	// Create makes a new file; an existing one is an error.
	Create(path string) (File, error)
	Open(path string) (ReadFile, error)
	// List returns the names in a folder, sorted.
	List(dir string) ([]string, error)
	Rename(from, to string) error
	// Remove removes a file or an empty folder.
	Remove(path string) error
	// SyncDir makes the entries of a folder durable.
	SyncDir(dir string) error
}

// File is a file being written.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// ReadFile is a file being read.
type ReadFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// OS is the real file system below Root, reached through os.Root, so that no
// name leads outside.
type OS struct{ Root *os.Root }

// Mkdir implements FS.
func (o OS) Mkdir(dir string) error { return o.Root.Mkdir(dir, 0o700) }

// Create implements FS.
func (o OS) Create(path string) (File, error) {
	return o.Root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Open implements FS; anything but a regular file is refused.
func (o OS) Open(path string) (ReadFile, error) {
	f, err := o.Root.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: os.ErrInvalid}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return osFile{f, st.Size()}, nil
}

type osFile struct {
	*os.File
	size int64
}

// Size implements ReadFile.
func (f osFile) Size() int64 { return f.size }

// List implements FS.
func (o OS) List(dir string) ([]string, error) {
	d, err := o.Root.Open(orDot(dir))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return sortedNames(d)
}

// Rename implements FS.
func (o OS) Rename(from, to string) error { return o.Root.Rename(from, to) }

// Remove implements FS.
func (o OS) Remove(path string) error { return o.Root.Remove(path) }

// SyncDir implements FS.
func (o OS) SyncDir(dir string) error {
	name := o.Root.Name()
	if dir != "" {
		name += "/" + dir
	}
	return atomicfile.SyncDir(name)
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}
