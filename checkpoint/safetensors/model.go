package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Names of the files of a model directory.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// Model is the tensors of a model directory, over one file or several.
type Model struct {
	shards  map[string]*Reader
	files   []io.Closer
	of      map[string]string // tensor to shard
	tensors []Info
}

// ShardError reports a shard that is missing or damaged.
type ShardError struct {
	Shard string
	Err   error
}

// Error implements error.
func (e *ShardError) Error() string {
	return fmt.Sprintf("shard %s: %v; download the file again or remove it from %s", e.Shard, e.Err, IndexFile)
}

// Unwrap returns the cause.
func (e *ShardError) Unwrap() error { return e.Err }

// OpenModel opens model.safetensors, or the shards that the index names. Shard
// names must be plain file names: nothing outside the directory is opened.
func OpenModel(fsys fs.FS) (*Model, error) {
	m := &Model{shards: map[string]*Reader{}, of: map[string]string{}}
	err := m.open(fsys)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	slices.SortFunc(m.tensors, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}

func (m *Model) open(fsys fs.FS) error {
	index, err := fs.ReadFile(fsys, IndexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return m.openShard(fsys, SingleFile)
	}
	if err != nil {
		return err
	}
	var idx struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(index, &idx); err != nil {
		return fmt.Errorf("%s: %w", IndexFile, err)
	}
	if len(idx.WeightMap) == 0 {
		return fmt.Errorf("%s: weight_map is empty", IndexFile)
	}
	for _, shard := range idx.WeightMap {
		if m.shards[shard] != nil {
			continue
		}
		if path.Base(shard) != shard || strings.ContainsAny(shard, `\:`) || !fs.ValidPath(shard) {
			return fmt.Errorf("%s: shard name %q is not a plain file name", IndexFile, shard)
		}
		if err := m.openShard(fsys, shard); err != nil {
			return err
		}
	}
	return m.checkIndex(idx.WeightMap)
}

func (m *Model) openShard(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return &ShardError{name, err}
	}
	m.files = append(m.files, f)
	st, err := f.Stat()
	if err != nil {
		return &ShardError{name, err}
	}
	at, ok := f.(io.ReaderAt)
	if !ok || !st.Mode().IsRegular() {
		return &ShardError{name, errors.New("not a regular file with random access")}
	}
	r, err := NewReader(at, st.Size(), DefaultLimits())
	if err != nil {
		return &ShardError{name, err}
	}
	m.shards[name] = r
	for _, t := range r.Tensors() {
		if other, dup := m.of[t.Name]; dup {
			return &ShardError{name, fmt.Errorf("tensor %q is also in %s", t.Name, other)}
		}
		m.of[t.Name] = name
		m.tensors = append(m.tensors, t)
	}
	return nil
}

func (m *Model) checkIndex(weightMap map[string]string) error {
	for tensor, shard := range weightMap {
		if m.of[tensor] != shard {
			return &ShardError{shard, fmt.Errorf("lacks tensor %q that %s places there", tensor, IndexFile)}
		}
	}
	return nil
}

// Close closes the files.
func (m *Model) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	m.files = nil
	return errors.Join(errs...)
}

// Tensors returns all tensors sorted by name. The slice must not be changed.
func (m *Model) Tensors() []Info { return m.tensors }

// Shard returns the file that holds a tensor, "" if none does.
func (m *Model) Shard(name string) string { return m.of[name] }

func (m *Model) reader(name string) (*Reader, error) {
	r, ok := m.shards[m.of[name]]
	if !ok {
		return nil, &NotFoundError{name}
	}
	return r, nil
}

// Info returns the description of a tensor; Offset is within its shard.
func (m *Model) Info(name string) (Info, bool) {
	r, err := m.reader(name)
	if err != nil {
		return Info{}, false
	}
	return r.Info(name)
}

// Section returns a reader over a tensor's bytes.
func (m *Model) Section(name string) (*io.SectionReader, error) {
	r, err := m.reader(name)
	if err != nil {
		return nil, err
	}
	return r.Section(name)
}

// Float32 returns a whole tensor as float32.
func (m *Model) Float32(name string) ([]float32, error) {
	r, err := m.reader(name)
	if err != nil {
		return nil, err
	}
	return r.Float32(name)
}

// ReadFloat32 fills dst with a tensor's elements from index first on.
func (m *Model) ReadFloat32(name string, first int, dst []float32) error {
	r, err := m.reader(name)
	if err != nil {
		return err
	}
	if err := r.ReadFloat32(name, first, dst); err != nil {
		return &ShardError{m.of[name], err}
	}
	return nil
}
