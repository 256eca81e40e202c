package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

// faults are ways in which an operation can fail, with what a caller must be told.
var faults = map[string]struct {
	err  error
	want error
}{
	"disk full":     {syscall.ENOSPC, ErrFull},
	"short write":   {&crashfs.Short{Part: 0.5, Err: syscall.ENOSPC}, ErrFull},
	"read-only":     {syscall.EROFS, ErrReadOnly},
	"denied":        {syscall.EACCES, ErrReadOnly},
	"I/O error":     {syscall.EIO, syscall.EIO},
	"done, yet EIO": {&crashfs.Done{Err: syscall.EIO}, syscall.EIO},
}

// TestFaultsAtEveryOperation lets every operation of a run fail in turn, once and
// from then on, each way; whatever was acknowledged must be on the disk, whether
// the power goes then or not, and the next run must save again.
func TestFaultsAtEveryOperation(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sc := range scripts[:2] {
				for n := 1; ; n++ {
					reached, err := sc.faulty(n, false, f.err)
					if _, ferr := sc.faulty(n, true, f.err); err == nil {
						err = ferr
					}
					if err != nil {
						t.Fatalf("keep %d, operation %d: %v", sc.keep, n, err)
					}
					if !reached {
						break
					}
				}
			}
		})
	}
}

func (sc script) faulty(n int, forever bool, fault error) (reached bool, problem error) {
	sim := crashfs.NewSim()
	sim.Fault = crashfs.FailAt(n, forever, fault)
	var told outcome
	sc.run(sim, &told)
	reached = sim.Ops() >= n
	sim.Fault = nil
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for image := range 3 {
		disk := sim.Crash(pickFor(image, r), true)
		if err := sc.survives(disk, told); err != nil {
			return reached, fmt.Errorf("forever %v, image %d: %w", forever, image, err)
		}
	}
	return reached, nil
}

// survives is problem without what a failing disk may break: leftovers may stay,
// and fewer checkpoints than asked for.
func (sc script) survives(disk *crashfs.Sim, told outcome) error {
	s, err := open(disk, "d", sc.options(), Env{})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	s.buffer = 64
	if err := sc.latestProblem(s, told); err != nil {
		return err
	}
	if r := s.Refused(); len(r) > 0 {
		return fmt.Errorf("published and not valid: %w", errors.Join(r...))
	}
	if err := s.Save(context.Background(), sc.state(200)); err != nil {
		return fmt.Errorf("next save: %w", err)
	}
	if l, err := s.list(); err != nil || len(l.leftover) > 0 || len(l.ids) > sc.keep {
		return fmt.Errorf("%d checkpoints, leftover %v, %v", len(l.ids), l.leftover, err)
	}
	told.acked = append(told.acked, 200)
	return sc.latestProblem(s, told)
}

