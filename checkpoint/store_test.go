package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/borea-go/borea/internal/crashfs"
)

var bg = context.Background()

func crashfsWrite(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }

func mustOpen(t *testing.T, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts, Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustSave(t *testing.T, s *Store, steps ...int64) {
	t.Helper()
	for _, step := range steps {
		if err := s.Save(bg, scripts[0].state(step)); err != nil {
			t.Fatal(err)
		}
	}
}

// newest returns the folder of the newest checkpoint.
func newest(t *testing.T, s *Store) id {
	t.Helper()
	l, err := s.list()
	if err != nil || len(l.ids) == 0 {
		t.Fatal(l, err)
	}
	return l.ids[0]
}

func TestSaveAndReadBack(t *testing.T) {
	dir := filepath.Join(tempDir(t), "a", "b")
	s := mustOpen(t, dir, Options{Keep: 3})
	if _, err := s.Latest(bg); !errors.Is(err, ErrNone) {
		t.Errorf("empty store: %v", err)
	}
	mustSave(t, s, 1, 2, 3, 4, 5)
	snap, err := s.Latest(bg)
	if err != nil || snap.Step() != 5 || snap.Session() != s.Session().ID || scripts[0].wrongContent(snap) != nil {
		t.Fatalf("latest %+v, %v", snap, err)
	}
	f, size, err := snap.ReaderAt("weights")
	if err != nil || size != int64(scripts[0].size) {
		t.Fatal(size, err)
	}
	defer f.Close()
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 10); err != nil || !bytes.Equal(b, content(5, "weights", scripts[0].size)[10:14]) {
		t.Errorf("ReadAt: %x, %v", b, err)
	}
	if _, err := snap.Open("nothing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if l, _ := s.list(); len(l.ids) != 3 || len(l.leftover) != 0 {
		t.Errorf("holds %+v", l)
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	dir := filepath.Join(tempDir(t), "store")
	s := mustOpen(t, dir, DefaultOptions())
	mustSave(t, s, 1)
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		st, err := d.Info()
		if err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", path, st.Mode(), err)
		}
		return nil
	})
}

