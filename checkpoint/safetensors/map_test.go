package safetensors

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"
)

func mappedModel(t *testing.T) (dir string, m *Model) {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, []Tensor{
		BF16Tensor("a", []int{3, 5}, make([]float32, 15)), F32Tensor("b", []int{2}, []float32{1, 2}), F32Tensor("none", []int{0}, nil),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SingleFile), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if m, err = OpenModel(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return dir, m
}

func TestMappedBytesAreTheFiles(t *testing.T) {
	_, m := mappedModel(t)
	if m.Mapped("b") != nil {
		t.Error("mapped without Map")
	}
	for range 2 {
		if err := m.Map(); err != nil {
			t.Skip(err)
		}
	}
	for _, info := range m.Tensors() {
		sec, err := m.Section(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(sec)
		if got := m.Mapped(info.Name); err != nil || !bytes.Equal(got, want) || cap(got) != len(want) {
			t.Errorf("%s: %x of capacity %d, want %x: %v", info.Name, got, cap(got), want, err)
		}
	}
	if m.Mapped("absent") != nil {
		t.Error("an absent tensor is mapped")
	}
	if err := m.Close(); err != nil || m.Mapped("b") != nil {
		t.Errorf("after Close: %v, %v", err, m.Mapped("b"))
	}
}

func TestWhatIsNoFileOfTheSystemIsNotMapped(t *testing.T) {
	dir, _ := mappedModel(t)
	b, err := os.ReadFile(filepath.Join(dir, SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenModel(fstest.MapFS{SingleFile: {Data: b}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Map(); !errors.Is(err, ErrNotMappable) || m.Mapped("b") != nil {
		t.Errorf("%v, %v", err, m.Mapped("b"))
	}
}

func TestShortenedFileIsNotMapped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file is not shortened there")
	}
	dir, m := mappedModel(t)
	if err := os.Truncate(filepath.Join(dir, SingleFile), 40); err != nil {
		t.Fatal(err)
	}
	var shard *ShardError
	if err := m.Map(); errors.Is(err, ErrNotMappable) {
		t.Skip(err)
	} else if !errors.Is(err, ErrChanged) || !errors.As(err, &shard) || shard.Shard != SingleFile || m.Mapped("b") != nil {
		t.Errorf("%v", err)
	}
}