// TestFailedSaveIsTypedAndTheNextSucceeds is a disk that is bad for one save only.
func TestFailedSaveIsTypedAndTheNextSucceeds(t *testing.T) {
	sc := scripts[0]
	for name, f := range faults {
		sim := crashfs.NewSim()
		s, err := open(sim, "some/where", sc.options(), Env{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Save(context.Background(), sc.state(1)); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"readdir", "mkdir", "create", "write", "sync", "syncdir", "rename"} {
			sim.Fault = func(op crashfs.Op) error {
				if op.Kind == kind {
					return f.err
				}
				return nil
			}
			err := s.Save(context.Background(), sc.state(2))
			var typed *Error
			if !errors.Is(err, f.want) || !errors.As(err, &typed) || typed.Op != "save step 2" || typed.Dir != "some/where" {
				t.Errorf("%s on %s: %v", name, kind, err)
			}
			sim.Fault = nil
			if snap, err := s.Latest(context.Background()); err != nil || sc.wrongContent(snap) != nil {
				t.Errorf("%s on %s: latest: %v", name, kind, err)
			}
		}
		if err := s.Save(context.Background(), sc.state(2)); err != nil {
			t.Errorf("%s: next save: %v", name, err)
		}
	}
}

// TestUnsyncedCheckpointIsNotCounted has a parent sync fail after the rename: the
// checkpoint is there but may be gone tomorrow, so the durable one must stay.
func TestUnsyncedCheckpointIsNotCounted(t *testing.T) {
	sc := scripts[1]
	sim := crashfs.NewSim()
	s, err := open(sim, "d", sc.options(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	var told outcome
	for step := int64(1); step < 5; step++ {
		sim.Fault = nil
		if step%2 == 0 {
			sim.Fault = func(op crashfs.Op) error {
				if op.Kind == "syncdir" && op.Name == "." {
					return syscall.EIO
				}
				return nil
			}
		}
		if err := s.Save(context.Background(), sc.state(step)); err == nil {
			told.acked = append(told.acked, step)
		}
	}
	if len(told.acked) != 2 {
		t.Fatalf("acknowledged %v", told.acked)
	}
	sim.Fault = nil
	if err := sc.survives(sim.Crash(crashfs.None, false), told); err != nil {
		t.Error(err)
	}
}

func TestUnwritableFolderFailsAtOpen(t *testing.T) {
	sim := crashfs.NewSim()
	sim.Fault = func(op crashfs.Op) error {
		if op.Kind == "create" {
			return syscall.EROFS
		}
		return nil
	}
	if _, err := open(sim, "d", DefaultOptions(), Env{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("error %v", err)
	}
	file := filepath.Join(tempDir(t), "file")
	if err := crashfsWrite(file); err != nil {
		t.Fatal(err)
	}
	var typed *Error
	if _, err := Open(filepath.Join(file, "sub"), DefaultOptions(), Env{}); !errors.As(err, &typed) {
		t.Errorf("below a file: %v", err)
	}
	var p *fs.PathError
	if _, err := Open(file, DefaultOptions(), Env{}); !errors.As(err, &p) {
		t.Errorf("in place of a file: %v", err)
	}
}

// TestRotationIsRetried lets each step of removing old checkpoints fail once: the
// save stands, the log says so, and the next save catches up.
func TestRotationIsRetried(t *testing.T) {
	sc := script{keep: 1, size: scripts[0].size}
	for _, part := range []string{"list", "rename", "sync", "remove"} {
		var log bytes.Buffer
		sim := crashfs.NewSim()
		s, err := open(sim, "d", sc.options(), Env{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		mustSave(t, s, 1)
		lists, syncs, hit := 0, 0, false
		sim.Fault = func(op crashfs.Op) error {
			switch {
			case op.Kind == "readdir" && op.Name == ".":
				lists++
			case op.Kind == "syncdir" && op.Name == ".":
				syncs++
			}
			if hit || !(part == "list" && lists == 2 || part == "sync" && syncs == 2 ||
				part == op.Kind && strings.HasPrefix(op.To+op.Name, oldPrefix)) {
				return nil
			}
			hit = true
			return syscall.EIO
		}
		mustSave(t, s, 2)
		if !hit || !strings.Contains(log.String(), "old checkpoints not removed") {
			t.Errorf("%s: hit %v, log %q", part, hit, log.String())
		}
		mustSave(t, s, 3)
		if l, err := s.list(); err != nil || len(l.ids) != 1 {
			t.Errorf("%s: %d checkpoints, %v", part, len(l.ids), err)
		}
		s.Close()
		if err := sc.survives(sim.Crash(crashfs.All, false), outcome{acked: []int64{3}}); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// failing returns a Fault that fails operations of one kind with EIO.
func failing(kind string) func(crashfs.Op) error {
	return func(op crashfs.Op) error {
		if op.Kind == kind {
			return syscall.EIO
		}
		return nil
	}
}

// TestOpenFailsWhereItCannotSweep: what cannot be removed, or not safely, is not
// skipped in silence.
func TestOpenFailsWhereItCannotSweep(t *testing.T) {
	sc := scripts[0]
	for _, kind := range []string{"syncdir", "remove"} {
		sim := crashfs.NewSim()
		if err := errors.Join(sim.Mkdir(oldPrefix+id{1, 1, 1}.String()), sim.Sync(".")); err != nil {
			t.Fatal(err)
		}
		sim.Fault = failing(kind)
		if _, err := open(sim, "d", sc.options(), Env{}); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestUnreadableIsNotEmpty: a folder that cannot be listed holds no fewer
// checkpoints for it, and one that cannot be moved is still refused.
func TestUnreadableIsNotEmpty(t *testing.T) {
	sim := crashfs.NewSim()
	s, err := open(sim, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 1, 2)
	sim.Fault = failing("readdir")
	if _, err := s.Latest(bg); !errors.Is(err, syscall.EIO) {
		t.Errorf("unlistable: %v", err)
	}
	i := newestOf(t, sim, s)
	s.Close()
	bad, err := sim.Flip(i.String()+"/weights", 3)
	if err != nil {
		t.Fatal(err)
	}
	s, err = open(bad, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	bad.Fault = failing("rename")
	snap, err := s.Latest(bg)
	var c *CorruptError
	if err != nil || snap.Step() != 1 || len(s.Refused()) != 1 || !errors.As(s.Refused()[0], &c) || c.Path != filepath.Join("d", i.String()) {
		t.Errorf("immovable: %v, refused %v", err, s.Refused())
	}
	for _, file := range []string{manifestName, "weights"} {
		bad.Fault = func(op crashfs.Op) error {
			if op.Kind == "read" && strings.HasSuffix(op.Name, file) {
				return syscall.EIO
			}
			return nil
		}
		if _, err := s.Latest(bg); !errors.Is(err, syscall.EIO) {
			t.Errorf("unreadable %s: %v", file, err)
		}
	}
	bad.Fault = nil
	if snap, err := s.Latest(bg); err != nil || snap.Step() != 1 {
		t.Errorf("readable again: %v", err)
	}
}

func newestOf(t *testing.T, sim *crashfs.Sim, s *Store) id {
	t.Helper()
	sim.Fault = nil
	return newest(t, s)
}
