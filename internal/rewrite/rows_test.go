package rewrite

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// TestBytesDoNotDependOnProcessors writes matrices whose last rows do not fill a
// chunk, on one processor and on several.
func TestBytesDoNotDependOnProcessors(t *testing.T) {
	const rows, cols = 1000, 7
	src := make([]float32, rows*cols)
	for i := range src {
		src[i] = float32(i%513) / 7
	}
	for _, typ := range []safetensors.DType{"F32", "F16", "BF16"} {
		info := safetensors.Info{Name: "w", DType: typ, Shape: []int{rows, cols}}
		run := func(processors int) (out []byte, firsts []int) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			var w bytes.Buffer
			err := Rows(&w, info, func(first int, dst []float32) error {
				copy(dst, src[first:])
				return nil
			}, func(first int, part []float32) (int, error) {
				for i := range part {
					part[i] += float32(first)
				}
				return first, nil
			}, func(first int) { firsts = append(firsts, first) })
			if err != nil {
				t.Fatal(err)
			}
			return w.Bytes(), firsts
		}
		want, order := run(1)
		got, sameOrder := run(5)
		if !bytes.Equal(got, want) || !slices.Equal(order, sameOrder) || !slices.IsSorted(order) {
			t.Errorf("%s: %d bytes in order %v, want %d in order %v", typ, len(got), sameOrder, len(want), order)
		}
		changed := slices.Clone(src)
		for i := range changed {
			changed[i] += float32(i / cols / chunkRows * chunkRows)
		}
		var plain bytes.Buffer
		if err := encoded(typ, changed).Data(&plain); err != nil || !bytes.Equal(plain.Bytes(), want) {
			t.Errorf("%s: the rows are not the changed ones: %v", typ, err)
		}
	}
}

func TestRowsFail(t *testing.T) {
	broken := errors.New("broken")
	fine := safetensors.Info{Name: "w", DType: "F32", Shape: []int{200, 3}}
	read := func(int, []float32) error { return nil }
	change := func(int, []float32) (bool, error) { return false, nil }
	for name, run := range map[string]func() error{
		"read": func() error {
			return Rows(new(bytes.Buffer), fine, func(int, []float32) error { return broken }, change, func(bool) {})
		},
		"change": func() error {
			return Rows(new(bytes.Buffer), fine, read, func(int, []float32) (bool, error) { return false, broken }, func(bool) {})
		},
		"write": func() error { return Rows(fails{broken}, fine, read, change, func(bool) {}) },
	} {
		if err := run(); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, info := range []safetensors.Info{{Name: "w", DType: "I8", Shape: []int{2, 3}}, {Name: "w", DType: "F32", Shape: []int{6}}} {
		var typ *TypeError
		if err := Rows(new(bytes.Buffer), info, read, change, func(bool) {}); !errors.As(err, &typ) || typ.Info.Name != "w" {
			t.Errorf("%+v: %v", info, err)
		}
	}
}

type fails struct{ err error }

func (f fails) Write([]byte) (int, error) { return 0, f.err }
