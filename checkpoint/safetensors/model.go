package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Names of the files of a model directory.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// Limits of an index file: its bytes and the shards it may name.
const (
	maxIndexBytes = 64 << 20
	maxShards     = 4096
)

// ErrPickleRefused is wrapped when a directory holds weights in PyTorch's pickle
// format only. Reading pickles can run code, so this package never does.
var ErrPickleRefused = errors.New("safetensors: weights in pickle format are refused")

// Model is the tensors of a model directory, over one file or several. Its
// methods are safe for concurrent use.
type Model struct {
	shards  map[string]*Reader
	files   map[string]fs.File
	maps    map[string][]byte // whole files, nil without Map
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
	return fmt.Sprintf("shard %s: %v; fetch this file again", e.Shard, e.Err)
}

// Unwrap returns the cause.
func (e *ShardError) Unwrap() error { return e.Err }

// OpenModel opens model.safetensors or, where there is none, the shards that
// model.safetensors.index.json names (transformers chooses in that order). Shard
// names must be plain file names of regular files. Whether a symbolic link may
// lead out of the directory is the file system's choice: os.DirFS allows it,
// os.Root.FS refuses it.
func OpenModel(fsys fs.FS) (*Model, error) {
	m := &Model{shards: map[string]*Reader{}, files: map[string]fs.File{}, of: map[string]string{}}
	if err := m.open(fsys); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	slices.SortFunc(m.tensors, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}

// OpenDir opens a model directory that nothing is read outside of, not even
// through symbolic links. For a hub's cache, whose snapshots link to blobs beside
// them, use OpenModel(os.DirFS(dir)).
func OpenDir(dir string) (*Model, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	m, err := OpenModel(root.FS())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

func (m *Model) open(fsys fs.FS) error {
	_, err := fs.Stat(fsys, SingleFile)
	if err == nil {
		return m.openShard(fsys, SingleFile)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return &ShardError{SingleFile, err}
	}
	weightMap, err := readIndex(fsys)
	if err != nil {
		return err
	}
	shards := slices.Compact(slices.Sorted(maps.Values(weightMap)))
	if len(shards) > maxShards {
		return fmt.Errorf("%s: names %d shards, at most %d are opened", IndexFile, len(shards), maxShards)
	}
	for _, shard := range shards {
		if path.Base(shard) != shard || strings.ContainsAny(shard, `\:`) || !fs.ValidPath(shard) || shard == "." {
			return fmt.Errorf("%s: shard name %q is not a plain file name", IndexFile, shard)
		}
	}
	for _, shard := range shards {
		if err := m.openShard(fsys, shard); err != nil {
			return err
		}
	}
	return m.checkIndex(weightMap)
}

func readIndex(fsys fs.FS) (map[string]string, error) {
	f, err := fsys.Open(IndexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noWeights(fsys)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIndexBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", IndexFile, err)
	}
	if len(data) > maxIndexBytes {
		return nil, fmt.Errorf("%s: longer than %d bytes", IndexFile, maxIndexBytes)
	}
	var idx struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &idx); err != nil {
		return nil, fmt.Errorf("%s: %w", IndexFile, err)
	}
	if len(idx.WeightMap) == 0 {
		return nil, fmt.Errorf("%s: weight_map is missing or empty", IndexFile)
	}
	return idx.WeightMap, nil
}

// noWeights says what is wrong with a directory that has no safetensors.
func noWeights(fsys fs.FS) error {
	for _, pattern := range []string{"pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt"} {
		if found, _ := fs.Glob(fsys, pattern); len(found) > 0 {
			return fmt.Errorf("%s: %w; convert it to safetensors where you trust it", found[0], ErrPickleRefused)
		}
	}
	return fmt.Errorf("neither %s nor %s is in the model directory: %w", SingleFile, IndexFile, fs.ErrNotExist)
}

func (m *Model) openShard(fsys fs.FS, name string) error {
	r, err := m.openReader(fsys, name)
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

var errNotRegular = errors.New("not a regular file with random access")

func (m *Model) openReader(fsys fs.FS, name string) (*Reader, error) {
	// Before opening: a named pipe would block until somebody writes.
	if st, err := fs.Stat(fsys, name); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	m.files[name] = f
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	at, ok := f.(io.ReaderAt)
	if !ok || !st.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return NewReader(at, st.Size(), DefaultLimits())
}

func (m *Model) checkIndex(weightMap map[string]string) error {
	for _, tensor := range slices.Sorted(maps.Keys(weightMap)) {
		if shard := weightMap[tensor]; m.of[tensor] != shard {
			return &ShardError{shard, fmt.Errorf("lacks tensor %q that %s places there", tensor, IndexFile)}
		}
	}
	return nil
}

// Close unmaps and closes the files.
func (m *Model) Close() error {
	errs := []error{unmapAll(m.maps)}
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	m.files, m.maps = nil, nil
	return errors.Join(errs...)
}

// Shards returns the names of the files, sorted.
func (m *Model) Shards() []string { return slices.Sorted(maps.Keys(m.shards)) }

// Reader returns one file of the model, nil if there is none of that name.
func (m *Model) Reader(shard string) *Reader { return m.shards[shard] }

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
	v, err := r.Float32(name)
	if err != nil {
		return nil, &ShardError{m.of[name], err}
	}
	return v, nil
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
