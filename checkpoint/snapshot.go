package checkpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"github.com/borea-go/borea/internal/crashfs"
)

// Snapshot is one valid checkpoint. It can be opened until later saves push it
// out of the store or the store is closed.
type Snapshot struct {
	s  *Store
	id id
	m  manifest
}

// Step returns the step it was saved at.
func (s *Snapshot) Step() int64 { return s.m.Step }

// Session returns the id of the session that saved it.
func (s *Snapshot) Session() string { return s.m.Session }

// Name returns the folder's name inside the store.
func (s *Snapshot) Name() string { return s.id.String() }

// Files returns the names of its files, sorted.
func (s *Snapshot) Files() []string {
	names := make([]string, len(s.m.Files))
	for i, f := range s.m.Files {
		names[i] = f.Name
	}
	return names
}

// DecodeMeta decodes the state's Meta into v, as encoding/json does.
func (s *Snapshot) DecodeMeta(v any) error {
	if err := json.Unmarshal(s.m.Meta, v); err != nil {
		return fmt.Errorf("checkpoint %s: meta: %w", s.s.path(s.Name()), err)
	}
	return nil
}

// File is an open file of a snapshot.
type File struct{ f crashfs.File }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) { return f.f.Read(p) }

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Open opens a file by name for reading from the start.
func (s *Snapshot) Open(name string) (io.ReadCloser, error) {
	f, _, err := s.ReaderAt(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// ReaderAt opens a file by name for random access and returns its size in bytes.
func (s *Snapshot) ReaderAt(name string) (*File, int64, error) {
	for _, m := range s.m.Files {
		if m.Name != name {
			continue
		}
		f, err := s.s.fs.Open(s.Name() + "/" + name)
		if err != nil {
			return nil, 0, fmt.Errorf("checkpoint %s: %w", s.s.path(s.Name()), err)
		}
		return &File{f}, m.Size, nil
	}
	return nil, 0, fmt.Errorf("checkpoint %s: file %s: %w", s.s.path(s.Name()), name, fs.ErrNotExist)
}
