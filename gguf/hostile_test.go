package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
)

// raw builds a file by hand, little-endian.
type raw struct{ b []byte }

func (r *raw) u32(v ...uint32) *raw {
	for _, x := range v {
		r.b = binary.LittleEndian.AppendUint32(r.b, x)
	}
	return r
}

func (r *raw) u64(v ...uint64) *raw {
	for _, x := range v {
		r.b = binary.LittleEndian.AppendUint64(r.b, x)
	}
	return r
}

func (r *raw) str(s string) *raw {
	r.u64(uint64(len(s)))
	r.b = append(r.b, s...)
	return r
}

func (r *raw) bytes(v ...byte) *raw { r.b = append(r.b, v...); return r }

// head starts a file of version 3.
func head(tensors, keys uint64) *raw { return (&raw{b: []byte("GGUF")}).u32(3).u64(tensors, keys) }

// tensor appends a description: dimensions fastest first.
func (r *raw) tensor(name string, typ uint32, offset uint64, dims ...uint64) *raw {
	return r.str(name).u32(uint32(len(dims))).u64(dims...).u32(typ).u64(offset)
}

// data pads to 32 bytes and appends n zeros.
func (r *raw) data(n int) *raw {
	for len(r.b)%32 != 0 {
		r.b = append(r.b, 0)
	}
	r.b = append(r.b, make([]byte, n)...)
	return r
}

