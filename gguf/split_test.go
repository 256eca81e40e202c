package gguf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// mixed is a file with tensors of every type and many values.
func mixed(t testing.TB, opts WriterOptions) []byte {
	return write(t, opts, func(w *Writer) {
		for i, v := range allValues() {
			w.Set("k."+string(rune('a'+i)), v)
		}
		fillTypes(t, w, randomWeights(3*512))
	})
}

func encoded(t testing.TB, i *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := i.Encode(context.Background(), &b, Env{}); err != nil {
		t.Fatal(err)
	}
	if size, err := i.Size(); err != nil || size != int64(b.Len()) {
		t.Errorf("%d bytes, Size said %d, %v", b.Len(), size, err)
	}
	return b.Bytes()
}

// sameContent compares metadata and tensors, but for alignment and padding.
func sameContent(t testing.TB, a, b *Reader) {
	t.Helper()
	if !slices.Equal(keysOf(a), keysOf(b)) {
		t.Errorf("keys %q\nand %q", keysOf(a), keysOf(b))
	}
	for key, v := range a.All() {
		if w, _ := b.Value(key); key != PaddingKey && (v.Kind() != w.Kind() || v.Elem() != w.Elem() || !reflect.DeepEqual(v.Any(), w.Any())) {
			t.Errorf("%s: %v and %v", key, v, w)
		}
	}
	if a.Len() != b.Len() {
		t.Fatalf("%d and %d tensors", a.Len(), b.Len())
	}
	for i, x := range a.tensors {
		y := b.tensors[i]
		if x.Name != y.Name || x.Type != y.Type || !slices.Equal(x.Shape, y.Shape) || !bytes.Equal(littleEndian(t, x), littleEndian(t, y)) {
			t.Errorf("tensor %d: %+v and %+v differ", i, x.TensorInfo, y.TensorInfo)
		}
	}
}

func keysOf(r *Reader) []string {
	return slices.DeleteFunc(slices.Clone(r.keys), func(k string) bool { return k == PaddingKey || k == alignmentKey })
}

func littleEndian(t testing.TB, x *Tensor) []byte {
	b, err := io.ReadAll(x.Section())
	if err != nil || int64(len(b)) != x.Size {
		t.Fatal(len(b), err)
	}
	if x.file.BigEndian() {
		swapBlocks(x.Type, b)
	}
	return b
}

