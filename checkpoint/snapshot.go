package checkpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"github.com/borea-go/borea/internal/crashfs"
)

// Snapshot is one valid checkpoint. It stays readable until rotation removes it.
type Snapshot struct {
	s    *Store
	name string
	m    manifest
}

// Step returns the step it was saved at.
func (s *Snapshot) Step() int64 { return s.m.Step }

// Session returns the id of the session that saved it.
func (s *Snapshot) Session() string { return s.m.Session }

// Name returns the folder's name inside the store.
func (s *Snapshot) Name() string { return s.name }

// Files returns the names of its files, sorted.
func (s *Snapshot) Files() []string {
	names := make([]string, len(s.m.Files))
	for i, f := range s.m.Files {
		names[i] = f.Name
	}
	return names
}

// DecodeMeta decodes the state's Meta into v.
func (s *Snapshot) DecodeMeta(v any) error {
	if err := json.Unmarshal(s.m.Meta, v); err != nil {
		return fmt.Errorf("checkpoint %s: meta: %w", s.name, err)
	}
	return nil
}

// File is an open file of a snapshot.
type File struct {
	*io.SectionReader
	f crashfs.ReadFile
}

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

// ReaderAt opens a file by name for random access and returns its size.
func (s *Snapshot) ReaderAt(name string) (*File, int64, error) {
	for _, m := range s.m.Files {
		if m.Name != name {
			continue
		}
		f, err := s.s.fs.Open(s.name + "/" + name)
		if err != nil {
			return nil, 0, fmt.Errorf("checkpoint %s: %w", s.name, err)
		}
		return &File{io.NewSectionReader(f, 0, f.Size()), f}, m.Size, nil
	}
	return nil, 0, fmt.Errorf("checkpoint %s: file %s: %w", s.name, name, fs.ErrNotExist)
}
