package safetensors

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

// The reference implementation's own file, copied tensor by tensor, gives its
// own bytes: header spelling, padding and order are the same.
func TestCopyOfTheReferenceFileIsByteEqual(t *testing.T) {
	want, err := os.ReadFile("testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	r := reference(t)
	var tensors []Tensor
	for _, info := range r.Tensors() {
		sec, err := r.Section(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, CopyTensor(info, sec))
	}
	var got bytes.Buffer
	if err := Write(&got, tensors, r.Metadata()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("bytes differ:\n%.300q\n%.300q", got.Bytes(), want)
	}
}

// With BOREA_SAFETENSORS_PYTHON, a Python that has safetensors, that library
// reads a file of ours.
func TestReferenceImplementationReadsOurs(t *testing.T) {
	python := os.Getenv("BOREA_SAFETENSORS_PYTHON")
	if python == "" {
		t.Skip("BOREA_SAFETENSORS_PYTHON is not set")
	}
	path := filepath.Join(t.TempDir(), "ours.safetensors")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = Write(f, []Tensor{
		F32Tensor("日本", []int{2, 1}, []float32{1, 2}), F16Tensor("h", []int{}, []float32{1}), BF16Tensor("none", []int{0, 3}, nil),
	}, map[string]string{"k<&>": "v"})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "testdata/make_vectors.py", "check", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got, want any
	_ = json.Unmarshal(out, &got)
	_ = json.Unmarshal([]byte(`{"metadata":{"k<&>":"v"},"tensors":{"日本":["F32",[2,1],8],"h":["F16",[],2],"none":["BF16",[0,3],0]}}`), &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %s", out)
	}
}
