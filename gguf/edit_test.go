package gguf

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

// edited applies a plan to bytes, as EditFile does to a file.
func edited(t testing.TB, b []byte, e edit) []byte {
	t.Helper()
	if e.image != nil {
		return encoded(t, e.image)
	}
	if len(e.header) != len(e.old) || !bytes.HasPrefix(b, e.old) {
		t.Fatalf("a header of %d bytes for one of %d", len(e.header), len(e.old))
	}
	return append(append([]byte(nil), e.header...), b[len(e.old):]...)
}

var edits = map[string]func(m *Metadata) error{
	"nothing":     func(m *Metadata) error { return nil },
	"longer":      func(m *Metadata) error { m.SetString("k.z", strings.Repeat("長", 40)); return nil },
	"much longer": func(m *Metadata) error { m.SetString("k.z", strings.Repeat("x", 5000)); return nil },
	"shorter":     func(m *Metadata) error { m.Set("k.u", ArrayOf([]string{"a"})); return nil },
	"deleted":     func(m *Metadata) error { m.Delete("k.u"); return nil },
	"scalar":      func(m *Metadata) error { m.SetUint32("k.e", 5); return nil },
	"other type":  func(m *Metadata) error { m.SetString("k.e", ""); return nil },
	"many": func(m *Metadata) error {
		for i := range 50 {
			m.SetInt64("new."+string(rune('a'+i)), 1)
		}
		return nil
	},
	"all deleted": func(m *Metadata) error {
		for _, k := range append([]string(nil), m.keys...) {
			m.Delete(k)
		}
		return nil
	},
	"padding edited": func(m *Metadata) error { m.SetString(PaddingKey, "mine"); return nil },
}