// hostile lists what readers of this format were once broken by, and what has to
// be said about it.
func hostile() map[string]struct {
	file []byte
	want error
	says string
} {
	type c = struct {
		file []byte
		want error
		says string
	}
	huge := uint64(math.MaxUint64)
	return map[string]c{
		"empty":                            {nil, ErrFormat, "ends"},
		"other magic":                      {[]byte("GGML\x03\x00\x00\x00"), ErrFormat, "GGML"},
		"version 0":                        {(&raw{b: []byte("GGUF")}).u32(0).u64(0, 0).b, ErrUnsupported, "version 0"},
		"version 4":                        {(&raw{b: []byte("GGUF")}).u32(4).u64(0, 0).b, ErrUnsupported, "version 4"},
		"CVE-2024-21836 tensors":           {head(huge, 0).b, ErrFormat, "tensors"},
		"CVE-2024-23605 keys":              {head(0, huge).b, ErrFormat, "keys"},
		"CVE-2024-23496 string":            {head(0, 1).u64(huge).data(32).b, ErrFormat, "string"},
		"ollama 17042, huge length":        {head(0, 1).u64(1 << 40).data(64).b, ErrFormat, "string"},
		"CVE-2024-21802 dimensions":        {head(1, 0).str("t").u32(5).u64(1, 1, 1, 1, 1).u32(0).u64(0).data(32).b, ErrFormat, "5 dimensions"},
		"gguf-tools 25, 2^32-1 dimensions": {head(1, 0).str("t").u32(1<<32 - 1).data(32).b, ErrFormat, "dimensions"},
		"CVE-2024-21825 array":             {head(0, 1).str("k").u32(9).u32(4).u64(1 << 62).data(32).b, ErrFormat, "elements"},
		"array of 2^63 (gguf-py 27188)":    {head(0, 1).str("k").u32(9).u32(0).u64(1 << 63).b, ErrFormat, "elements"},
		"ollama 16189, array of strings":   {head(0, 1).str("k").u32(9).u32(8).u64(1 << 20).data(64).b, ErrFormat, "elements"},
		"nested array":                     {head(0, 1).str("k").u32(9).u32(9).u64(1).data(64).b, ErrUnsupported, "arrays"},
		"ggml PR 709, unknown value type":  {head(0, 1).str("k").u32(13).u64(1).b, ErrFormat, "13"},
		"unknown element type":             {head(0, 1).str("k").u32(9).u32(77).u64(1).data(32).b, ErrFormat, "77"},
		"duplicate key":                    {head(0, 2).str("k").u32(4).u32(1).str("k").u32(4).u32(1).b, ErrFormat, "twice"},
		"empty key":                        {head(0, 1).str("").u32(4).u32(1).b, ErrFormat, "empty"},
		"long key":                         {head(0, 1).str(strings.Repeat("k", 65536)).u32(4).u32(1).b, ErrFormat, "65536 bytes"},
		"bool of 2":                        {head(0, 1).str("k").u32(7).bytes(2, 0, 0, 0, 0, 0, 0, 0).b, ErrFormat, "bool"},
		"bool of 2 in an array":            {head(0, 1).str("k").u32(9).u32(7).u64(3).bytes(1, 0, 2).b, ErrFormat, "bool"},
		"value cut off":                    {head(0, 1).str("kkkkk").u32(10).u32(1).b, ErrFormat, "early"},
		"PR 26318 alignment is int32":      {head(0, 1).str("general.alignment").u32(5).u32(32).b, ErrFormat, "int32"},
		"alignment 0":                      {head(0, 1).str("general.alignment").u32(4).u32(0).b, ErrFormat, "power"},
		"alignment 33":                     {head(0, 1).str("general.alignment").u32(4).u32(33).b, ErrFormat, "power"},
		"alignment 2^30 (ggml 1516)":       {head(0, 1).str("general.alignment").u32(4).u32(1 << 30).b, ErrLimit, "over"},
		"tensor name of 64":                {head(1, 0).tensor(strings.Repeat("n", 64), 0, 0, 1).data(32).b, ErrFormat, "name"},
		"tensor without a name":            {head(1, 0).tensor("", 0, 0, 1).data(32).b, ErrFormat, "name"},
		"duplicate tensor":                 {head(2, 0).tensor("t", 0, 0, 1).tensor("t", 0, 32, 1).data(64).b, ErrFormat, "twice"},
		"removed type 4":                   {head(1, 0).tensor("t", 4, 0, 32).data(32).b, ErrUnsupported, "type 4"},
		"unknown type":                     {head(1, 0).tensor("t", 1<<31, 0, 32).data(32).b, ErrUnsupported, "type"},
		"row that cuts a block":            {head(1, 0).tensor("t", 8, 0, 33, 32).data(2048).b, ErrFormat, "rows of 33"},
		"PR 26318 dimension product":       {head(1, 0).tensor("t", 0, 0, 1<<32, 1<<32).data(32).b, ErrFormat, "overflows"},
		"27203 product that wraps to 0":    {head(1, 0).tensor("t", 0, 0, 1<<32, 1<<31, 2).data(32).b, ErrFormat, "overflows"},
		"zero dimension hiding overflow":   {head(1, 0).tensor("t", 0, 0, 1<<62, 1<<62, 0).data(32).b, ErrFormat, "overflows"},
		"dimension of 2^63":                {head(1, 0).tensor("t", 0, 0, 1<<63).data(32).b, ErrFormat, "overflows"},
		"CVE-2026-33298 byte size":         {head(1, 0).tensor("t", 28, 0, 1<<61).data(32).b, ErrFormat, "overflows"},
		"CVE-2025-53630 sum of sizes":      {head(2, 0).tensor("a", 24, 0, 1<<62).tensor("b", 24, 1<<62, 1<<62).data(32).b, ErrFormat, "beyond"},
		"padding that wraps (24759)":       {head(1, 0).tensor("a", 24, 0, 1<<63-1).data(32).b, ErrFormat, "beyond"},
		"CVE-2026-7482 beyond the end":     {head(1, 0).tensor("t", 0, 0, 1024).data(64).b, ErrFormat, "beyond"},
		"offset beyond the end":            {head(1, 0).tensor("t", 0, 1<<40, 1).data(64).b, ErrFormat, "offset"},
		"gguf-parser-go 20, uint64 wraps":  {head(0, 1).str("k").u32(9).u32(10).u64(math.MaxUint64/8 + 2).data(64).b, ErrFormat, "elements"},
		"gguf-parser-go 46, wrong type":    {head(0, 1).str("general.alignment").u32(8).str("32").b, ErrFormat, "string"},
		"gguf-parser-go 46, negative seek": {head(1, 0).tensor("t", 0, 1<<63, 1).data(64).b, ErrFormat, "overflows"},
		"overlap":                          {head(2, 0).tensor("a", 0, 0, 16).tensor("b", 0, 32, 16).data(128).b, ErrFormat, "offset"},
		"gap":                              {head(2, 0).tensor("a", 0, 0, 8).tensor("b", 0, 64, 8).data(128).b, ErrFormat, "offset"},
		"unaligned":                        {head(2, 0).tensor("a", 0, 0, 1).tensor("b", 0, 4, 1).data(128).b, ErrFormat, "offset"},
		"no room for data":                 {head(1, 0).tensor("t", 0, 0, 1).b, ErrFormat, "ends"},
	}
}

