package phi3gen

import (
	"testing"
	"testing/fstest"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// The virtual directory holds the tensors of the real one, of the same shapes, and
// the same weights however they are read.
func TestVirtual(t *testing.T) {
	s := Shape{Hidden: 64, Heads: 2, KVHeads: 1, Layers: 3, MLP: 512, Vocab: 2048, EOS: 5, Seed: 1}
	v, err := NewVirtual(s, fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := safetensors.OpenModel(v)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if len(m.Tensors()) != len(s.tensors()) {
		t.Errorf("%d tensors", len(m.Tensors()))
	}
	for _, want := range s.tensors() {
		all, err := m.Float32(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]float32, len(all)/2)
		if err := m.ReadFloat32(want.Name, len(all)-len(part), part); err != nil {
			t.Fatal(err)
		}
		different := map[float32]bool{}
		for i, x := range part {
			if x != all[len(all)-len(part)+i] {
				t.Fatalf("%s: element %d differs", want.Name, i)
			}
			different[x] = true
		}
		if len(different) < min(len(part), 300)/3 {
			t.Errorf("%s: only %d different weights", want.Name, len(different))
		}
	}
	n := int64(0)
	for _, x := range Mini().tensors() {
		e := int64(1)
		for _, d := range x.Shape {
			e *= int64(d)
		}
		n += e
	}
	if n != 3_821_079_552 {
		t.Errorf("%d weights", n)
	}
}