func TestOneWriter(t *testing.T) {
	dir := tempDir(t)
	s := mustOpen(t, dir, DefaultOptions())
	_, err := Open(dir, DefaultOptions(), Env{})
	var typed *Error
	if !errors.Is(err, ErrLocked) || !errors.As(err, &typed) || typed.Dir != dir {
		t.Errorf("second writer: %v", err)
	}
	mustSave(t, s, 1)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(bg, scripts[0].state(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("save on a closed store: %v", err)
	}
	if _, err := s.Latest(bg); !errors.Is(err, ErrClosed) {
		t.Errorf("latest on a closed store: %v", err)
	}
	again := mustOpen(t, dir, DefaultOptions())
	if a, b := s.Session(), again.Session(); a.ID != b.ID || b.Starts != 2 || a.Step != -1 || b.Step != 1 {
		t.Errorf("sessions %+v, %+v", a, b)
	}
}

func TestLockFile(t *testing.T) {
	path := filepath.Join(tempDir(t), "new", "lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second holder: %v", err)
	}
	if _, err := Lock(filepath.Join(path, "sub")); err == nil {
		t.Error("a lock below a file")
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestLaterStartTakesOver is two writers where locks do not work.
func TestLaterStartTakesOver(t *testing.T) {
	sim := crashfs.NewSim()
	a, err := open(sim, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, a, 1)
	a.release() // the lock is lost
	b, err := open(sim, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, b, 2)
	if err := a.Save(bg, scripts[0].state(3)); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the earlier writer: %v", err)
	}
}

func TestStateIsCheckedBeforeWriting(t *testing.T) {
	sim := crashfs.NewSim()
	s, err := open(sim, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 7)
	var bad *NameError
	for _, name := range []string{"", ".", "..", ".x", "a/b", `a\b`, "c:x", "MANIFEST", "manifest", "x.", "a b", "ö", "nul", "Con.txt", "lpt1", strings.Repeat("x", maxName+1)} {
		st := State{Step: 8, Files: map[string]func(io.Writer) error{name: func(io.Writer) error { return nil }}}
		if err := s.Save(bg, st); !errors.As(err, &bad) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	write := func(io.Writer) error { return nil }
	if err := s.Save(bg, State{Step: 8, Files: map[string]func(io.Writer) error{"a": write, "A": write}}); !errors.As(err, &bad) {
		t.Errorf("names alike but for case: %v", err)
	}
	var behind *StepError
	if err := s.Save(bg, State{Step: 6}); !errors.As(err, &behind) || behind.Newest != 7 {
		t.Errorf("an older step: %v", err)
	}
	var unsupported *json.UnsupportedTypeError
	if err := s.Save(bg, State{Step: 8, Meta: func() {}}); !errors.As(err, &unsupported) {
		t.Errorf("meta that is no JSON: %v", err)
	}
	if err := s.Save(bg, State{Step: 8, Meta: strings.Repeat("x", maxManifest)}); !errors.Is(err, errMeta) {
		t.Errorf("a manifest that could not be read back: %v", err)
	}
	if l, _ := s.list(); len(l.ids) != 1 || len(l.leftover) != 0 {
		t.Errorf("holds %+v", l)
	}
	if err := s.Save(bg, State{Step: -1}); !errors.As(err, &behind) {
		t.Errorf("a negative step: %v", err)
	}
}

func TestContextEndsASave(t *testing.T) {
	s := mustOpen(t, tempDir(t), DefaultOptions())
	mustSave(t, s, 1)
	reason := errors.New("reason")
	ctx, cancel := context.WithCancelCause(bg)
	st := State{Step: 2, Files: map[string]func(io.Writer) error{"big": func(w io.Writer) error {
		cancel(reason)
		_, err := w.Write(make([]byte, 3<<20))
		return err
	}}}
	if err := s.Save(ctx, st); !errors.Is(err, reason) {
		t.Errorf("during a save: %v", err)
	}
	if err := s.Save(ctx, State{Step: 2}); !errors.Is(err, reason) {
		t.Errorf("before a save: %v", err)
	}
	if _, err := s.Latest(ctx); !errors.Is(err, reason) {
		t.Errorf("reading: %v", err)
	}
	if l, _ := s.list(); len(l.ids) != 1 || len(l.leftover) != 0 || len(l.bad) != 0 {
		t.Errorf("holds %+v", l)
	}
}

func TestBackgroundSaves(t *testing.T) {
	var now time.Duration
	s, err := open(crashfs.NewSim(), "d", Options{Keep: 2, EverySeconds: 300}, Env{Clock: func() time.Duration { return now }})
	if err != nil {
		t.Fatal(err)
	}
	now = 299 * time.Second
	if s.Due() {
		t.Error("due after 299 s")
	}
	now = 301 * time.Second
	if !s.Due() {
		t.Error("not due after 301 s")
	}
	gate, boom := make(chan struct{}), errors.New("boom")
	blocked := State{Step: 1, Files: map[string]func(io.Writer) error{"f": func(io.Writer) error { <-gate; return boom }}}
	if err := s.SaveAsync(bg, blocked); err != nil {
		t.Fatal(err)
	}
	now = 1000 * time.Second
	if s.Due() {
		t.Error("due while a save runs")
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := s.SaveAsync(ctx, scripts[0].state(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the slot: %v", err)
	}
	close(gate)
	if err := s.SaveAsync(bg, scripts[0].state(3)); !errors.Is(err, boom) {
		t.Errorf("the earlier save's error: %v", err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the error came twice: %v", err)
	}
	if snap, err := s.Latest(bg); err != nil || snap.Step() != 3 {
		t.Errorf("latest %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSaveOutlivesItsContext(t *testing.T) {
	s := mustOpen(t, tempDir(t), DefaultOptions())
	ctx, cancel := context.WithCancel(bg)
	if err := s.SaveAsync(ctx, scripts[0].state(1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	var bad *OptionError
	for _, o := range []Options{{Keep: 0}, {Keep: 1, EverySeconds: -1}, {Keep: 1, EverySeconds: math.NaN()}} {
		if _, err := Open(tempDir(t), o, Env{}); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if o := DefaultOptions(); o.Keep != 10 || o.EverySeconds != 300 || o.Validate() != nil {
		t.Errorf("defaults %+v", o)
	}
	s, err := open(crashfs.NewSim(), "d", Options{Keep: 1}, Env{Clock: func() time.Duration { return math.MaxInt64 }})
	if err != nil || s.Due() {
		t.Errorf("0 is never: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	err := error(&Error{"save step 1", "d", syscall.ENOSPC})
	if want := "checkpoint: save step 1 in d: " + syscall.ENOSPC.Error() + " (" + ErrFull.Error() + ")"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestFailuresAreLogged(t *testing.T) {
	var log bytes.Buffer
	sim := crashfs.NewSim()
	s, err := open(sim, "d", DefaultOptions(), Env{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	sim.Fault = failing("remove")
	boom := func(io.Writer) error { return errors.New("boom") }
	s.Save(bg, State{Step: 4, Files: map[string]func(io.Writer) error{"f": boom}})
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "step=4") || !strings.Contains(log.String(), "left behind") {
		t.Errorf("log %q", log.String())
	}
}

// TestSessionRecordsStayFew opens a store many times.
func TestSessionRecordsStayFew(t *testing.T) {
	sim := crashfs.NewSim()
	ids := map[string]bool{}
	for range 3 * keptSessions {
		s, err := open(sim, "d", DefaultOptions(), Env{})
		if err != nil {
			t.Fatal(err)
		}
		ids[s.Session().ID] = true
		s.Close()
	}
	var log bytes.Buffer
	sim.Fault = func(op crashfs.Op) error {
		if op.Kind == "remove" {
			return syscall.EIO
		}
		return nil
	}
	s, err := open(sim, "d", DefaultOptions(), Env{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || !strings.Contains(log.String(), "session record not removed") {
		t.Errorf("a record that cannot be removed: %v, log %q", err, log.String())
	}
	if l, err := s.list(); err != nil || len(l.sessions) > keptSessions+2 || len(ids) != 1 || s.Session().Starts != 3*keptSessions+1 {
		t.Errorf("%d records, %d ids, start %d, %v", len(l.sessions), len(ids), s.Session().Starts, err)
	}
}

// TestSessionSurvivesItsRecords removes the records and keeps the checkpoints.
func TestSessionSurvivesItsRecords(t *testing.T) {
	dir := tempDir(t)
	s := mustOpen(t, dir, DefaultOptions())
	mustSave(t, s, 1)
	s.Close()
	if err := os.Remove(filepath.Join(dir, sessionFile(1))); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, dir, DefaultOptions())
	if again.Session().ID != s.Session().ID || again.Session().Starts != 2 {
		t.Errorf("sessions %+v, %+v", s.Session(), again.Session())
	}
	if snap, err := again.Latest(bg); err != nil || snap.Step() != 1 {
		t.Error(err)
	}
}

// tempDir is t.TempDir without its complaint when Wine cannot remove the folder.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
