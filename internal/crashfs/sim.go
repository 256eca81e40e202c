package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// ErrCrashed is what every operation returns after the power is gone.
var ErrCrashed = errors.New("crashfs: power is gone")

// Sim is a file system in memory. The zero value is not ready; use NewSim. It is
// not safe for concurrent use.
type Sim struct {
	root *node
	// Ops counts operations so far.
	Ops int
	// Hook, if set, runs before every operation with its number and name; an
	// error it returns is the operation's result.
	Hook func(op int, name string) error
	// After, if set, runs after every operation.
	After func(op int)
}

// node is a file or a folder.
type node struct {
	dir     bool
	data    []byte // as a running program sees it
	durable []byte // as of the last sync
	entries map[string]*node
	synced  map[string]*node // entries as of the last SyncDir
	pending []change         // since then, in order
}

// change is one entry operation: name appears (n), or vanishes (n nil); a rename
// is both at once.
type change struct {
	add, remove string
	n           *node
}

func newDir() *node {
	return &node{dir: true, entries: map[string]*node{}, synced: map[string]*node{}}
}

// NewSim returns an empty file system.
func NewSim() *Sim { return &Sim{root: newDir()} }

func (s *Sim) begin(op string) error {
	s.Ops++
	if s.Hook != nil {
		return s.Hook(s.Ops, op)
	}
	return nil
}

func (s *Sim) end() {
	if s.After != nil {
		s.After(s.Ops)
	}
}

func (s *Sim) find(path string) *node {
	n := s.root
	if path == "" {
		return n
	}
	for part := range strings.SplitSeq(path, "/") {
		if n = n.entries[part]; n == nil {
			return nil
		}
	}
	return n
}

// parent returns the folder of path and its last name.
func (s *Sim) parent(path string) (*node, string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return s.root, path
	}
	return s.find(path[:i]), path[i+1:]
}

func pathError(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }

func (d *node) apply(c change) {
	if c.remove != "" {
		delete(d.entries, c.remove)
	}
	if c.add != "" {
		d.entries[c.add] = c.n
	}
	d.pending = append(d.pending, c)
}

func (s *Sim) insert(op, path string, n *node) error {
	if err := s.begin(op); err != nil {
		return err
	}
	defer s.end()
	d, name := s.parent(path)
	if d == nil {
		return pathError(op, path, fs.ErrNotExist)
	}
	if d.entries[name] != nil {
		return pathError(op, path, fs.ErrExist)
	}
	d.apply(change{add: name, n: n})
	return nil
}

// Mkdir implements FS.
func (s *Sim) Mkdir(dir string) error { return s.insert("mkdir", dir, newDir()) }

// Create implements FS.
func (s *Sim) Create(path string) (File, error) {
	n := &node{}
	if err := s.insert("create", path, n); err != nil {
		return nil, err
	}
	return &simFile{s, n}, nil
}

type simFile struct {
	s *Sim
	n *node
}

// Write implements io.Writer.
func (f *simFile) Write(p []byte) (int, error) {
	if err := f.s.begin("write"); err != nil {
		// A failing disk may have taken some of it.
		half := len(p) / 2
		f.n.data = append(f.n.data, p[:half]...)
		return half, err
	}
	defer f.s.end()
	f.n.data = append(f.n.data, p...)
	return len(p), nil
}

// Sync implements File.
func (f *simFile) Sync() error {
	if err := f.s.begin("sync"); err != nil {
		return err
	}
	defer f.s.end()
	f.n.durable = slices.Clone(f.n.data)
	return nil
}

// Close implements File.
func (f *simFile) Close() error { return nil }

type simReader struct{ data []byte }

