package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/borea-go/borea/checkpoint/internal/sealed"
	"github.com/borea-go/borea/internal/crashfs"
)

func TestEveryFlippedBitIsFound(t *testing.T) {
	sim := crashfs.NewSim()
	s, err := open(sim, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 1, 2)
	i := newest(t, s)
	bits := 0
	for _, file := range []string{manifestName, "weights", "log"} {
		e, err := sim.Stat(i.String() + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * int(e.Size) {
			bad, err := sim.Flip(i.String()+"/"+file, bit)
			if err != nil {
				t.Fatal(err)
			}
			expectFallback(t, bad, i, file)
			bits++
		}
	}
	t.Logf("%d bits", bits)
}

// expectFallback opens a disk whose checkpoint bad is damaged: step 1 must be
// used, the bad one kept aside and named.
func expectFallback(t *testing.T, disk *crashfs.Sim, bad id, file string) {
	t.Helper()
	s, err := open(disk, "d", DefaultOptions(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	snap, err := s.Latest(bg)
	if err != nil || snap.Step() != 1 || scripts[0].wrongContent(snap) != nil {
		t.Fatalf("%s damaged: latest %v, %v", file, snap, err)
	}
	refused := s.Refused()
	var c *CorruptError
	if len(refused) != 1 || !errors.As(refused[0], &c) || c.File != file || c.Path != filepath.Join("d", badPrefix+bad.String()) {
		t.Fatalf("%s damaged: refused %v", file, refused)
	}
	if ok, err := crashfs.Exists(disk, badPrefix+bad.String()); !ok || err != nil {
		t.Fatalf("%s damaged: quarantine %v, %v", file, ok, err)
	}
}

// TestNobodyStartsOverUnawares: a store whose only checkpoint is unusable is not
// an empty one, also not at the next start.
func TestNobodyStartsOverUnawares(t *testing.T) {
	dir := tempDir(t)
	s := mustOpen(t, dir, DefaultOptions())
	mustSave(t, s, 1)
	if err := os.Truncate(filepath.Join(dir, newest(t, s).String(), "weights"), 3); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for start := range 3 {
		s := mustOpen(t, dir, DefaultOptions())
		var c *CorruptError
		if _, err := s.Latest(bg); !errors.As(err, &c) || errors.Is(err, ErrNone) {
			t.Errorf("start %d: %v", start, err)
		} else if _, err := os.Stat(filepath.Join(c.Path, manifestName)); err != nil {
			t.Errorf("the error names no place: %v", err)
		}
		s.Close()
	}
	again := mustOpen(t, dir, DefaultOptions())
	mustSave(t, again, 1)
	if snap, err := again.Latest(bg); err != nil || snap.Step() != 1 {
		t.Errorf("after going on: %v", err)
	}
}

// reseal rewrites the manifest of a checkpoint as somebody else might have.
func reseal(t *testing.T, dir string, i id, version int, change func(*manifest)) {
	t.Helper()
	path := filepath.Join(dir, i.String(), manifestName)
	b, err := os.ReadFile(path)
	var m manifest
	if err == nil {
		err = sealed.Open(manifestKind, schema, b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(&m)
	if b, err = sealed.Seal(manifestKind, version, m); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewerLayoutAndForeignSessionsAreLeftAlone(t *testing.T) {
	var future *SchemaError
	var foreign *ForeignError
	for name, c := range map[string]struct {
		version int
		change  func(*manifest)
		want    any
	}{
		"newer layout":    {schema + 1, func(*manifest) {}, &future},
		"foreign session": {schema, func(m *manifest) { m.Session = "other" }, &foreign},
	} {
		dir := tempDir(t)
		s := mustOpen(t, dir, Options{Keep: 1})
		mustSave(t, s, 5)
		i := newest(t, s)
		s.Close()
		reseal(t, dir, i, c.version, c.change)
		s = mustOpen(t, dir, Options{Keep: 1})
		if _, err := s.Latest(bg); !errors.As(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		mustSave(t, s, 2, 3)
		if snap, err := s.Latest(bg); err != nil || snap.Step() != 3 {
			t.Errorf("%s: fallback %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, i.String(), manifestName)); err != nil {
			t.Errorf("%s: was touched: %v", name, err)
		}
	}
}

func TestRenamedAndForgedCheckpointsAreRefused(t *testing.T) {
	dir := tempDir(t)
	s := mustOpen(t, dir, DefaultOptions())
	mustSave(t, s, 1, 2, 3)
	reseal(t, dir, newest(t, s), schema, func(m *manifest) { m.Files[0].Name = "../LOCK" })
	l, _ := s.list()
	moved := id{99, 1, 99}
	if err := os.Rename(filepath.Join(dir, l.ids[1].String()), filepath.Join(dir, moved.String())); err != nil {
		t.Fatal(err)
	}
	if snap, err := s.Latest(bg); err != nil || snap.Step() != 1 || len(s.Refused()) != 2 {
		t.Errorf("latest %v, refused %v", err, s.Refused())
	}
}

func TestOpenFindsTornCheckpoints(t *testing.T) {
	dir := tempDir(t)
	s := mustOpen(t, dir, DefaultOptions())
	mustSave(t, s, 1, 2)
	torn := newest(t, s).String()
	s.Close()
	if err := os.Truncate(filepath.Join(dir, torn, "weights"), 3); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, DefaultOptions())
	if len(s.Refused()) != 1 || s.Session().Step != 1 {
		t.Errorf("refused %v, session %+v", s.Refused(), s.Session())
	}
	snap, err := s.Latest(bg)
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if err := snap.DecodeMeta(&number); err == nil {
		t.Error("an object was decoded into a number")
	}
	if err := os.Remove(filepath.Join(dir, snap.Name(), "weights")); err != nil {
		t.Fatal(err)
	}
	if _, err := snap.Open("weights"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that went: %v", err)
	}
}

func TestUnknownNamesAreNotTouched(t *testing.T) {
	dir := tempDir(t)
	names := []string{"notes", "ckpt-1", "ckpt-000000000001-000001-00001", ".tmp-mine", "quarantine-x", "SESSION-1", ".old-ckpt-1-1-1"}
	for _, n := range names {
		if err := os.Mkdir(filepath.Join(dir, n), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, dir, Options{Keep: 1})
	mustSave(t, s, 1, 2, 3)
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(dir, n)); err != nil {
			t.Error(err)
		}
	}
}
