package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

// stateOf is the state of a step: its files follow from the step.
func stateOf(step int64) State {
	text := func(name string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, contentOf(name, step))
			return err
		}
	}
	return State{Step: step, Meta: map[string]int64{"step": step}, Files: map[string]func(io.Writer) error{
		"a": text("a"), "b": text("b"),
	}}
}

func contentOf(name string, step int64) string {
	return fmt.Sprintf("%s of step %d, with a tail longer than one block", name, step)
}

// checkSnapshot returns an error unless the snapshot holds exactly its step.
func checkSnapshot(s *Snapshot) error {
	var meta map[string]int64
	if err := s.DecodeMeta(&meta); err != nil || meta["step"] != s.Step() {
		return fmt.Errorf("meta %v at step %d: %v", meta, s.Step(), err)
	}
	for _, name := range []string{"a", "b"} {
		f, err := s.Open(name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil || string(b) != contentOf(name, s.Step()) {
			return fmt.Errorf("file %s of step %d: %q, %v", name, s.Step(), b, err)
		}
	}
	return nil
}

// crashReport counts what a run of crash states showed.
type crashReport struct{ states, lost, wrong int }

// crashEverywhere saves several times on a simulated disk and after every
// operation cuts the power several times, each with another choice of what
// survives. A state is lost when an acknowledged step is missing, wrong when
// Latest hands out something that was never saved.
func crashEverywhere(t *testing.T, skip skips, saves, cuts int, seed uint64) (rep crashReport) {
	t.Helper()
	disk, rng := crashfs.NewSim(), rand.New(rand.NewPCG(seed, 1))
	acked, saving := int64(0), false
	disk.After = func(int) {
		if !saving {
			return
		}
		for range cuts {
			rep.states++
			switch step, err := recoverStep(disk.Crash(rng), skip); {
			case err != nil:
				rep.wrong++
			case step < acked:
				rep.lost++
			}
		}
	}
	s, err := open(disk, Options{Keep: 2}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	s.skip = skip
	saving = true
	for step := int64(1); step <= int64(saves); step++ {
		if err := s.Save(context.Background(), stateOf(step)); err != nil {
			if skip != (skips{}) {
				continue // a mutant may fail outright
			}
			t.Fatal(err)
		}
		acked = step
	}
	return rep
}

// recoverStep opens a crashed disk and returns the step found, 0 for none.
func recoverStep(disk *crashfs.Sim, skip skips) (int64, error) {
	s, err := open(disk, Options{Keep: 2}, Env{})
	if err != nil {
		return 0, err
	}
	s.skip = skip
	snap, err := s.Latest(context.Background())
	if errors.Is(err, ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := checkSnapshot(snap); err != nil {
		return 0, err
	}
	// The store must be usable after a crash, too.
	return snap.Step(), s.Save(context.Background(), stateOf(snap.Step()+1))
}

func TestNoAcknowledgedSaveIsLost(t *testing.T) {
	want := 100_000
	if v, err := strconv.Atoi(os.Getenv("BOREA_CRASH_STATES")); err == nil {
		want = v
	}
	total := crashReport{}
	for seed := uint64(0); total.states < want; seed++ {
		r := crashEverywhere(t, skips{}, 6, 40, seed)
		total.states, total.lost, total.wrong = total.states+r.states, total.lost+r.lost, total.wrong+r.wrong
	}
	t.Logf("%d crash states", total.states)
	if total.lost > 0 || total.wrong > 0 {
		t.Errorf("%+v", total)
	}
}

// TestEveryStepOfTheProtocolIsNeeded leaves out one sync at a time and expects
// the crash test to notice. The checksums guard against damage that syncing
// cannot prevent; TestEveryFlippedBitIsFound shows that they are needed.
func TestEveryStepOfTheProtocolIsNeeded(t *testing.T) {
	for name, skip := range map[string]skips{
		"file sync":     {fileSync: true},
		"manifest sync": {manifestSync: true},
		"folder sync":   {tempDirSync: true},
		"parent sync":   {parentSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			rep := crashReport{}
			for seed := uint64(0); seed < 4; seed++ {
				r := crashEverywhere(t, skip, 6, 20, seed)
				rep.lost, rep.wrong, rep.states = rep.lost+r.lost, rep.wrong+r.wrong, rep.states+r.states
			}
			if rep.lost == 0 && rep.wrong == 0 {
				t.Errorf("%d crash states without it, and nothing was lost", rep.states)
			}
		})
	}
}

// TestDiskErrorsLeaveEarlierSaves fails each operation of a save in turn, once
// and for good.
func TestDiskErrorsLeaveEarlierSaves(t *testing.T) {
	for _, forever := range []bool{false, true} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
			for at := 1; ; at++ {
				if !failAt(t, at, cause, forever) {
					break
				}
			}
		}
	}
}

