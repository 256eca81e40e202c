package gguf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// File is an open file, or all the parts of a split one read as one.
type File struct {
	*Reader
	closers []io.Closer
}

// Close closes the parts.
func (f *File) Close() error {
	var errs []error
	for _, c := range f.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Open opens a file of fsys. If it is the first part of a split file, its name
// must be as SplitName makes it, and the other parts beside it are opened too. The
// files of fsys must implement io.ReaderAt.
func Open(fsys fs.FS, name string, opts ReaderOptions) (*File, error) {
	f := &File{}
	r, err := f.open(fsys, name, opts)
	if err == nil {
		err = f.join(fsys, name, r, opts)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenFile is Open on the file system of the machine. A file whose edit was cut
// off is refused with ErrUnfinished; see RecoverEdit.
func OpenFile(name string, opts ReaderOptions) (*File, error) {
	if _, err := os.Lstat(journalName(name)); err == nil {
		return nil, fmt.Errorf("gguf: %s: %w", name, ErrUnfinished)
	}
	return Open(os.DirFS(filepath.Dir(name)), filepath.Base(name), opts)
}

func (f *File) open(fsys fs.FS, name string, opts ReaderOptions) (*Reader, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	f.closers = append(f.closers, file)
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	at, ok := file.(io.ReaderAt)
	if !ok || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("gguf: %w: %s can not be read at offsets", ErrUnsupported, name)
	}
	r, err := NewReader(at, info.Size(), opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// join opens the other parts, if there are any.
func (f *File) join(fsys fs.FS, name string, first *Reader, opts ReaderOptions) error {
	if _, ok := first.Value(splitCount); !ok {
		f.Reader = first
		return nil
	}
	count, err := first.LookupInteger(splitCount)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	prefix, no, ofName, ok := ParseSplitName(path.Base(name))
	switch {
	case count == 1:
		ok, no, ofName = true, 0, 1 // llama.cpp asks for no name then
	case !ok || ofName != count:
		return fmt.Errorf("%s: %w", name, &KeyError{splitCount, fmt.Sprintf("is %d, but the name is not one of %d parts", count, count), ErrFormat})
	}
	if no != 0 {
		return fmt.Errorf("%s: %w", name, &KeyError{splitNo, fmt.Sprintf("part %d of %d: open the first, %s", no+1, count, SplitName(prefix, 0, count)), ErrOption})
	}
	parts := []*Reader{first}
	for no := 1; no < count; no++ {
		p, err := f.open(fsys, path.Join(path.Dir(name), SplitName(prefix, no, count)), opts)
		if err != nil {
			return err
		}
		parts = append(parts, p)
	}
	if f.Reader, err = Join(parts...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
