package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// OS is the real file system below a folder, reached through os.Root, so that no
// name and no link leads outside.
type OS struct{ root *os.Root }

// OpenOS opens an existing folder as a file system.
func OpenOS(dir string) (*OS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &OS{root}, nil
}

// CreateOS opens a folder as a file system. It makes the folder and those above
// it where they are missing, each with a durable entry.
func CreateOS(dir string) (*OS, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	base := dir
	for {
		st, err := os.Stat(base)
		if err == nil && !st.IsDir() {
			return nil, &fs.PathError{Op: "mkdir", Path: base, Err: errors.New("not a folder")}
		}
		if err == nil || filepath.Dir(base) == base {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		base = filepath.Dir(base)
	}
	if err := makeBelow(base, dir); err != nil {
		return nil, err
	}
	return OpenOS(dir)
}

// makeBelow makes dir, starting from the existing folder base.
func makeBelow(base, dir string) error {
	if base == dir {
		// Whoever made it may have been killed before syncing its parent, which
		// this user may not be allowed to open.
		if err := syncPath(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	}
	o, err := OpenOS(base)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(base, dir)
	if err == nil {
		err = MkdirAll(o, filepath.ToSlash(rel))
	}
	return errors.Join(err, o.Close())
}

// Close releases the folder.
func (o *OS) Close() error { return o.root.Close() }

// Path returns the path of a name on the real system.
func (o *OS) Path(name string) string {
	return filepath.Join(o.root.Name(), filepath.FromSlash(name))
}

// Create implements FS.
func (o *OS) Create(name string, perm fs.FileMode) (File, error) {
	f, err := o.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Open implements FS. The kind is asked before opening, because opening a named
// pipe would wait for its writer.
func (o *OS) Open(name string) (File, error) {
	st, err := o.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	f, err := o.root.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// ErrNotRegular is what Open returns for folders, links and devices.
var ErrNotRegular = errors.New("not a regular file")

// osFile adds Size to a file.
type osFile struct{ *os.File }

// Size implements File.
func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Mkdir implements FS.
func (o *OS) Mkdir(name string) error { return o.root.Mkdir(name, 0o700) }

// ReadDir implements FS.
func (o *OS) ReadDir(name string) ([]Entry, error) {
	d, err := o.root.Open(name)
	if err != nil {
		return nil, err
	}
	infos, err := d.Readdir(-1)
	entries := make([]Entry, len(infos))
	for i, st := range infos {
		entries[i] = entryOf(st)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, errors.Join(err, d.Close())
}

// Stat implements FS.
func (o *OS) Stat(name string) (Entry, error) {
	st, err := o.root.Lstat(name)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(st), nil
}

func entryOf(st fs.FileInfo) Entry {
	return Entry{Name: st.Name(), Dir: st.IsDir(), Regular: st.Mode().IsRegular(), Size: st.Size()}
}

// Rename implements FS.
func (o *OS) Rename(from, to string) error {
	return patiently(func() error { return o.root.Rename(from, to) })
}

// Remove implements FS.
func (o *OS) Remove(name string) error {
	return patiently(func() error { return o.remove(name) })
}

// Sync implements FS.
func (o *OS) Sync(name string) error { return syncPath(o.Path(name)) }

// Lock implements FS.
func (o *OS) Lock(name string) (io.Closer, error) {
	f, err := o.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: f.Name(), Err: err}, f.Close())
	}
	return f, nil
}
