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
