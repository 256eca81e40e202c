package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/borea-go/borea/internal/crashfs"
)

// schema is the layout of manifests that this version writes and reads.
const schema = 1

const manifestName = "MANIFEST"

// maxManifest bounds what is read as a manifest.
const maxManifest = 64 << 20

type manifest struct {
	Schema  int             `json:"schema"`
	Session string          `json:"session"`
	Step    int64           `json:"step"`
	Serial  int64           `json:"serial"`
	Files   []manifestFile  `json:"files"`
	Meta    json.RawMessage `json:"meta"`
}

type manifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// CorruptError reports a checkpoint that fails verification.
type CorruptError struct {
	Name   string // folder
	File   string // "" for the folder itself
	Reason string
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("checkpoint %s: %s %s", e.Name, e.File, e.Reason)
}

// SchemaError reports a checkpoint written by a newer version.
type SchemaError struct {
	Name   string
	Schema int
}

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("checkpoint %s has layout %d, this program reads up to %d", e.Name, e.Schema, schema)
}

// encode returns the manifest with its checksum line.
func (m manifest) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return fmt.Appendf(b, "\n%x\n", sum), nil
}

func decodeManifest(name string, b []byte, check bool) (manifest, error) {
	var m manifest
	body, rest, ok := bytes.Cut(b, []byte{'\n'})
	sum := sha256.Sum256(body)
	if check && (!ok || string(rest) != hex.EncodeToString(sum[:])+"\n") {
		return m, &CorruptError{name, manifestName, "is torn or altered"}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, &CorruptError{name, manifestName, err.Error()}
	}
	if m.Schema > schema {
		return m, &SchemaError{name, m.Schema}
	}
	return m, nil
}

// readAll reads a small file.
func readAll(fs crashfs.FS, path string, limit int64) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes, at most %d", path, f.Size(), limit)
	}
	return io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
}

// verify reads a checkpoint's manifest and every byte of its files.
func (s *Store) verify(name string) (manifest, error) {
	b, err := readAll(s.fs, name+"/"+manifestName, maxManifest)
	if err != nil {
		return manifest{}, &CorruptError{name, manifestName, err.Error()}
	}
	m, err := decodeManifest(name, b, !s.skip.manifestSum)
	if err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if s.skip.fileSum {
			break
		}
		if err := s.verifyFile(name, f); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (s *Store) verifyFile(name string, want manifestFile) error {
	f, err := s.fs.Open(name + "/" + want.Name)
	if err != nil {
		return &CorruptError{name, want.Name, err.Error()}
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return &CorruptError{name, want.Name, err.Error()}
	}
	if n != want.Size || hex.EncodeToString(h.Sum(nil)) != want.SHA256 {
		return &CorruptError{name, want.Name, fmt.Sprintf("does not match the manifest (%d bytes, %d expected)", n, want.Size)}
	}
	return nil
}

// hashWriter counts and hashes what passes through.
type hashWriter struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (w *hashWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.h.Write(p[:n])
	w.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// isCorrupt reports whether a checkpoint should be moved aside.
func isCorrupt(err error) bool {
	var c *CorruptError
	return errors.As(err, &c)
}