func TestHostileFiles(t *testing.T) {
	for name, c := range hostile() {
		_, err := NewReader(bytes.NewReader(c.file), int64(len(c.file)), DefaultReaderOptions())
		var fe *FormatError
		// Where int has 32 bits some dimensions are refused before what says tells of.
		if !errors.As(err, &fe) || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) && strconv.IntSize == 64 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fe.Offset < 0 || fe.Offset > int64(len(c.file)) {
			t.Errorf("%s: byte %d of %d", name, fe.Offset, len(c.file))
		}
	}
}

// The July 2025 loader of llama.cpp divided by such a dimension.
func TestZeroDimensionIsEmpty(t *testing.T) {
	b := head(2, 0).tensor("a", 0, 0, 16, 0).tensor("b", 0, 0, 2).data(32).b
	r := open(t, b)
	a, _ := r.Tensor("a")
	if w, err := a.Float32(); len(w) != 0 || err != nil || a.Size != 0 {
		t.Error(w, err, a.Size)
	}
}

func versionOne() []byte {
	r := (&raw{b: []byte("GGUF")}).u32(1, 1, 2).u32(1).bytes('k').u32(8, 1).bytes('v').u32(1).bytes('a').u32(9, 8, 2, 1).bytes('x').u32(1).bytes('y')
	return r.u32(1).bytes('t').u32(2, 2, 3).u32(0).u64(0).data(24).b
}

func versionTwo() []byte {
	b := head(1, 1).str("k").u32(8).str("v").tensor("t", 0, 0, 2, 1).data(32).b
	b[4] = 2
	return b
}

func TestOlderVersions(t *testing.T) {
	r := open(t, versionTwo())
	if r.Version() != 2 || r.Len() != 1 {
		t.Error(r.Version(), r.Len())
	}
	r = open(t, versionOne())
	x, ok := r.Tensor("t")
	if s, err := Lookup[string](&r.Metadata, "k"); s != "v" || err != nil || r.Version() != 1 {
		t.Error(s, err, r.Version())
	}
	if a, err := LookupArray[string](&r.Metadata, "a"); err != nil || len(a) != 2 || a[1] != "y" {
		t.Error(a, err)
	}
	if !ok || x.Shape[0] != 3 || x.Shape[1] != 2 {
		t.Error(x)
	}
}

