package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func importanceFile(t testing.TB, counts float32) []byte {
	return write(t, DefaultWriterOptions(), func(w *Writer) {
		_ = w.AddTensor(TensorInfo{Name: "blk.0.ffn_up.weight.in_sum2", Shape: []int{1, 3}}, Values([]float32{2, 4, 0}))
		_ = w.AddTensor(TensorInfo{Name: "blk.0.ffn_up.weight.counts", Shape: []int{1, 1}}, Values([]float32{counts}))
	})
}

func legacyImportance(calls int32, v ...float32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 1)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = append(b, 'w')
	b = binary.LittleEndian.AppendUint32(b, uint32(calls))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return append(b, "trailing data set name"...)
}

func TestReadImatrix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imatrix")
	for _, c := range []struct {
		file []byte
		name string
		want []float32
	}{
		{importanceFile(t, 2), "blk.0.ffn_up.weight", []float32{1, 2, 0}},
		{importanceFile(t, 0), "blk.0.ffn_up.weight", []float32{1, 1, 1}},
		{legacyImportance(4, 4, 8), "w", []float32{1, 2}},
		{legacyImportance(0, 4, 8), "w", []float32{1, 1}},
	} {
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := ReadImatrixFile(path)
		if err != nil || len(m) != 1 || !slices.Equal(m[c.name], c.want) {
			t.Errorf("%s: %v %v", c.name, m, err)
		}
	}
}

func TestReadImatrixRefuses(t *testing.T) {
	plain := write(t, DefaultWriterOptions(), func(*Writer) {})
	experts := write(t, DefaultWriterOptions(), func(w *Writer) {
		_ = w.AddTensor(TensorInfo{Name: "e.in_sum2", Shape: []int{2, 3}}, Values(make([]float32, 6)))
		_ = w.AddTensor(TensorInfo{Name: "e.counts", Shape: []int{2, 1}}, Values(make([]float32, 2)))
	})
	alone := write(t, DefaultWriterOptions(), func(w *Writer) {
		_ = w.AddTensor(TensorInfo{Name: "e.in_sum2", Shape: []int{1, 3}}, Values(make([]float32, 3)))
	})
	path := filepath.Join(t.TempDir(), "imatrix")
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"a model": {plain, ErrNotFound}, "experts": {experts, ErrUnsupported}, "no counts": {alone, ErrNotFound},
		"infinite": {legacyImportance(1, float32(math.Inf(1))), ErrNumber}, "negative": {legacyImportance(1, -1), ErrNumber},
		"empty": {nil, ErrFormat}, "cut": {legacyImportance(1, 1, 2, 3)[:20], ErrFormat}, "huge": {bytes.Repeat([]byte{255}, 40), ErrFormat},
	} {
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadImatrixFile(path); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzLegacyImatrix(f *testing.F) {
	f.Add(legacyImportance(4, 4, 8))
	f.Add(bytes.Repeat([]byte{255}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadLegacyImatrix(bytes.NewReader(b), int64(len(b)))
		if err == nil && m == nil {
			t.Error("neither a result nor an error")
		}
	})
}