// failAt returns false once at lies beyond the save's last operation.
func failAt(t *testing.T, at int, cause error, forever bool) bool {
	t.Helper()
	disk := crashfs.NewSim()
	s, err := open(disk, Options{Keep: 2}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(context.Background(), stateOf(1)); err != nil {
		t.Fatal(err)
	}
	first, hit := disk.Ops, false
	disk.Hook = func(op int, name string) error {
		if n := op - first; n == at || forever && n > at {
			hit = true
			return &fs.PathError{Op: name, Err: cause}
		}
		return nil
	}
	err = s.Save(context.Background(), stateOf(2))
	disk.Hook = nil
	if err != nil && cause == syscall.ENOSPC && !errors.Is(err, ErrFull) {
		t.Errorf("operation %d: %v is not ErrFull", at, err)
	}
	snap, lerr := s.Latest(context.Background())
	if lerr != nil || snap.Step() < 1 || err == nil && snap.Step() != 2 || checkSnapshot(snap) != nil {
		t.Errorf("operation %d, %v: save %v, then latest %v, %v", at, cause, err, snap, lerr)
	}
	if err := s.Save(context.Background(), stateOf(3)); err != nil {
		t.Errorf("operation %d: the next save fails: %v", at, err)
	}
	return hit
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{Keep: 3}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for step := int64(1); step <= 2; step++ {
		if err := s.Save(context.Background(), stateOf(step)); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := s.published()
	for _, file := range []string{"a", "b", manifestName} {
		path := filepath.Join(dir, names[0], file)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		unnoticed := 0 // without the checksum
		for bit := range len(good) * 8 {
			bad := append([]byte(nil), good...)
			bad[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.verify(names[0]); err == nil {
				t.Errorf("%s: bit %d flipped unnoticed", file, bit)
			}
			s.skip = skips{fileSum: file != manifestName, manifestSum: file == manifestName}
			if _, err := s.verify(names[0]); err == nil {
				unnoticed++
			}
			s.skip = skips{}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if unnoticed == 0 {
			t.Errorf("%s: every flipped bit is found without its checksum", file)
		}
	}
}

func TestDamagedCheckpointIsMovedAside(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for step := int64(1); step <= 2; step++ {
		if err := s.Save(context.Background(), stateOf(step)); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := s.published()
	if err := os.Truncate(filepath.Join(dir, names[0], "a"), 3); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Latest(context.Background())
	if err != nil || snap.Step() != 1 {
		t.Fatalf("latest %v, %v", snap, err)
	}
	if _, err := os.Stat(filepath.Join(dir, badPrefix+names[0])); err != nil {
		t.Error("the damaged checkpoint is gone: ", err)
	}
}

func TestRotationKeepsTheNewestAndUnknownNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ckpt-notes"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{Keep: 3}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for step := int64(1); step <= 7; step++ {
		if err := s.SaveAsync(context.Background(), stateOf(step)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	names, _ := s.published()
	if len(names) != 3 || names[0][:17] != "ckpt-000000000007" {
		t.Errorf("kept %v", names)
	}
	if _, err := os.Stat(filepath.Join(dir, "ckpt-notes")); err != nil {
		t.Error(err)
	}
}

func TestSecondWriterIsRefusedUntilTheFirstCloses(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, DefaultOptions(), Env{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second writer: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Session().ID != s.Session().ID || again.Session().Starts != 2 {
		t.Errorf("sessions %+v and %+v", s.Session(), again.Session())
	}
}

func TestFutureLayoutIsRefused(t *testing.T) {
	m := manifest{Schema: schema + 1}
	b, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	var future *SchemaError
	if _, err := decodeManifest("x", b, true); !errors.As(err, &future) {
		t.Errorf("error %v", err)
	}
}

func TestFileNamesAreContained(t *testing.T) {
	s, err := open(crashfs.NewSim(), DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../x", "a/b", manifestName, `c:x`} {
		st := State{Step: 1, Files: map[string]func(io.Writer) error{name: func(io.Writer) error { return nil }}}
		if err := s.Save(context.Background(), st); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
}