// ReadAt implements io.ReaderAt.
func (r simReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(r.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size implements ReadFile.
func (r simReader) Size() int64 { return int64(len(r.data)) }

// Close implements io.Closer.
func (r simReader) Close() error { return nil }

// Open implements FS.
func (s *Sim) Open(path string) (ReadFile, error) {
	if err := s.begin("open"); err != nil {
		return nil, err
	}
	n := s.find(path)
	if n == nil || n.dir {
		return nil, pathError("open", path, fs.ErrNotExist)
	}
	return simReader{n.data}, nil
}

// List implements FS.
func (s *Sim) List(dir string) ([]string, error) {
	if err := s.begin("list"); err != nil {
		return nil, err
	}
	n := s.find(dir)
	if n == nil || !n.dir {
		return nil, pathError("list", dir, fs.ErrNotExist)
	}
	names := make([]string, 0, len(n.entries))
	for name := range n.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Rename implements FS, within one folder.
func (s *Sim) Rename(from, to string) error {
	if err := s.begin("rename"); err != nil {
		return err
	}
	defer s.end()
	d, a := s.parent(from)
	e, b := s.parent(to)
	if d == nil || d != e || d.entries[a] == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	if old := d.entries[b]; old != nil && old.dir {
		return pathError("rename", to, fs.ErrExist)
	}
	d.apply(change{add: b, remove: a, n: d.entries[a]})
	return nil
}

// Remove implements FS.
func (s *Sim) Remove(path string) error {
	if err := s.begin("remove"); err != nil {
		return err
	}
	defer s.end()
	d, name := s.parent(path)
	if d == nil || d.entries[name] == nil {
		return pathError("remove", path, fs.ErrNotExist)
	}
	if n := d.entries[name]; n.dir && len(n.entries) > 0 {
		return pathError("remove", path, fmt.Errorf("folder is not empty"))
	}
	d.apply(change{remove: name})
	return nil
}

// SyncDir implements FS.
func (s *Sim) SyncDir(dir string) error {
	if err := s.begin("syncdir"); err != nil {
		return err
	}
	defer s.end()
	n := s.find(dir)
	if n == nil || !n.dir {
		return pathError("syncdir", dir, fs.ErrNotExist)
	}
	n.synced = make(map[string]*node, len(n.entries))
	for k, v := range n.entries {
		n.synced[k] = v
	}
	n.pending = nil
	return nil
}

// Crash returns a file system as it may stand after power is lost now: every
// pending change of a folder survives or not, every file shows its synced data
// plus any part of what was written since.
func (s *Sim) Crash(rng *rand.Rand) *Sim {
	return &Sim{root: crashNode(s.root, rng, map[*node]*node{})}
}

func crashNode(n *node, rng *rand.Rand, done map[*node]*node) *node {
	if c := done[n]; c != nil {
		return c
	}
	c := &node{dir: n.dir}
	done[n] = c
	if !n.dir {
		c.data = crashData(n, rng)
		c.durable = c.data
		return c
	}
	entries := make(map[string]*node, len(n.synced))
	for k, v := range n.synced {
		entries[k] = v
	}
	for _, ch := range n.pending {
		if rng.IntN(2) == 0 {
			continue
		}
		if ch.remove != "" {
			delete(entries, ch.remove)
		}
		if ch.add != "" {
			entries[ch.add] = ch.n
		}
	}
	c.entries = make(map[string]*node, len(entries))
	// In order, so that one seed gives one state.
	for _, k := range slices.Sorted(maps.Keys(entries)) {
		c.entries[k] = crashNode(entries[k], rng, done)
	}
	c.synced = make(map[string]*node, len(c.entries))
	for k, v := range c.entries {
		c.synced[k] = v
	}
	return c
}

// crashData returns the synced bytes and, of those written since, everything,
// nothing, a torn prefix, or blocks of which some read as zeros.
func crashData(n *node, rng *rand.Rand) []byte {
	base, extra := len(n.durable), len(n.data)-len(n.durable)
	if extra <= 0 {
		return slices.Clone(n.durable)
	}
	switch rng.IntN(4) {
	case 0:
		return slices.Clone(n.durable)
	case 1:
		return slices.Clone(n.data)
	case 2:
		return slices.Clone(n.data[:base+rng.IntN(extra+1)])
	}
	out := slices.Clone(n.data)
	const block = 16
	for i := base; i < len(out); i += block {
		if rng.IntN(2) == 0 {
			clear(out[i:min(len(out), i+block)])
		}
	}
	return out
}