func TestSplitAndJoin(t *testing.T) {
	for _, opts := range []WriterOptions{
		DefaultWriterOptions(), {Alignment: 128, MemoryBytes: 1 << 20, BigEndian: true}, {Alignment: 8, MemoryBytes: 1 << 20},
	} {
		b := mixed(t, opts)
		r := open(t, b)
		for _, c := range []struct {
			opts  SplitOptions
			parts int
		}{
			{SplitOptions{}, 1}, {SplitOptions{MaxTensors: 1}, 13}, {SplitOptions{MaxTensors: 5}, 3}, {SplitOptions{MaxTensors: 13}, 1},
			{SplitOptions{MaxTensors: 5, EmptyFirst: true}, 4}, {SplitOptions{EmptyFirst: true}, 2},
			{SplitOptions{MaxBytes: 1}, 14}, {SplitOptions{MaxBytes: 4000}, 0}, {SplitOptions{MaxBytes: 4000, MaxTensors: 2}, 0}, {SplitOptions{MaxBytes: 1 << 20}, 1},
		} {
			images, err := Split(r, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if c.parts != 0 && len(images) != c.parts {
				t.Errorf("%+v: %d parts, want %d", c.opts, len(images), c.parts)
			}
			var parts []*Reader
			for no, i := range images {
				p := encoded(t, i)
				parts = append(parts, open(t, p))
				checkPartSize(t, parts[no], no, len(p), c.opts)
			}
			whole, err := Join(parts...)
			if err != nil {
				t.Fatal(err)
			}
			sameContent(t, r, whole)
			if merged := encoded(t, NewImage(whole)); !bytes.Equal(merged, b) {
				t.Errorf("%+v: split and merged is another file", c.opts)
			}
		}
	}
}

func checkPartSize(t *testing.T, r *Reader, no, size int, opts SplitOptions) {
	t.Helper()
	if opts.MaxBytes > 0 && int64(size) > opts.MaxBytes && r.Len() > 1 {
		t.Errorf("part %d of %d tensors has %d bytes, over %d", no, r.Len(), size, opts.MaxBytes)
	}
	if opts.MaxTensors > 0 && r.Len() > opts.MaxTensors || opts.EmptyFirst && no == 0 && r.Len() > 0 {
		t.Errorf("part %d has %d tensors", no, r.Len())
	}
	for key, kind := range map[string]Kind{splitNo: KindUint16, splitCount: KindUint16, splitTensors: KindInt32} {
		if v, ok := r.Value(key); !ok || v.Kind() != kind {
			t.Errorf("part %d: %s is %v", no, key, v.Kind())
		}
	}
	if no > 0 && len(keysOf(r)) != 3 {
		t.Errorf("part %d has keys %q", no, keysOf(r))
	}
}

// splitParts returns a set of three.
func splitParts(t testing.TB) [][]byte {
	r := open(t, mixed(t, DefaultWriterOptions()))
	images, err := Split(r, SplitOptions{MaxTensors: 5})
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, i := range images {
		out = append(out, encoded(t, i))
	}
	return out
}

func TestJoinRefuses(t *testing.T) {
	set := splitParts(t)
	changed := func(i int, change func(*Image)) *Reader {
		img := NewImage(open(t, set[i]))
		change(img)
		return open(t, encoded(t, img))
	}
	a, b, c := open(t, set[0]), open(t, set[1]), open(t, set[2])
	plain := open(t, mixed(t, DefaultWriterOptions()))
	for name, x := range map[string]struct {
		parts []*Reader
		says  string
	}{
		"nothing":           {nil, "no parts"},
		"one missing":       {[]*Reader{a, b}, "split.count"},
		"first alone":       {[]*Reader{a}, "split.count"},
		"wrong order":       {[]*Reader{a, c, b}, "split.no"},
		"twice":             {[]*Reader{a, b, b}, "split.no"},
		"no part":           {[]*Reader{plain, plain}, "split."},
		"count of tensors":  {[]*Reader{changed(0, func(i *Image) { i.SetInt32(splitTensors, 12) }), b, c}, "split.tensors.count"},
		"count of strings":  {[]*Reader{changed(0, func(i *Image) { i.SetString(splitCount, "3") }), b, c}, "split.count"},
		"negative":          {[]*Reader{a, changed(1, func(i *Image) { i.SetInt32(splitNo, -1) }), c}, "split.no"},
		"tensor twice":      {[]*Reader{a, changed(1, func(i *Image) { i.tensors[0] = a.tensors[0] }), c}, "earlier"},
		"no count":          {[]*Reader{changed(0, func(i *Image) { i.Delete(splitTensors) }), b, c}, "split.tensors.count"},
		"another set's end": {[]*Reader{a, b, changed(2, func(i *Image) { i.SetUint16(splitCount, 4) })}, "split.count"},
	} {
		if _, err := Join(x.parts...); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := Join(plain); r != plain || err != nil {
		t.Error("a file that is no part:", err)
	}
	if _, err := Split(plain, SplitOptions{MaxBytes: -1}); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
	many := write(t, DefaultWriterOptions(), func(w *Writer) {
		for i := range 3 {
			_ = w.AddTensor(TensorInfo{Name: string(rune('a' + i)), Type: F32, Shape: []int{1}}, Values([]float32{1}))
		}
	})
	if images, err := Split(open(t, many), SplitOptions{MaxTensors: 1}); len(images) != 3 || err != nil {
		t.Error(len(images), err)
	}
}

// Parts may differ in byte order; what is written has one. Odd sizes are padded.
func TestJoinMixedByteOrders(t *testing.T) {
	little := open(t, mixed(t, DefaultWriterOptions()))
	big := open(t, mixed(t, WriterOptions{Alignment: 32, MemoryBytes: 1 << 20, BigEndian: true}))
	odd := write(t, DefaultWriterOptions(), func(w *Writer) {
		for _, name := range []string{"odd.1", "odd.2"} {
			_ = w.AddTensor(TensorInfo{Name: name, Type: I8, Shape: []int{5}}, Encoded(bytes.NewReader([]byte{1, 2, 3, 4, 5})))
		}
	})
	all := append(append([]*Tensor{}, big.tensors[:5]...), little.tensors[5:]...)
	all = append(all, open(t, odd).tensors...)
	for _, first := range []*Reader{little, big} {
		i := NewImage(first)
		i.tensors = all
		got := open(t, encoded(t, i))
		if got.BigEndian() != first.BigEndian() {
			t.Error("another byte order")
		}
		sameContent(t, &Reader{Metadata: first.clone(), tensors: all}, got)
	}
}

func TestSplitNames(t *testing.T) {
	if s := SplitName("a/b", 0, 3); s != "a/b-00001-of-00003.gguf" {
		t.Error(s)
	}
	if p, no, count, ok := ParseSplitName("x-00002-of-00003.gguf"); p != "x" || no != 1 || count != 3 || !ok {
		t.Error(p, no, count, ok)
	}
	for _, s := range []string{"x.gguf", "x-00000-of-00003.gguf", "x-00004-of-00003.gguf", "x-1-of-3.gguf", "x-00001-of-99999.gguf"} {
		if _, _, _, ok := ParseSplitName(s); ok {
			t.Error(s)
		}
	}
}

func TestOpenSplit(t *testing.T) {
	set := splitParts(t)
	fsys := fstest.MapFS{}
	for no, b := range set {
		fsys["d/"+SplitName("m", no, len(set))] = &fstest.MapFile{Data: b}
	}
	fsys["d/other-00001-of-00002.gguf"] = fsys["d/m-00001-of-00003.gguf"]
	fsys["d/whole.gguf"] = &fstest.MapFile{Data: mixed(t, DefaultWriterOptions())}
	f, err := Open(fsys, "d/m-00001-of-00003.gguf", DefaultReaderOptions())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Open(fsys, "d/whole.gguf", DefaultReaderOptions())
	if err != nil {
		t.Fatal(err)
	}
	sameContent(t, whole.Reader, f.Reader)
	if err := errors.Join(f.Close(), whole.Close()); err != nil {
		t.Error(err)
	}
	for name, says := range map[string]string{
		"d/m-00002-of-00003.gguf": "m-00001-of-00003.gguf", "d/other-00001-of-00002.gguf": "name", "d/none.gguf": "not exist", "d": "offsets",
	} {
		if _, err := Open(fsys, name, DefaultReaderOptions()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	delete(fsys, "d/m-00003-of-00003.gguf")
	if _, err := Open(fsys, "d/m-00001-of-00003.gguf", DefaultReaderOptions()); err == nil || !strings.Contains(err.Error(), "m-00003-of-00003.gguf") {
		t.Error(err)
	}
}

func TestSplitAndMergeFiles(t *testing.T) {
	dir := tempDir(t)
	src := filepath.Join(dir, "src.gguf")
	b := mixed(t, DefaultWriterOptions())
	if err := os.WriteFile(src, b, 0o644); err != nil {
		t.Fatal(err)
	}
	var calls, last, total int64
	env := Env{Progress: func(done, all int64) {
		if done < last {
			t.Errorf("progress went from %d to %d", last, done)
		}
		calls, last, total = calls+1, done, all
	}}
	paths, err := SplitFile(context.Background(), src, filepath.Join(dir, "part"), SplitOptions{MaxBytes: 5000}, env)
	if err != nil || len(paths) < 3 || calls == 0 || last != total {
		t.Fatal(paths, err, calls, last, total)
	}
	out := filepath.Join(dir, "merged.gguf")
	if err := MergeFile(context.Background(), paths[0], out, Env{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, b) {
		t.Error("merged is another file", err)
	}
	if err := MergeFile(context.Background(), out, filepath.Join(dir, ".", "merged.gguf"), Env{}); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
	first := filepath.Join(dir, "late-00001-of-00003.gguf")
	late := Env{Progress: func(done, all int64) {
		if _, err := os.Stat(first); err == nil && done < all {
			t.Error("the first part is there before the others")
		}
	}}
	if _, err := SplitFile(context.Background(), src, filepath.Join(dir, "late"), SplitOptions{MaxTensors: 5}, late); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := MergeFile(ctx, paths[0], filepath.Join(dir, "never.gguf"), Env{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*never*")); len(left) > 0 {
		t.Error(left)
	}
}
