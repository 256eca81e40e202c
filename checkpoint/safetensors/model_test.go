package safetensors

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func shardFile(t testing.TB, tensors ...Tensor) *fstest.MapFile {
	t.Helper()
	var w bytes.Buffer
	if err := Write(&w, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: w.Bytes()}
}

func scalar(name string, v float32) Tensor { return F32Tensor(name, []int{1}, []float32{v}) }

// twoShards is a directory whose tensors b, a and c lie in two files.
func twoShards(t testing.TB) fstest.MapFS {
	return fstest.MapFS{
		"one.safetensors": shardFile(t, scalar("b", 2), scalar("a", 1)),
		"two.safetensors": shardFile(t, scalar("c", 3)),
		IndexFile:         {Data: []byte(`{"metadata":{"total_size":12},"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}}`)},
	}
}

func TestModelOfTwoShards(t *testing.T) {
	m, err := OpenModel(twoShards(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i, name := range []string{"a", "b", "c"} {
		v, err := m.Float32(name)
		if err != nil || v[0] != float32(i+1) || m.Tensors()[i].Name != name {
			t.Errorf("%s: %v, %v, listed %v", name, v, err, m.Tensors()[i])
		}
	}
	if m.Shard("c") != "two.safetensors" || m.Shard("x") != "" || !slices.Equal(m.Shards(), []string{"one.safetensors", "two.safetensors"}) {
		t.Errorf("shards %q %q %v", m.Shard("c"), m.Shard("x"), m.Shards())
	}
	if r := m.Reader("one.safetensors"); r == nil || r.Tensors()[0].Name != "b" || m.Reader("x") != nil {
		t.Error("Reader does not give the file's order")
	}
}

func TestSingleFileWinsOverTheIndex(t *testing.T) {
	fsys := twoShards(t)
	fsys[SingleFile] = shardFile(t, scalar("only", 1))
	m, err := OpenModel(fsys)
	if err != nil || len(m.Tensors()) != 1 {
		t.Fatalf("%v, %v", m, err)
	}
}

func TestDamagedDirectories(t *testing.T) {
	index := func(weightMap string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(`{"weight_map":` + weightMap + `}`)}
	}
	for _, c := range []struct {
		name, want string
		change     func(fstest.MapFS)
	}{
		{"missing shard", "shard two.safetensors", func(f fstest.MapFS) { delete(f, "two.safetensors") }},
		{"truncated shard", "two.safetensors: safetensors: tensors end at byte", func(f fstest.MapFS) {
			f["two.safetensors"].Data = f["two.safetensors"].Data[:len(f["two.safetensors"].Data)-1]
		}},
		{"empty shard", "too short", func(f fstest.MapFS) { f["two.safetensors"] = &fstest.MapFile{} }},
		{"shard is a directory", "not a regular file", func(f fstest.MapFS) {
			f["two.safetensors"] = &fstest.MapFile{Mode: fs.ModeDir}
		}},
		{"shard is a pipe", "not a regular file", func(f fstest.MapFS) { f["two.safetensors"].Mode = fs.ModeNamedPipe }},
		{"shard lacks a tensor", `lacks tensor "d"`, func(f fstest.MapFS) {
			f[IndexFile] = index(`{"a":"one.safetensors","c":"two.safetensors","d":"two.safetensors"}`)
		}},
		{"tensor in the other shard", `lacks tensor "b"`, func(f fstest.MapFS) {
			f[IndexFile] = index(`{"a":"one.safetensors","b":"two.safetensors","c":"one.safetensors"}`)
		}},
		{"tensor in two shards", `tensor "a" is also in one.safetensors`, func(f fstest.MapFS) {
			f["two.safetensors"] = shardFile(t, scalar("c", 1), scalar("a", 1))
		}},
		{"empty map", "missing or empty", func(f fstest.MapFS) { f[IndexFile] = index(`{}`) }},
		{"index not JSON", IndexFile, func(f fstest.MapFS) { f[IndexFile].Data = []byte("{") }},
		{"index of numbers", IndexFile, func(f fstest.MapFS) { f[IndexFile] = index(`{"a":1}`) }},
		{"index too long", "longer than", func(f fstest.MapFS) { f[IndexFile].Data = make([]byte, maxIndexBytes+1) }},
		{"no weights", "neither model.safetensors nor", func(f fstest.MapFS) { clear(f) }},
	} {
		fsys := twoShards(t)
		c.change(fsys)
		m, err := OpenModel(fsys)
		if err == nil || !strings.Contains(err.Error(), c.want) || m != nil {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestMissingFilesAreNotExist(t *testing.T) {
	fsys := twoShards(t)
	delete(fsys, "one.safetensors")
	for _, f := range []fs.FS{fsys, fstest.MapFS{}} {
		if _, err := OpenModel(f); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestShardNamesStayInside(t *testing.T) {
	for _, name := range []string{
		"../evil.safetensors", "..", ".", "", "/etc/passwd", "sub/x.safetensors", `..\\evil`, `C:x`, "a\\\\b", "./one.safetensors",
	} {
		fsys := twoShards(t)
		fsys[IndexFile].Data = []byte(`{"weight_map":{"a":"` + name + `"}}`)
		if _, err := OpenModel(fsys); err == nil || !strings.Contains(err.Error(), "not a plain file name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTooManyShards(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"weight_map":{`)
	for i := range maxShards + 1 {
		if i > 0 {
			b.WriteByte(',')
		}
		s := strings.Repeat("x", 1+i%60) + strings.Repeat("y", 1+i/60)
		b.WriteString(`"` + s + `":"` + s + `"`)
	}
	b.WriteString("}}")
	if _, err := OpenModel(fstest.MapFS{IndexFile: {Data: []byte(b.String())}}); err == nil || !strings.Contains(err.Error(), "shards") {
		t.Error(err)
	}
}

func TestPickleIsRefused(t *testing.T) {
	_, err := OpenModel(fstest.MapFS{"pytorch_model-00001-of-00002.bin": {Data: []byte("PK")}})
	if !errors.Is(err, ErrPickleRefused) || !strings.Contains(err.Error(), "00001") {
		t.Error(err)
	}
}

func TestModelCheckFiniteNamesShardAndTensor(t *testing.T) {
	fsys := twoShards(t)
	m, err := OpenModel(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CheckFinite(t.Context()); err != nil {
		t.Error(err)
	}
	fsys["two.safetensors"] = shardFile(t, scalar("c", float32(math.Inf(1))))
	if m, err = OpenModel(fsys); err != nil {
		t.Fatal(err)
	}
	err = m.CheckFinite(t.Context())
	var se *ShardError
	var nf *NotFiniteError
	if !errors.As(err, &se) || !errors.As(err, &nf) || se.Shard != "two.safetensors" || nf.Tensor != "c" {
		t.Error(err)
	}
}

func TestOpenDirRefusesLinksThatLeadOut(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	data := shardFile(t, scalar("a", 1)).Data
	if err := os.WriteFile(filepath.Join(outside, "blob"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "blob"), filepath.Join(dir, SingleFile)); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if _, err := OpenDir(dir); err == nil {
		t.Error("OpenDir followed the link")
	}
	m, err := OpenModel(os.DirFS(dir))
	if err != nil {
		t.Fatalf("OpenModel(DirFS): %v", err)
	}
	m.Close()
}

func TestOpenDirReadsAfterOpening(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SingleFile), shardFile(t, scalar("a", 4)).Data, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := m.Float32("a"); err != nil || v[0] != 4 {
		t.Error(v, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Float32("a"); err == nil {
		t.Error("reads after Close")
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"weight_map":{"a":"one.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x"}}`))
	shard := shardFile(f, scalar("a", 1))
	f.Fuzz(func(t *testing.T, index []byte) {
		m, err := OpenModel(fstest.MapFS{IndexFile: {Data: index}, "one.safetensors": shard})
		if err == nil && (len(m.Tensors()) != 1 || m.Shards()[0] != "one.safetensors") {
			t.Errorf("tensors %v of %v", m.Tensors(), m.Shards())
		}
	})
}
