package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// eachSystem runs a test on the real file system and on the simulation: what code sees
// there must be alike.
func eachSystem(t *testing.T, f func(t *testing.T, fsys FS)) {
	t.Run("os", func(t *testing.T) {
		o, err := OpenOS(tempDir(t))
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		f(t, o)
	})
	t.Run("sim", func(t *testing.T) { f(t, NewSim()) })
}

func put(fsys FS, name, text string) error {
	return WriteSynced(fsys, name, 0o600, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
}

func TestSystemsAgree(t *testing.T) {
	eachSystem(t, func(t *testing.T, fsys FS) {
		steps := []struct {
			what string
			do   func() error
			want error
		}{
			{"mkdir", func() error { return fsys.Mkdir("d") }, nil},
			{"mkdir again", func() error { return fsys.Mkdir("d") }, fs.ErrExist},
			{"mkdir in nothing", func() error { return fsys.Mkdir("x/y") }, fs.ErrNotExist},
			{"create", func() error { return put(fsys, "d/a", "one") }, nil},
			{"create again", func() error { return put(fsys, "d/a", "two") }, fs.ErrExist},
			{"create in nothing", func() error { return put(fsys, "x/a", "") }, fs.ErrNotExist},
			{"open nothing", func() error { _, err := fsys.Open("d/b"); return err }, fs.ErrNotExist},
			{"open a folder", func() error { _, err := fsys.Open("d"); return err }, ErrNotRegular},
			{"remove nothing", func() error { return fsys.Remove("d/b") }, fs.ErrNotExist},
			{"stat nothing", func() error { _, err := fsys.Stat("q"); return err }, fs.ErrNotExist},
			{"sync a file", func() error { return fsys.Sync("d/a") }, nil},
			{"sync a folder", func() error { return fsys.Sync("d") }, nil},
			{"sync the root", func() error { return fsys.Sync(".") }, nil},
			{"sync nothing", func() error { return fsys.Sync("q") }, fs.ErrNotExist},
			{"rename nothing", func() error { return fsys.Rename("q", "r") }, fs.ErrNotExist},
			{"rename", func() error { return fsys.Rename("d/a", "d/b") }, nil},
			{"create another", func() error { return put(fsys, "d/a", "three") }, nil},
			{"rename over a file", func() error { return fsys.Rename("d/a", "d/b") }, nil},
			{"rename a folder", func() error { return fsys.Rename("d", "e") }, nil},
			{"make all", func() error { return MkdirAll(fsys, "e/f/g") }, nil},
			{"make all again", func() error { return MkdirAll(fsys, "e/f/g") }, nil},
			{"make all below a file", func() error { return notNil(MkdirAll(fsys, "e/b/g")) }, nil},
			{"remove a full folder", func() error { return notNil(fsys.Remove("e")) }, nil},
			{"read too much", func() error { _, err := ReadFile(fsys, "e/b", 4); return err }, ErrTooLong},
		}
		for _, s := range steps {
			if err := s.do(); !errors.Is(err, s.want) || s.want == nil && err != nil {
				t.Errorf("%s: %v, want %v", s.what, err, s.want)
			}
		}
		if b, err := ReadFile(fsys, "e/b", 5); string(b) != "three" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		entries, err := fsys.ReadDir("e")
		if err != nil || len(entries) != 2 || entries[0] != (Entry{"b", false, true, 5}) || !entries[1].Dir {
			t.Errorf("entries %+v, %v", entries, err)
		}
		if err := errors.Join(RemoveAll(fsys, "e"), RemoveAll(fsys, "e")); err != nil {
			t.Error(err)
		}
		if there, err := Exists(fsys, "e"); there || err != nil {
			t.Error("e is there", err)
		}
	})
}

func notNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return nil
}

