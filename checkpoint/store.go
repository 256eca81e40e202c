package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/internal/crashfs"
)

// Errors to compare with errors.Is.
var (
	// ErrNone says that the store holds no valid checkpoint.
	ErrNone = errors.New("checkpoint: none found")
	// ErrLocked says that another process writes to the folder.
	ErrLocked = errors.New("checkpoint: another run holds the lock")
	// ErrFull says that the disk has no room; earlier checkpoints are untouched.
	ErrFull = errors.New("checkpoint: disk full")
	// ErrReadOnly says that the folder cannot be written.
	ErrReadOnly = errors.New("checkpoint: folder is not writable")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("checkpoint: store is closed")
)

// Options says when to save and how much to keep.
type Options struct {
	// EverySeconds is the interval that Due reports; 0 is never.
	EverySeconds float64 `json:"every_seconds" yaml:"every_seconds"`
	// Keep is how many checkpoints stay, at least 1.
	Keep int `json:"keep" yaml:"keep"`
}

// DefaultOptions saves every five minutes and keeps ten.
func DefaultOptions() Options { return Options{EverySeconds: 300, Keep: 10} }

// Validate reports an option outside its range.
func (o Options) Validate() error {
	if !(o.EverySeconds >= 0) || o.Keep < 1 {
		return fmt.Errorf("checkpoint: every_seconds = %v, keep = %d; want at least 0 and 1", o.EverySeconds, o.Keep)
	}
	return nil
}

// Env is what is not data. The zero value is silent and uses the real clock.
type Env struct {
	Logger *slog.Logger
	// Now is the clock for Due; only differences matter.
	Now func() time.Time
}

// Store is an open folder of checkpoints. Its methods may be called from
// several goroutines.
type Store struct {
	fs      crashfs.FS
	opts    Options
	env     Env
	session Session
	unlock  func() error
	skip    skips

	mu     sync.Mutex // guards what follows and the folder
	serial int64
	last   time.Time // of the last save that was begun
	closed bool

	flight sync.WaitGroup
	async  error // of the last background save
	asyncM sync.Mutex
}

// skips leaves out one step of the protocol; only tests set it, to show that
// each step is needed.
type skips struct {
	fileSync, manifestSync, tempDirSync, parentSync bool
	manifestSum, fileSum                            bool
}

// Open makes the folder if need be, takes its lock, removes what an interrupted
// save left, and finds the newest serial number.
func Open(dir string, opts Options, env Env) (*Store, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, classify(err))
	}
	unlock, err := lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, classify(err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	s, err := open(crashfs.OS{Root: root}, opts, env)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), root.Close(), unlock())
	}
	s.unlock = func() error { return errors.Join(root.Close(), unlock()) }
	return s, nil
}

// makeDir creates dir, private to the user, and makes its entry durable.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(dir))
}

// open is Open on any file system, without the lock.
func open(fsys crashfs.FS, opts Options, env Env) (*Store, error) {
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Logger == nil {
		env.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{fs: fsys, opts: opts, env: env, unlock: func() error { return nil }}
	if err := s.sweep(); err != nil {
		return nil, classify(err)
	}
	s.last = env.Now()
	return s, s.openSession()
}

const (
	prefix     = "ckpt-"
	tempPrefix = ".tmp-"
	badPrefix  = "quarantine-"
)

// parseName reads step and serial from a checkpoint's name.
func parseName(name string) (step, serial int64, ok bool) {
	if !strings.HasPrefix(name, prefix) {
		return 0, 0, false
	}
	n, err := fmt.Sscanf(name, prefix+"%d-%d", &step, &serial)
	return step, serial, err == nil && n == 2 && name == checkpointName(step, serial)
}

func checkpointName(step, serial int64) string {
	return fmt.Sprintf("%s%012d-%08d", prefix, step, serial)
}

// sweep removes temporary folders and finds the largest serial in use, also in
// quarantine. Unknown names are left alone.
func (s *Store) sweep() error {
	names, err := s.fs.List("")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) {
			if err := crashfs.RemoveAll(s.fs, name); err != nil {
				return err
			}
			continue
		}
		if _, serial, ok := parseName(strings.TrimPrefix(name, badPrefix)); ok {
			s.serial = max(s.serial, serial)
		}
	}
	return nil
}

// published returns the names of checkpoints, newest first by step, then serial.
func (s *Store) published() ([]string, error) {
	names, err := s.fs.List("")
	if err != nil {
		return nil, classify(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { _, _, ok := parseName(n); return !ok })
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// Latest returns the newest valid checkpoint. Damaged ones are moved aside, under
// a name that starts with "quarantine-", and logged. Without any it returns ErrNone.
func (s *Store) Latest(ctx context.Context) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.published()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := s.verify(name)
		if err == nil {
			return &Snapshot{s: s, name: name, m: m}, nil
		}
		s.env.Logger.Warn("checkpoint skipped", "name", name, "error", err)
		if isCorrupt(err) {
			if err := s.fs.Rename(name, badPrefix+name); err != nil {
				return nil, classify(err)
			}
		}
	}
	return nil, ErrNone
}

// Due reports whether EverySeconds have passed since the last save began, or
// since the store was opened.
func (s *Store) Due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	every := time.Duration(s.opts.EverySeconds * float64(time.Second))
	return every > 0 && s.env.Now().Sub(s.last) >= every
}

// Close waits for a background save and releases the lock.
func (s *Store) Close() error {
	err := s.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return err
	}
	s.closed = true
	return errors.Join(err, s.unlock())
}

// classify adds the sentinel that a caller can act on.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, errDiskFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}
