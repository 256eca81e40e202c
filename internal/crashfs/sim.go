package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// Op is one operation on a simulated file system.
type Op struct {
	N    int    // from 1
	Kind string // create, open, mkdir, readdir, stat, rename, remove, sync, syncdir, lock, read, write
	Name string // the file or folder; of a rename the old name
	To   string // of a rename the new name
}

// Sim is a file system in memory that knows what is durable. Its methods may be
// called from several goroutines; the hooks must be set before.
type Sim struct {
	// Fault is asked before every operation; what it returns is the operation's
	// error (see Short, Done, ErrSkip and ErrKilled). Nil injects nothing.
	Fault func(Op) error
	// After runs after every operation that changes what a power cut could leave.
	After func(Op)

	mu    sync.Mutex
	root  *node
	n     int
	locks map[string]bool
}

// NewSim returns an empty file system.
func NewSim() *Sim { return &Sim{root: &node{dir: true}, locks: map[string]bool{}} }

// Ops returns how many operations ran.
func (s *Sim) Ops() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// do runs one operation: fault first, then f under the lock, then After if the
// operation changes the disk.
func (s *Sim) do(op Op, changes bool, f func() error) error {
	s.mu.Lock()
	s.n++
	op.N = s.n
	var fault error
	if s.Fault != nil {
		fault = s.Fault(op)
	}
	var done *Done
	if fault == nil || errors.As(fault, &done) {
		if err := f(); err != nil {
			fault = err
		}
	}
	s.mu.Unlock()
	if fault == ErrSkip {
		return nil
	}
	if changes && s.After != nil {
		s.After(op)
	}
	if fault == nil {
		return nil
	}
	return &fs.PathError{Op: op.Kind, Path: op.Name, Err: fault}
}

func (s *Sim) find(name string) (*node, error) {
	n := s.root
	for name != "." && name != "" {
		var part string
		part, name, _ = strings.Cut(name, "/")
		if !n.dir {
			return nil, fs.ErrNotExist
		}
		if n = find(n.entries, part); n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

func (s *Sim) folder(name string) (*node, error) {
	n, err := s.find(name)
	if err == nil && !n.dir {
		err = fs.ErrInvalid
	}
	return n, err
}

func (s *Sim) insert(kind, name string, n *node) error {
	return s.do(Op{Kind: kind, Name: name}, true, func() error {
		if !fs.ValidPath(name) || name == "." {
			return fs.ErrInvalid
		}
		d, err := s.folder(path.Dir(name))
		if err != nil {
			return err
		}
		if find(d.entries, path.Base(name)) != nil {
			return fs.ErrExist
		}
		(&change{put: path.Base(name), putIn: d, n: n}).apply()
		return nil
	})
}

// Mkdir implements FS.
func (s *Sim) Mkdir(name string) error { return s.insert("mkdir", name, &node{dir: true}) }

// Create implements FS.
func (s *Sim) Create(name string, _ fs.FileMode) (File, error) {
	n := &node{}
	if err := s.insert("create", name, n); err != nil {
		return nil, err
	}
	return &simFile{s: s, n: n, name: name, writing: true}, nil
}

// Open implements FS.
func (s *Sim) Open(name string) (File, error) {
	f := &simFile{s: s, name: name}
	err := s.do(Op{Kind: "open", Name: name}, false, func() (err error) {
		f.n, err = s.find(name)
		if err == nil && f.n.dir {
			err = ErrNotRegular
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// ReadDir implements FS.
func (s *Sim) ReadDir(name string) (list []Entry, err error) {
	err = s.do(Op{Kind: "readdir", Name: name}, false, func() error {
		d, err := s.folder(name)
		if err != nil {
			return err
		}
		list = make([]Entry, len(d.entries))
		for i, e := range d.entries {
			list[i] = e.entry()
		}
		return nil
	})
	return list, err
}

func (e link) entry() Entry {
	return Entry{Name: e.name, Dir: e.n.dir, Regular: !e.n.dir, Size: int64(len(e.n.data))}
}

// Stat implements FS.
func (s *Sim) Stat(name string) (e Entry, err error) {
	err = s.do(Op{Kind: "stat", Name: name}, false, func() error {
		n, err := s.find(name)
		if err == nil {
			e = link{path.Base(name), n}.entry()
		}
		return err
	})
	return e, err
}

// Rename implements FS.
func (s *Sim) Rename(from, to string) error {
	return s.do(Op{Kind: "rename", Name: from, To: to}, true, func() error {
		n, err := s.find(from)
		if err != nil {
			return err
		}
		a, _ := s.folder(path.Dir(from))
		b, err := s.folder(path.Dir(to))
		if err != nil {
			return err
		}
		if old := find(b.entries, path.Base(to)); old != nil && (old.dir || n.dir) {
			return fs.ErrExist
		}
		(&change{cut: path.Base(from), cutIn: a, put: path.Base(to), putIn: b, n: n}).apply()
		return nil
	})
}

// Remove implements FS.
func (s *Sim) Remove(name string) error {
	return s.do(Op{Kind: "remove", Name: name}, true, func() error {
		n, err := s.find(name)
		if err != nil {
			return err
		}
		if len(n.entries) > 0 {
			return errNotEmpty
		}
		d, _ := s.folder(path.Dir(name))
		(&change{cut: path.Base(name), cutIn: d, n: n}).apply()
		return nil
	})
}

var errNotEmpty = errors.New("folder is not empty")

// Sync implements FS.
func (s *Sim) Sync(name string) error {
	n, err := func() (*node, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.find(name)
	}()
	if err != nil {
		return &fs.PathError{Op: "sync", Path: name, Err: err}
	}
	return s.sync(name, n)
}

func (s *Sim) sync(name string, n *node) error {
	kind := "sync"
	if n.dir {
		kind = "syncdir"
	}
	synced := false
	err := s.do(Op{Kind: kind, Name: name}, true, func() error {
		synced = true
		if n.dir {
			n.syncEntries()
		} else {
			n.syncData()
		}
		return nil
	})
	if err != nil && !synced && !n.dir && !errors.Is(err, ErrKilled) {
		s.mu.Lock()
		n.failSync()
		s.mu.Unlock()
	}
	return err
}

// Lock implements FS. A power cut frees every lock.
func (s *Sim) Lock(name string) (io.Closer, error) {
	if ok, err := Exists(s, name); err != nil {
		return nil, err
	} else if !ok {
		if _, err := s.Create(name, 0o600); err != nil {
			return nil, err
		}
	}
	taken := false
	err := s.do(Op{Kind: "lock", Name: name}, false, func() error {
		if s.locks[name] {
			return ErrLocked
		}
		s.locks[name], taken = true, true
		return nil
	})
	l := &simLock{s, name}
	if err != nil && taken {
		l.Close()
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

type simLock struct {
	s    *Sim
	name string
}

// Close frees the lock.
func (l *simLock) Close() error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	delete(l.s.locks, l.name)
	return nil
}
