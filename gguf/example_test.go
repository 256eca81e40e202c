package gguf_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/gguf"
)

func Example() {
	dir, err := os.MkdirTemp("", "gguf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, "model.gguf"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()

	w, err := gguf.NewWriter(file, gguf.DefaultWriterOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	w.SetString("general.architecture", "phi3")
	weights := make([]float32, 2*256)
	for i := range weights {
		weights[i] = float32(i%64) / 64
	}
	info := gguf.TensorInfo{Name: "output.weight", Type: gguf.Q6_K, Shape: []int{2, 256}}
	if err := w.AddTensor(info, gguf.Values(weights)); err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Close(context.Background()); err != nil {
		fmt.Println(err)
		return
	}

	size, _ := file.Seek(0, 2)
	r, err := gguf.NewReader(file, size, gguf.DefaultReaderOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	for name, t := range r.Tensors() {
		got, err := t.Float32()
		fmt.Printf("%s %v %v %.2f %v\n", name, t.Type, t.Shape, got[32], err)
	}
	// Output: output.weight Q6_K [2 256] 0.50 <nil>
}

func ExampleSplitFile() {
	dir, err := os.MkdirTemp("", "gguf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	whole := filepath.Join(dir, "whole.gguf")
	if err := writeSmall(whole); err != nil {
		fmt.Println(err)
		return
	}
	parts, err := gguf.SplitFile(context.Background(), whole, filepath.Join(dir, "part"), gguf.SplitOptions{MaxTensors: 1}, gguf.Env{})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := gguf.OpenFile(parts[0], gguf.DefaultReaderOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	fmt.Println(filepath.Base(parts[0]), f.Len(), "tensors")
	// Output: part-00001-of-00003.gguf 3 tensors
}

func ExampleEditFile() {
	dir, err := os.MkdirTemp("", "gguf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.gguf")
	if err := writeSmall(path); err != nil {
		fmt.Println(err)
		return
	}
	set := func(m *gguf.Metadata) error { m.SetString("general.name", "Phi-3, renamed"); return nil }
	for range 2 { // the copy that the first edit needs keeps room for the second
		report, err := gguf.EditFile(context.Background(), path, set, gguf.DefaultEditOptions(), gguf.Env{})
		fmt.Println(report.InPlace, err)
	}
	// Output:
	// false <nil>
	// true <nil>
}

// writeSmall writes a file of three tensors.
func writeSmall(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := gguf.NewWriter(file, gguf.DefaultWriterOptions())
	if err != nil {
		return err
	}
	w.SetString("general.architecture", "phi3")
	for _, name := range []string{"a", "b", "c"} {
		if err := w.AddTensor(gguf.TensorInfo{Name: name, Type: gguf.F16, Shape: []int{2, 4}}, gguf.Values(make([]float32, 8))); err != nil {
			return err
		}
	}
	if err := w.Close(context.Background()); err != nil {
		return err
	}
	return file.Close()
}
