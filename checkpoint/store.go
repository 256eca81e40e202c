package checkpoint

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/borea-go/borea/internal/crashfs"
)

// Store is an open folder of checkpoints. Its methods may be called from several
// goroutines.
type Store struct {
	fs      crashfs.FS
	dir     string
	opts    Options
	env     Env
	session Session
	release func() error
	buffer  int // bytes of a write

	mu      sync.Mutex // guards the folder and what follows
	serial  int64
	owned   map[id]bool // this session's, published and durable
	refused []error
	closed  bool

	slot chan struct{} // holds a token while a background save runs

	timing sync.Mutex // guards what follows
	last   time.Duration
	failed []error // of background saves
}

// Open makes the folder if need be (private to the user), takes its lock, removes
// what interrupted saves left, moves torn checkpoints to quarantine and records
// this start. A folder that cannot be written fails here, not after the first hour.
func Open(dir string, opts Options, env Env) (*Store, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	fsys, err := crashfs.CreateOS(dir)
	if err != nil {
		return nil, &Error{"open", dir, err}
	}
	s, err := open(fsys, dir, opts, env)
	if err != nil {
		return nil, errors.Join(err, fsys.Close())
	}
	if fsys.Network() {
		s.env.Logger.Warn("checkpoints on a network file system: its locks and its durability are its own", "path", dir)
	}
	unlock := s.release
	s.release = func() error { return errors.Join(unlock(), fsys.Close()) }
	return s, nil
}

// open is Open on any file system.
func open(fsys crashfs.FS, dir string, opts Options, env Env) (*Store, error) {
	s := &Store{
		fs: fsys, dir: dir, opts: opts, env: env.withDefaults(),
		buffer: 1 << 20, owned: map[id]bool{}, slot: make(chan struct{}, 1),
	}
	lock, err := lockIn(fsys, lockName)
	if err != nil {
		return nil, s.wrap("open", err)
	}
	s.release = lock.Close
	if err := s.start(); err != nil {
		return nil, errors.Join(s.wrap("open", err), lock.Close())
	}
	s.last = s.env.Clock()
	return s, nil
}

func (s *Store) start() error {
	l, err := s.list()
	if err != nil {
		return err
	}
	if err := s.sweep(l); err != nil {
		return err
	}
	s.findSession(l)
	for _, i := range l.ids {
		if _, err := s.check(i); err != nil {
			s.refuse(i, err)
		} else {
			s.owned[i] = true
		}
	}
	s.dropSessions(l)
	return s.recordStart()
}

// sweep removes what interrupted saves and removals left. A killed process may not
// have synced the renaming of what it removed, so that the disk still has it under
// the name of a checkpoint: that comes first.
func (s *Store) sweep(l listing) error {
	if len(l.leftover) == 0 {
		return nil
	}
	if err := s.fs.Sync("."); err != nil {
		return err
	}
	for _, name := range l.leftover {
		if err := crashfs.RemoveAll(s.fs, name); err != nil {
			return err
		}
	}
	return nil
}

// Latest returns the newest valid checkpoint, after reading every byte of it.
// What it finds damaged goes to quarantine. Where there never was a checkpoint it
// returns ErrNone. Where there are some and none is usable it returns why the
// newest is not (a *CorruptError, *SchemaError or *ForeignError), so that nobody
// starts over unawares.
func (s *Store) Latest(ctx context.Context) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, s.wrap("read", ErrClosed)
	}
	l, err := s.list()
	if err != nil {
		return nil, s.wrap("read", err)
	}
	var first error
	for _, i := range l.ids {
		m, err := s.verify(ctx, i)
		if err == nil {
			return &Snapshot{s: s, id: i, m: m}, nil
		}
		if ctx.Err() != nil {
			return nil, s.wrap("read", context.Cause(ctx))
		}
		err = s.refuse(i, err)
		first = firstError(first, err)
	}
	if first == nil && len(l.bad) > 0 {
		first = &CorruptError{s.path(badPrefix + l.bad[0].String()), manifestName, errQuarantined}
	}
	return nil, s.wrap("read", firstError(first, ErrNone))
}

var errQuarantined = errors.New("was found damaged earlier and no other is left")

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// refuse notes why a checkpoint is not used; a damaged one goes to quarantine.
// It returns the error with the place where the checkpoint now is.
func (s *Store) refuse(i id, err error) error {
	delete(s.owned, i)
	var c *CorruptError
	if errors.As(err, &c) {
		to := badPrefix + i.String()
		if rerr := s.fs.Rename(i.String(), to); rerr != nil {
			s.env.Logger.Warn("damaged checkpoint not moved", "path", c.Path, "error", rerr)
		} else {
			c.Path = s.path(to)
		}
	}
	s.refused = append(s.refused, err)
	s.env.Logger.Warn("checkpoint refused", "error", err)
	return err
}

// Refused returns why checkpoints were not used since Open, in the order found.
func (s *Store) Refused() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error(nil), s.refused...)
}

// Due reports whether EverySeconds have passed since the last save began, or since
// Open. It is false while a background save runs.
func (s *Store) Due() bool {
	s.timing.Lock()
	defer s.timing.Unlock()
	every := s.opts.EverySeconds
	return every > 0 && len(s.slot) == 0 && (s.env.Clock()-s.last).Seconds() >= every
}

// Close waits for a background save and releases the lock. It returns what Wait
// would.
func (s *Store) Close() error {
	err := s.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return err
	}
	s.closed = true
	return errors.Join(err, s.wrap("close", s.release()))
}

var _ io.Closer = (*Store)(nil)
