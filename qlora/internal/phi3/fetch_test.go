package phi3

import (
	"os"
	"sync"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// TestFetchSideBySide: devices read rows of one tensor from several goroutines.
func TestFetchSideBySide(t *testing.T) {
	src, err := safetensors.OpenModel(os.DirFS("../../../examples/fullpipeline/model"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	const name, n, parts = "model.layers.0.mlp.gate_up_proj.weight", 1536 * 192, 16
	l := &loader{src: src}
	want, got := make([]float32, n), make([]float32, n)
	if err := l.fetch(name, 0, want); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() {
			if err := l.fetch(name, i*n/parts, got[i*n/parts:(i+1)*n/parts]); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i, v := range want {
		if got[i] != v {
			t.Fatalf("element %d is %v, want %v", i, got[i], v)
		}
	}
}
