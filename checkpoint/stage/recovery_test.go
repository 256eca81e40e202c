package stage

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

// TestFaultsAtEveryOperation fails every operation in turn; the output before must
// stay, and the next run must succeed.
func TestFaultsAtEveryOperation(t *testing.T) {
	for name, fault := range map[string]error{
		"full": syscall.ENOSPC, "short": &crashfs.Short{Part: 0.5, Err: syscall.ENOSPC}, "EIO": syscall.EIO, "done": &crashfs.Done{Err: syscall.EIO},
	} {
		for _, forever := range []bool{false, true} {
			for n := 1; ; n++ {
				sim := crashfs.NewSim()
				sim.Fault = crashfs.FailAt(n, forever, fault)
				var w told
				w.play(sim, story)
				reached := sim.Ops() >= n
				sim.Fault = nil
				if _, err := (&told{}).runOnce(sim, 3); err != nil {
					t.Fatalf("%s at %d: next run: %v", name, n, err)
				}
				if o, err := published(sim.Crash(crashfs.None, true)); o != 3 || err != nil {
					t.Fatalf("%s at %d, forever %v: published %d, %v", name, n, forever, o, err)
				}
				if !reached {
					break
				}
			}
		}
	}
}

// TestSuccessIsDurable fails every operation of one run, once: if the run says all
// went well, a power cut right then must not matter; whatever it says, the output
// before or the new one is there.
func TestSuccessIsDurable(t *testing.T) {
	for n := 1; ; n++ {
		sim := crashfs.NewSim()
		var w told
		w.play(sim, []int{1})
		start := sim.Ops()
		sim.Fault = crashfs.FailAt(start+n, false, syscall.EIO)
		_, err := w.runOnce(sim, 2)
		reached := sim.Ops() >= start+n
		sim.Fault = nil
		w.current = 2
		if err == nil {
			w.acked = 2
		}
		r := rand.New(rand.NewPCG(uint64(n), 1))
		for image := range 40 {
			pick := crashfs.Random(r)
			if image == 0 {
				pick = crashfs.None
			}
			if perr := w.outputProblem(sim.Crash(pick, true)); perr != nil {
				t.Errorf("operation %d, run said %v: %v", n, err, perr)
				break
			}
		}
		if !reached {
			return
		}
	}
}