// Whatever the edit, the file holds it and every tensor as before; in place if the
// header's end does not move or there is room.
func TestEdit(t *testing.T) {
	for _, opts := range []WriterOptions{
		DefaultWriterOptions(), {Alignment: 32, MemoryBytes: 1 << 20, ReserveBytes: 4096}, {Alignment: 8, MemoryBytes: 1 << 20, ReserveBytes: 100},
		{Alignment: 256, MemoryBytes: 1 << 20, BigEndian: true, ReserveBytes: 1},
	} {
		b := mixed(t, opts)
		r := open(t, b)
		for name, change := range edits {
			for _, mode := range []EditMode{EditAuto, EditCopy, EditInPlace} {
				o := DefaultEditOptions()
				o.Mode = mode
				e, err := planEdit(r, change, o)
				if mode == EditInPlace && errors.Is(err, ErrNoRoom) {
					if name == "nothing" || name == "scalar" || opts.Alignment == 32 && (name == "shorter" || name == "deleted" || name == "all deleted") || name == "longer" && opts.ReserveBytes == 4096 {
						t.Errorf("%+v, %s: %v", opts, name, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if mode == EditCopy != (e.image != nil) && mode != EditAuto {
					t.Errorf("%s, %s: copy %v", name, mode, e.image != nil)
				}
				got := open(t, edited(t, b, e))
				want := &Reader{Metadata: r.clone(), tensors: r.tensors}
				if err := change(&want.Metadata); err != nil {
					t.Fatal(err)
				}
				sameContent(t, want, got)
				if free := int64(e.free); free < 0 || e.image != nil && free < o.ReserveBytes {
					t.Errorf("%s: %d bytes free", name, free)
				}
			}
		}
	}
}

func TestEditOlderVersions(t *testing.T) {
	change := func(m *Metadata) error { m.SetString("k", "w"); return nil }
	for _, b := range [][]byte{versionOne(), versionTwo()} {
		r := open(t, b)
		e, err := planEdit(r, change, DefaultEditOptions())
		if err != nil {
			t.Fatal(err)
		}
		got := open(t, edited(t, b, e))
		if v, err := Lookup[string](&got.Metadata, "k"); v != "w" || err != nil || got.Version() != 3 || got.Len() != 1 {
			t.Error(v, err, got.Version(), got.Len())
		}
		if (e.image != nil) != (r.Version() == 1) {
			t.Errorf("version %d: copy %v", r.Version(), e.image != nil)
		}
	}
}

// Version 1 is shorter, so a deletion may make room for version 3 in its place.
func TestEditVersionOneInPlace(t *testing.T) {
	b := versionOne()
	e, err := planEdit(open(t, b), func(m *Metadata) error { m.Delete("k"); m.Delete("a"); return nil }, DefaultEditOptions())
	if err != nil || e.image != nil {
		t.Fatal(err, e.image)
	}
	if r := open(t, edited(t, b, e)); r.Version() != 3 || r.Len() != 1 {
		t.Error(r.Version(), r.Len())
	}
}

func TestEditAlignment(t *testing.T) {
	b := mixed(t, DefaultWriterOptions())
	e, err := planEdit(open(t, b), func(m *Metadata) error { m.SetUint32(alignmentKey, 512); return nil }, DefaultEditOptions())
	if err != nil || e.image == nil {
		t.Fatal(err, e.image)
	}
	if r := open(t, edited(t, b, e)); r.Alignment() != 512 || r.DataOffset()%512 != 0 {
		t.Error(r.Alignment(), r.DataOffset())
	}
	for _, v := range []Value{ValueOf(uint32(3)), ValueOf("32"), ValueOf(uint32(1 << 30))} {
		if _, err := planEdit(open(t, b), func(m *Metadata) error { m.Set(alignmentKey, v); return nil }, DefaultEditOptions()); !errors.Is(err, ErrFormat) {
			t.Error(v, err)
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

func TestEditFile(t *testing.T) {
	path := filepath.Join(tempDir(t), "m.gguf")
	b := mixed(t, DefaultWriterOptions())
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	rename := func(name string) func(*Metadata) error {
		return func(m *Metadata) error { m.SetString("general.name", name); return nil }
	}
	for i, name := range []string{"first", "second, which is longer", strings.Repeat("third ", 1000), strings.Repeat("x", 80000), ""} {
		rep, err := EditFile(context.Background(), path, rename(name), DefaultEditOptions(), Env{})
		if err != nil {
			t.Fatal(err)
		}
		if want := i != 0 && i != 3; rep.InPlace != want {
			t.Errorf("%.20q: %+v", name, rep)
		}
		if rep.InPlace && i == 1 && rep.Written > 20000 {
			t.Errorf("%d bytes written in place", rep.Written)
		}
		f, err := OpenFile(path, DefaultReaderOptions())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Lookup[string](&f.Metadata, "general.name"); got != name || err != nil {
			t.Error(got, err)
		}
		want := open(t, b)
		want.SetString("general.name", name)
		sameContent(t, want, f.Reader)
		f.Close()
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Error(left)
	}
}

func TestEditFileRefuses(t *testing.T) {
	dir := tempDir(t)
	path := filepath.Join(dir, "m.gguf")
	b := mixed(t, DefaultWriterOptions())
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	refused := func(path string, change func(*Metadata) error, opts EditOptions, want error) {
		t.Helper()
		if _, err := EditFile(context.Background(), path, change, opts, Env{}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "m.gguf")); err != nil || !bytes.Equal(got, b) {
			t.Error("the file changed", err)
		}
	}
	d := DefaultEditOptions()
	refused(path, func(*Metadata) error { return no }, d, no)
	refused(path, func(m *Metadata) error { m.SetString("", "x"); return nil }, d, ErrFormat)
	refused(filepath.Join(dir, "none"), edits["longer"], d, os.ErrNotExist)
	refused(dir, edits["longer"], d, crashfs.ErrNotRegular)
	inPlace := d
	inPlace.Mode = EditInPlace
	refused(path, edits["much longer"], inPlace, ErrNoRoom)
	refused(path, edits["longer"], EditOptions{}, ErrOption)
	d.ReserveBytes = -1
	refused(path, edits["longer"], d, ErrOption)
	fsys, base, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	lock, err := lockFile(fsys, base)
	if err != nil {
		t.Fatal(err)
	}
	refused(path, edits["longer"], DefaultEditOptions(), ErrLocked)
	lock.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"scalar", "much longer"} {
		if _, err := EditFile(ctx, path, edits[name], DefaultEditOptions(), Env{}); !errors.Is(err, context.Canceled) {
			t.Error(name, err)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Error(entries, err)
	}
}

// A journal left by a killed process keeps the file from being opened until the
// edit is undone; one of another file changes nothing.
func TestRecoverEdit(t *testing.T) {
	path := filepath.Join(tempDir(t), "m.gguf")
	b := mixed(t, WriterOptions{Alignment: 32, MemoryBytes: 1 << 20, ReserveBytes: 300})
	e, err := planEdit(open(t, b), edits["longer"], DefaultEditOptions())
	if err != nil || e.image != nil {
		t.Fatal(err)
	}
	j := newJournal(e.old, e.header, int64(len(b)))
	half := edited(t, b, e)
	copy(half[:int(j.at)+len(j.old)/2], b) // the second half of the edit is on disk
	for name, c := range map[string]struct {
		file, journal, want []byte
		undone              bool
		err                 error
	}{
		"torn":               {half, j.encode(), b, true, nil},
		"done":               {edited(t, b, e), j.encode(), b, true, nil},
		"not begun":          {b, j.encode(), b, true, nil},
		"journal cut off":    {b, j.encode()[:100], b, false, nil},
		"journal of nothing": {b, nil, b, false, nil},
		"no journal":         {half, []byte("-"), half, false, nil},
		"another length":     {b[:len(b)-1], j.encode(), b[:len(b)-1], false, ErrUnfinished},
		"another file":       {bytes.Repeat([]byte{7}, len(b)), j.encode(), bytes.Repeat([]byte{7}, len(b)), false, ErrUnfinished},
	} {
		_ = os.Remove(journalName(path))
		if err := os.WriteFile(path, c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		if string(c.journal) != "-" {
			if err := os.WriteFile(journalName(path), c.journal, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenFile(path, DefaultReaderOptions()); !errors.Is(err, ErrUnfinished) {
				t.Errorf("%s: opened: %v", name, err)
			}
		}
		undone, err := RecoverEdit(path)
		if undone != c.undone || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", name, undone, err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, c.want) {
			t.Errorf("%s: the file is another", name)
		}
		if _, err := os.Stat(journalName(path)); (err == nil) != (c.err != nil) {
			t.Errorf("%s: the journal is there: %v", name, err == nil)
		}
	}
}

// An edit of a small value in a file with a vocabulary touches little, and its cost
// does not hang on the file's size.
func TestEditInPlaceIsSmall(t *testing.T) {
	path := filepath.Join(tempDir(t), "m.gguf")
	b := vocabularyFile(t, 1<<15)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "a much longer name, of several dozen letters", ""} {
		set := func(m *Metadata) error { m.SetString("general.name", name); return nil }
		r, err := EditFile(context.Background(), path, set, DefaultEditOptions(), Env{})
		if err != nil || !r.InPlace || r.Written > 5000 {
			t.Errorf("%d: %+v, %v", i, r, err)
		}
	}
}

// vocabularyFile is a file with many tokens and room for edits.
func vocabularyFile(t testing.TB, tokens int) []byte {
	opts := DefaultWriterOptions()
	opts.ReserveBytes = 4096
	return write(t, opts, func(w *Writer) {
		w.SetString("general.architecture", "phi3")
		w.SetString("general.name", "Phi-3")
		list := make([]string, tokens)
		for i := range list {
			list[i] = strings.Repeat("t", 1+i%12)
		}
		w.SetStrings("tokenizer.ggml.tokens", list)
		_ = w.AddTensor(TensorInfo{Name: "a", Type: F32, Shape: []int{256, 256}}, Values(make([]float32, 1<<16)))
	})
}

func BenchmarkEditInPlace(b *testing.B) {
	path := filepath.Join(tempDir(b), "m.gguf")
	if err := os.WriteFile(path, vocabularyFile(b, 32064), 0o644); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		set := func(m *Metadata) error { m.SetString("general.name", strings.Repeat("n", i%50)); return nil }
		if r, err := EditFile(context.Background(), path, set, DefaultEditOptions(), Env{}); err != nil || !r.InPlace {
			b.Fatal(r, err)
		}
	}
}