func TestLimits(t *testing.T) {
	b := write(t, DefaultWriterOptions(), func(w *Writer) {
		w.SetString("name", strings.Repeat("x", 100))
		w.Set("list", ArrayOf(make([]uint8, 50)))
		_ = w.AddTensor(TensorInfo{Name: "t", Shape: []int{4}}, Values(make([]float32, 4)))
	})
	for name, change := range map[string]func(*Limits){
		"keys": func(l *Limits) { l.Keys = 1 }, "tensors": func(l *Limits) { l.Tensors = 0 },
		"string": func(l *Limits) { l.StringBytes = 99 }, "array": func(l *Limits) { l.ArrayLen = 49 },
	} {
		o := DefaultReaderOptions()
		change(&o.Limits)
		if _, err := NewReader(bytes.NewReader(b), int64(len(b)), o); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewReader(bytes.NewReader(b), int64(len(b)), ReaderOptions{}); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
}

// Every cut of a file is an error, and none allocates much more than the file.
func TestTruncated(t *testing.T) {
	b := write(t, DefaultWriterOptions(), func(w *Writer) {
		for i, v := range allValues() {
			w.Set(string(rune('a'+i)), v)
		}
		fillTypes(t, w, make([]float32, 3*512))
	})
	for n := range len(b) - 32 {
		if _, err := NewReader(bytes.NewReader(b[:n]), int64(n), DefaultReaderOptions()); err == nil {
			t.Fatalf("%d of %d bytes were taken for a file", n, len(b))
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range hostile() {
		f.Add(c.file)
	}
	for _, s := range allSpecimens(f) {
		f.Add(s.b)
	}
	f.Add(mixed(f, DefaultWriterOptions()))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocated()
		ok, err := soakReader(nil, b)
		if used := allocated() - before; used > 4<<20+perByte*uint64(len(b)) {
			t.Errorf("%d bytes allocated for a file of %d", used, len(b))
		}
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			rewrite(t, open(t, b), b)
		}
	})
}

// fuzzSoak gives a target of TestSoak to go test -fuzz; seed moves its own choices.
func fuzzSoak(f *testing.F, run func(*mutator, []byte) (bool, error), seeds [][]byte) {
	for i, b := range seeds {
		f.Add(uint64(i), b)
	}
	f.Fuzz(func(t *testing.T, seed uint64, b []byte) {
		before := allocated()
		_, err := run(&mutator{state: seed}, b)
		if used := allocated() - before; used > 4<<20+perByte*uint64(len(b)) {
			t.Errorf("%d bytes allocated for a file of %d", used, len(b))
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

func seedsOf(f *testing.F, list []*specimen) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, s.b)
	}
	for _, c := range hostile() {
		out = append(out, c.file)
	}
	return out
}

func allSpecimens(f *testing.F) []*specimen {
	return specimens(func(opts WriterOptions, fill func(*Writer)) []byte { return write(f, opts, fill) })
}

func FuzzEdit(f *testing.F) { fuzzSoak(f, soakEditor, seedsOf(f, allSpecimens(f))) }

func FuzzSplit(f *testing.F) {
	seeds := seedsOf(f, splitSpecimens(f))
	fuzzSoak(f, soakSplit, seeds)
}

func FuzzImatrix(f *testing.F) {
	fuzzSoak(f, soakImatrix, append(seedsOf(f, allSpecimens(f)), legacySpecimen().b))
}

func FuzzJournal(f *testing.F) { fuzzSoak(f, soakJournal, seedsOf(f, journalSpecimens())) }

// rewrite writes what was read and reads it again: all must be there.
func rewrite(t *testing.T, r *Reader, b []byte) {
	if r.Alignment() < 8 {
		return // read, but not written
	}
	opts := DefaultWriterOptions()
	opts.Alignment, opts.Workers = r.Alignment(), 1
	again := open(t, write(t, opts, func(w *Writer) {
		for key, v := range r.All() {
			w.Set(key, v)
		}
		for _, x := range r.Tensors() {
			if err := w.AddTensor(x.TensorInfo, Copied(x, x.Type)); err != nil {
				t.Fatal(err)
			}
		}
	}))
	keys := r.Len()
	if again.Len() != keys {
		t.Errorf("%d tensors of %d", again.Len(), keys)
	}
	for key, v := range r.All() {
		if w, ok := again.Value(key); key != "general.alignment" && (!ok || w.String() != v.String() || w.Kind() != v.Kind()) {
			t.Errorf("%s: %v became %v", key, v, w)
		}
	}
}