// inExchange returns a disk on which a power cut met the exchange of outputs: with
// both true both names are there, else only the old one is.
func inExchange(t *testing.T, both bool) *crashfs.Sim {
	t.Helper()
	sim := crashfs.NewSim()
	var w told
	w.play(sim, []int{1})
	err := sim.Rename("s", ".old-s")
	if both {
		w.play(sim, []int{2})
		w.play(sim, []int{2})
		err = errors.Join(err, sim.Mkdir(".old-s"), put(sim, ".old-s/a", "x"), sim.Sync("."), sim.Sync(".old-s"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return sim
}

func put(sim *crashfs.Sim, name, text string) error {
	return crashfs.WriteSynced(sim, name, 0o600, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
}

// TestRecoveryDoesNotGuess: what cannot be recovered for an error of the disk is
// not done again, and nothing is deleted on a folder that cannot be synced.
func TestRecoveryDoesNotGuess(t *testing.T) {
	for _, c := range []struct {
		kind string
		both bool
	}{{"rename", false}, {"stat", false}, {"syncdir", true}, {"read", true}, {"readdir", true}} {
		sim, w := inExchange(t, c.both), told{}
		sim.Fault = func(op crashfs.Op) error {
			if op.Kind == c.kind {
				return syscall.EIO
			}
			return nil
		}
		if _, err := w.runOnce(sim, 2); !errors.Is(err, syscall.EIO) || w.works > 0 {
			t.Errorf("%s: %v, work called %d times", c.kind, err, w.works)
		}
		sim.Fault = nil
		if b, err := crashfs.ReadFile(sim, ".old-s/a", 100); c.kind == "syncdir" && (err != nil || string(b) != "x") {
			t.Errorf("%s: deleted on an unsynced folder: %v", c.kind, err)
		}
	}
}

// TestFailedPreparationStartsNoWork fails what comes before the work and what
// confirms a skip.
func TestFailedPreparationStartsNoWork(t *testing.T) {
	for _, c := range []struct {
		kind    string
		options int
		partial bool // of options 3
	}{{"mkdir", 2, false}, {"create", 2, false}, {"remove", 2, true}, {"syncdir", 1, false}, {"readdir", 1, false}, {"read", 1, false}} {
		sim := crashfs.NewSim()
		var w told
		w.play(sim, []int{1})
		if c.partial {
			if err := errors.Join(sim.Mkdir(".partial-s"), put(sim, ".partial-s/"+keyName, "3")); err != nil {
				t.Fatal(err)
			}
		}
		sim.Fault = func(op crashfs.Op) error {
			if op.Kind == c.kind {
				return syscall.EIO
			}
			return nil
		}
		w.works = 0
		if _, err := w.runOnce(sim, c.options); !errors.Is(err, syscall.EIO) || w.works > 0 {
			t.Errorf("%s: %v, work called %d times", c.kind, err, w.works)
		}
	}
}

// finishedAt returns a disk with a finished partial folder, or none, and a fault on
// one kind of operation on names with a prefix.
func finishedAt(t *testing.T, partial bool, kind, prefix string) *crashfs.Sim {
	t.Helper()
	sim := crashfs.NewSim()
	new(told).play(sim, []int{1})
	if partial {
		if err := sim.Rename("s", ".partial-s"); err != nil {
			t.Fatal(err)
		}
	}
	sim.Fault = func(op crashfs.Op) error {
		if op.Kind == kind && strings.HasPrefix(op.Name, prefix) {
			return syscall.EIO
		}
		return nil
	}
	return sim
}

func TestUnreadableFinishedWorkIsNotDoneAgain(t *testing.T) {
	sim, w := finishedAt(t, true, "read", ".partial-s/"), told{}
	if _, err := w.runOnce(sim, 1); !errors.Is(err, syscall.EIO) || w.works > 0 {
		t.Errorf("%v, work called %d times", err, w.works)
	}
}

// TestScratchStaysUntilTheRecordIsDurable: were it removed before, a power cut
// could take the work and what to continue it from.
func TestScratchStaysUntilTheRecordIsDurable(t *testing.T) {
	for _, name := range []string{".partial-s", "."} {
		sim, w := finishedAt(t, false, "syncdir", name), told{}
		inner := sim.Fault
		sim.Fault = func(op crashfs.Op) error {
			if op.Name != name {
				return nil
			}
			return inner(op)
		}
		if _, err := w.runOnce(sim, 2); !errors.Is(err, syscall.EIO) || w.works != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if there, err := crashfs.Exists(sim, ".partial-s/.checkpoints/1"); !there || err != nil {
			t.Errorf("%s: scratch is gone, %v", name, err)
		}
	}
}

func TestEarlierOutputThatStaysIsLogged(t *testing.T) {
	sim, w := finishedAt(t, false, "remove", ".old-s"), told{}
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := w.runOnce(sim, 2); err != nil || !strings.Contains(log.String(), "earlier output not removed") {
		t.Errorf("%v, log %q", err, log.String())
	}
}

func TestAnotherStagesOutputIsNotTaken(t *testing.T) {
	dir, runs := tempDir(t), 0
	if _, err := runIn(t, Spec{Name: "a", Dir: dir}, Env{}, &runs); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if res, err := runIn(t, Spec{Name: "b", Dir: dir}, Env{}, &runs); err != nil || res.Skipped || res.Reason != `output of stage "a"` {
		t.Errorf("%+v, %v", res, err)
	}
}
