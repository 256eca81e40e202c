package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

type attack struct {
	Name      string `json:"name"`
	Hostile   bool   `json:"hostile"`
	Reference string `json:"reference"`
	File      []byte `json:"file"`
}

// attacks reads testdata/attacks.json, made by testdata/make_vectors.py.
func attacks(t testing.TB) []attack {
	t.Helper()
	data, err := os.ReadFile("testdata/attacks.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Cases []attack `json:"cases"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f.Cases
}

func open(b []byte) (*Reader, error) {
	return NewReader(bytes.NewReader(b), int64(len(b)), DefaultLimits())
}

func TestHostileFilesAreRefused(t *testing.T) {
	n := 0
	for _, a := range attacks(t) {
		if !a.Hostile {
			continue
		}
		n++
		if _, err := open(a.File); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", a.Name, err)
		}
	}
	if n < 60 {
		t.Errorf("only %d hostile files", n)
	}
}

func TestUnusualButValidFilesOpen(t *testing.T) {
	for _, a := range attacks(t) {
		if a.Hostile {
			continue
		}
		if _, err := open(a.File); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}

// stricter lists what doc.go says we refuse and the reference implementation
// does not; any other disagreement is a defect.
var stricter = map[string]bool{
	"header starts with a space": true, "name twice": true, "name twice through an escape": true,
	"unknown key in an entry": true, "nine dimensions": true, "sub-byte type": true,
}

func TestAgreesWithTheReferenceImplementation(t *testing.T) {
	for _, a := range attacks(t) {
		_, err := open(a.File)
		if agree := (err == nil) == (a.Reference == "ok"); agree == stricter[a.Name] {
			t.Errorf("%s: ours %v, reference %s", a.Name, err, a.Reference)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for name, want := range map[string]string{
		"dtype unknown": `tensor "a": unknown dtype F9`, "hole between tensors": `tensor "b": hole or overlap`,
		"shape larger than the data": "do not hold shape [5] of U8, 5 bytes", "data cut short": "may be truncated",
		"header length over 100 MB": "exceeds the limit of 100000000", "name twice": `tensor "a": appears twice`,
		"metadata value a number": `value of "k" is not a string`, "sub-byte type": "unknown dtype F4",
	} {
		_, err := open(file(t, name))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	for _, a := range attacks(t) {
		if a.Name == name {
			return a.File
		}
	}
	t.Fatalf("no case %q", name)
	return nil
}

func TestLimitsHold(t *testing.T) {
	b := file(t, "empty tensors between")
	for name, lim := range map[string]Limits{
		"header":     {HeaderBytes: 20, Tensors: 10, Dims: 8},
		"tensors":    {HeaderBytes: 1000, Tensors: 2, Dims: 8},
		"dimensions": {HeaderBytes: 1000, Tensors: 10, Dims: 0},
		"negative":   {HeaderBytes: -1, Tensors: 10, Dims: 8},
	} {
		if _, err := NewReader(bytes.NewReader(b), int64(len(b)), lim); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewReader(bytes.NewReader(b), int64(len(b)), Limits{HeaderBytes: 1000, Tensors: 3, Dims: 1}); err != nil {
		t.Error(err)
	}
}

// A claimed length is compared with the file before memory is taken for it.
func TestClaimedHeaderTakesNoMemory(t *testing.T) {
	b := append([]byte{0xff, 0xe0, 0xf5, 0x05, 0, 0, 0, 0}, "{}"...) // 99,999,999 bytes
	allocs := testing.Benchmark(func(b2 *testing.B) {
		b2.ReportAllocs()
		for b2.Loop() {
			if _, err := open(b); err == nil {
				b2.Fatal("no error")
			}
		}
	}).AllocedBytesPerOp()
	if allocs > 4096 {
		t.Errorf("%d bytes allocated", allocs)
	}
}

// The file may shrink between Stat and Read.
func TestFileShorterThanItsSizeIsAnError(t *testing.T) {
	var w bytes.Buffer
	if err := Write(&w, []Tensor{F32Tensor("a", []int{2}, []float32{1, 2})}, nil); err != nil {
		t.Fatal(err)
	}
	b := w.Bytes()
	for n := range b {
		r, err := NewReader(bytes.NewReader(b[:n]), int64(len(b)), DefaultLimits())
		if err == nil {
			err = r.CheckFinite(t.Context(), "a")
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func mustSection(t testing.TB, r *Reader, name string) io.Reader {
	t.Helper()
	s, err := r.Section(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzReader(f *testing.F) {
	for _, a := range attacks(f) {
		f.Add(a.File)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := open(b)
		if err != nil {
			return
		}
		var back []Tensor
		total := int64(0)
		for _, info := range r.Tensors() {
			total += info.Size
			sec, err := r.Section(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, sec); n != info.Size || err != nil {
				t.Fatalf("%s: %d of %d bytes, %v", info.Name, n, info.Size, err)
			}
			_, _ = r.Float32(info.Name)
			_ = r.CheckFinite(t.Context(), info.Name)
			back = append(back, CopyTensor(info, sec))
		}
		if total > int64(len(b)) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(b))
		}
		sameAgain(t, r, back)
	})
}

// sameAgain writes what was read and reads it once more.
func sameAgain(t *testing.T, r *Reader, tensors []Tensor) {
	var w bytes.Buffer
	if err := Write(&w, tensors, r.Metadata()); err != nil {
		t.Fatalf("write back: %v", err)
	}
	again, err := open(w.Bytes())
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	if len(again.Tensors()) != len(r.Tensors()) {
		t.Fatalf("%d tensors, had %d", len(again.Tensors()), len(r.Tensors()))
	}
	for i, info := range r.Tensors() {
		got := again.Tensors()[i]
		x, _ := io.ReadAll(mustSection(t, r, info.Name))
		y, _ := io.ReadAll(mustSection(t, again, info.Name))
		if got.Name != info.Name || got.DType != info.DType || !bytes.Equal(x, y) {
			t.Fatalf("tensor %d: %v, had %v", i, got, info)
		}
	}
}