func TestReading(t *testing.T) {
	eachSystem(t, func(t *testing.T, fsys FS) {
		if err := put(fsys, "f", "0123456789"); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open("f")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		if n, err := f.ReadAt(b, 8); n != 2 || err != io.EOF || string(b[:2]) != "89" {
			t.Errorf("at the end: %d %q %v", n, b, err)
		}
		if _, err := f.ReadAt(b, 10); err != io.EOF {
			t.Errorf("beyond: %v", err)
		}
		if _, err := f.ReadAt(b, -1); err == nil {
			t.Error("negative offset")
		}
		if all, err := io.ReadAll(f); string(all) != "0123456789" || err != nil {
			t.Errorf("all: %q %v", all, err)
		}
		if size, err := f.Size(); size != 10 || err != nil {
			t.Error(size, err)
		}
		if _, err := f.Write(b); err == nil {
			t.Error("written to a file opened for reading")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.ReadAt(b, 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestLocks(t *testing.T) {
	eachSystem(t, func(t *testing.T, fsys FS) {
		for range 2 {
			l, err := fsys.Lock("lock")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fsys.Lock("lock"); !errors.Is(err, ErrLocked) {
				t.Errorf("second holder: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNothingLeadsOutside(t *testing.T) {
	dir := tempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := CreateOS(filepath.Join(dir, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if o.Network() {
		t.Log("the temporary folder is on a network file system")
	}
	if _, err := o.Open("../../secret"); err == nil {
		t.Error("opened ../../secret")
	}
	if runtime.GOOS == "windows" {
		return // links need a privilege there
	}
	if err := os.Symlink("../../secret", o.Path("link")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open("link"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("link: %v", err)
	}
	for _, d := range []string{"a", "a/b"} {
		if st, err := os.Stat(filepath.Join(dir, d)); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", d, st.Mode(), err)
		}
	}
}

// TestMadeFoldersStay cuts the power after every operation of MkdirAll.
func TestMadeFoldersStay(t *testing.T) {
	tries := func(fault func(Op) error) (err error) {
		sim := NewSim()
		sim.Fault = fault
		for _, name := range []string{"a/b", "a/b/c/d"} {
			if err := MkdirAll(sim, name); err != nil {
				return err
			}
			if ok, _ := Exists(sim.Crash(None, false), name); !ok {
				return fmt.Errorf("%s is gone", name)
			}
		}
		return nil
	}
	if err := tries(nil); err != nil {
		t.Error(err)
	}
	if tries(func(op Op) error {
		if op.Kind == "syncdir" {
			return ErrSkip
		}
		return nil
	}) == nil {
		t.Error("nobody misses the syncs")
	}
}

// after returns the states that a disk may be in, each as a word.
func after(sim *Sim, torn bool) map[string]bool {
	states := map[string]bool{}
	Exhaust(100_000, func(pick Pick) { states[describe(sim.Crash(pick, torn))] = true })
	return states
}

func describe(sim *Sim) string {
	var b strings.Builder
	entries, _ := sim.ReadDir(".")
	for _, e := range entries {
		text, _ := ReadFile(sim, e.Name, 100)
		fmt.Fprintf(&b, "%s=%q ", e.Name, text)
	}
	return strings.TrimSpace(b.String())
}

func expectStates(t *testing.T, got map[string]bool, want ...string) {
	t.Helper()
	for _, w := range want {
		if !got[w] {
			t.Errorf("no state %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("states %v, want %q", got, want)
	}
}

func TestWhatAPowerCutLeaves(t *testing.T) {
	sim := NewSim()
	f, _ := sim.Create("f", 0o600)
	io.WriteString(f, "ab")
	expectStates(t, after(sim, false), "", `f=""`, `f="ab"`, `f="a"`, `f="\x00\x00"`)
	f.Sync()
	expectStates(t, after(sim, false), "", `f="ab"`)
	sim.Sync(".")
	expectStates(t, after(sim, false), `f="ab"`)
	sim.Rename("f", "g")
	expectStates(t, after(sim, false), `f="ab"`, `g="ab"`, `f="ab" g="ab"`)
	sim.Sync(".")
	sim.Remove("g")
	put(sim, "h", "x")
	expectStates(t, after(sim, false), "", `g="ab"`, `h="x"`, `g="ab" h="x"`)
}

func TestTornBytes(t *testing.T) {
	sim := NewSim()
	f, _ := sim.Create("f", 0o600)
	io.WriteString(f, "s")
	f.Sync()
	sim.Sync(".")
	io.WriteString(f, "ab")
	got := after(sim, true)
	for _, w := range []string{`f="s"`, `f="sa"`, `f="sab"`, `f="s\x00b"`, `f="sa\x00"`, `f="s\xc4b"`, `f="s\xc4\xc7"`} {
		if !got[w] {
			t.Errorf("no state %s", w)
		}
	}
	for s := range got {
		if !strings.HasPrefix(s, `f="s`) {
			t.Errorf("synced byte lost: %s", s)
		}
	}
}

func TestRenameBetweenFolders(t *testing.T) {
	for _, synced := range []string{"a", "b"} {
		sim := NewSim()
		sim.Mkdir("a")
		sim.Mkdir("b")
		put(sim, "a/f", "x")
		for _, d := range []string{"a", "b", "."} {
			sim.Sync(d)
		}
		sim.Rename("a/f", "b/f")
		sim.Sync(synced)
		Exhaust(0, func(pick Pick) {
			disk := sim.Crash(pick, false)
			inA, _ := Exists(disk, "a/f")
			inB, _ := Exists(disk, "b/f")
			if !inB || synced == "a" && inA {
				t.Errorf("synced %s: in a %v, in b %v", synced, inA, inB)
			}
		})
	}
}

func TestFailedSyncLosesBytesForGood(t *testing.T) {
	sim := NewSim()
	f, _ := sim.Create("f", 0o600)
	sim.Sync(".")
	io.WriteString(f, "ab")
	sim.Fault = FailAt(sim.Ops()+1, false, io.ErrUnexpectedEOF)
	if err := f.Sync(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := describe(sim.Crash(None, false)); got != `f=""` {
		t.Errorf("after a second sync: %s", got)
	}
	if got := describe(sim); got != `f="ab"` {
		t.Errorf("a running program sees %s", got)
	}
}

func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	sim := NewSim()
	sim.Fault = FailAt(2, true, &Short{0.5, boom})
	f, _ := sim.Create("f", 0o600)
	if n, err := io.WriteString(f, "abcd"); n != 2 || !errors.Is(err, boom) {
		t.Errorf("short write: %d, %v", n, err)
	}
	sim.Fault = func(Op) error { return &Done{boom} }
	if err := sim.Rename("f", "g"); !errors.Is(err, boom) {
		t.Errorf("done: %v", err)
	}
	sim.Fault = func(Op) error { return ErrSkip }
	if err := sim.Remove("g"); err != nil {
		t.Errorf("skip: %v", err)
	}
	sim.Fault = nil
	if got := describe(sim); got != `g="ab"` {
		t.Errorf("left %s", got)
	}
}

func TestOneSeedOneState(t *testing.T) {
	states := map[string]bool{}
	for range 5 {
		sim := NewSim()
		for _, n := range []string{"a", "b", "c"} {
			f, _ := sim.Create(n, 0o600)
			io.WriteString(f, strings.Repeat(n, 50))
		}
		states[describe(sim.Crash(Random(rand.New(rand.NewPCG(1, 2))), true))] = true
	}
	if len(states) != 1 {
		t.Errorf("%d states", len(states))
	}
}

func TestExhaustAndFlip(t *testing.T) {
	seen := map[string]bool{}
	calls, all := Exhaust(0, func(pick Pick) { seen[fmt.Sprint(pick(2), pick(3))] = true })
	if calls != 6 || !all || len(seen) != 6 {
		t.Errorf("%d calls, %v, %v", calls, all, seen)
	}
	if calls, all := Exhaust(4, func(pick Pick) { pick(2); pick(3) }); calls != 4 || all {
		t.Errorf("limit: %d, %v", calls, all)
	}
	sim := NewSim()
	put(sim, "f", "a")
	bad, err := sim.Flip("f", 1)
	if err != nil || describe(bad) != `f="c"` || describe(sim) != `f="a"` {
		t.Errorf("%s, %v", describe(bad), err)
	}
	if _, err := sim.Flip("f", 8); err == nil {
		t.Error("bit 8 of one byte")
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
