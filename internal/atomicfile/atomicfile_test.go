package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

func text(s string, err error) func(io.Writer) error {
	return func(w io.Writer) error { io.WriteString(w, s); return err }
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := tempDir(t)
	name := filepath.Join(dir, "f")
	if err := WriteFile(name, 0o640, text("old", nil)); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := WriteFile(name, 0o640, text("half", boom)); !errors.Is(err, boom) || !strings.Contains(err.Error(), name) {
		t.Fatalf("error %v", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
	if e, _ := os.ReadDir(dir); len(e) != 1 {
		t.Errorf("%d files left", len(e))
	}
	if st, _ := os.Stat(name); runtime.GOOS != "windows" && st.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v", st.Mode())
	}
	if err := WriteFile(filepath.Join(dir, "none", "f"), 0o600, text("", nil)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

// run writes f twice and cuts the power after every operation: the file must be
// one of the whole texts, and the one that was acknowledged or a later one.
func run(sim *crashfs.Sim) (states int, problem error) {
	texts := []string{"", "first text", "second, longer text"}
	acked := 0
	r := rand.New(rand.NewPCG(1, 2))
	sim.After = func(op crashfs.Op) {
		for range 200 {
			states++
			b, err := crashfs.ReadFile(sim.Crash(crashfs.Random(r), true), "f", 1<<10)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				problem = err
			}
			if s := string(b); s != texts[acked] && (acked+1 == len(texts) || s != texts[acked+1]) {
				problem = fmt.Errorf("after %s: %q, acknowledged %q", op.Kind, s, texts[acked])
			}
		}
	}
	for acked+1 < len(texts) {
		if err := Write(sim, "f", 0o600, text(texts[acked+1], nil)); err != nil {
			return states, err
		}
		acked++
	}
	return states, problem
}

func TestPowerCutsLeaveAWholeFile(t *testing.T) {
	states, err := run(crashfs.NewSim())
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d states", states)
}

func TestEverySyncIsNeeded(t *testing.T) {
	for _, kind := range []string{"sync", "syncdir"} {
		sim := crashfs.NewSim()
		sim.Fault = func(op crashfs.Op) error {
			if op.Kind == kind {
				return crashfs.ErrSkip
			}
			return nil
		}
		if _, err := run(sim); err == nil {
			t.Errorf("nobody misses %s", kind)
		}
	}
}

func TestFaultsLeaveTheOldFile(t *testing.T) {
	for n := 1; ; n++ {
		sim := crashfs.NewSim()
		if err := Write(sim, "f", 0o600, text("old", nil)); err != nil {
			t.Fatal(err)
		}
		start := sim.Ops()
		sim.Fault = crashfs.FailAt(start+n, false, &crashfs.Short{Part: 0.5, Err: syscall.ENOSPC})
		err := Write(sim, "f", 0o600, text("new", nil))
		reached := sim.Ops() >= start+n
		sim.Fault = nil
		b, rerr := crashfs.ReadFile(sim, "f", 10)
		if rerr != nil || err == nil && string(b) != "new" || string(b) != "old" && string(b) != "new" {
			t.Errorf("operation %d: %v, then %q, %v", n, err, b, rerr)
		}
		if e, _ := sim.ReadDir("."); reached && len(e) != 1 {
			t.Errorf("operation %d: left %v", n, e)
		}
		if !reached {
			return
		}
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
