package safetensors

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
)

func TestWriteReadsBack(t *testing.T) {
	f := []float32{1, -2.5, float32(math.Pi), 0, 5, 6}
	r := written(t, F32Tensor("z", []int{2, 3}, f), BF16Tensor("a", []int{6}, f), F16Tensor("m", []int{1, 6}, f), F32Tensor("none", []int{0}, nil))
	var names []string
	for _, info := range r.Tensors() {
		names = append(names, info.Name)
	}
	if !reflect.DeepEqual(names, []string{"z", "a", "m", "none"}) {
		t.Errorf("order %v", names)
	}
	if v, err := r.Float32("z"); err != nil || !reflect.DeepEqual(v, f) {
		t.Errorf("z: %v %v", v, err)
	}
	part := make([]float32, 2)
	if err := r.ReadFloat32("m", 1, part); err != nil || part[0] != -2.5 || part[1] != FromF16(F16(math.Pi)) {
		t.Errorf("m: %v %v", part, err)
	}
}

func TestDataStartsAtAMultipleOf8AndEqualInputGivesEqualBytes(t *testing.T) {
	meta := map[string]string{"b": "2", "a": "1", "日": "本<&>"}
	var first []byte
	for i := range 20 {
		var w bytes.Buffer
		if err := Write(&w, []Tensor{F32Tensor("x<y>", []int{1}, []float32{1})}, meta); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = w.Bytes()
		}
		if !bytes.Equal(first, w.Bytes()) {
			t.Fatal("bytes differ")
		}
	}
	r, err := open(first)
	if err != nil || r.Tensors()[0].Offset%8 != 0 || !reflect.DeepEqual(r.Metadata(), meta) || r.Tensors()[0].Name != "x<y>" {
		t.Errorf("%v %v %v", r, err, meta)
	}
}

func TestLargeTensorsStreamInPieces(t *testing.T) {
	v := make([]float32, 100_003)
	for i := range v {
		v[i] = float32(i)
	}
	r := written(t, F32Tensor("a", []int{len(v)}, v), BF16Tensor("b", []int{len(v)}, v))
	if got, err := r.Float32("a"); err != nil || !reflect.DeepEqual(got, v) {
		t.Error("a differs", err)
	}
	part := make([]float32, 70_000)
	if err := r.ReadFloat32("b", 30_003, part); err != nil || part[69_999] != FromBF16(BF16(100_002)) {
		t.Error(part[69_999], err)
	}
}

func TestWriteRefuses(t *testing.T) {
	one := []float32{1}
	good := F32Tensor("a", []int{1}, one)
	boom := errors.New("boom")
	for name, tensors := range map[string][]Tensor{
		"duplicate":        {good, good},
		"metadata name":    {F32Tensor(metadataKey, []int{1}, one)},
		"unknown type":     {{Info{Name: "a", DType: "F4", Shape: []int{1}}, good.Data}},
		"negative shape":   {F32Tensor("a", []int{-1}, one)},
		"overflow":         {F32Tensor("a", []int{math.MaxInt, math.MaxInt, 4}, one)},
		"sum overflow":     {bytesTensor("a", "U8", nil).sized(math.MaxInt / 2), bytesTensor("b", "U8", nil).sized(math.MaxInt / 2), bytesTensor("c", "U8", nil).sized(math.MaxInt / 2)},
		"too few bytes":    {F32Tensor("a", []int{2}, one)},
		"too many bytes":   {F32Tensor("a", []int{1}, []float32{1, 2})},
		"invalid name":     {F32Tensor("a\xff", []int{1}, one)},
		"replacement name": {F32Tensor("a\uFFFD", []int{1}, one)},
		"no data":          {{Info: Info{Name: "a", DType: "F32", Shape: []int{1}}}},
		"failing data":     {{Info{Name: "a", DType: "F32", Shape: []int{1}}, func(io.Writer) error { return boom }}},
	} {
		if err := Write(io.Discard, tensors, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Write(io.Discard, nil, map[string]string{"k": "\xff"}); err == nil {
		t.Error("invalid metadata: no error")
	}
}

func (t Tensor) sized(n int) Tensor { t.Shape = []int{n}; return t }

type fullDisk struct{ left int }

var errFull = errors.New("disk full")

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteReportsAFullDiskAtEveryByte(t *testing.T) {
	tensors := []Tensor{F32Tensor("a", []int{3}, []float32{1, 2, 3}), BF16Tensor("b", []int{1}, []float32{1})}
	var w bytes.Buffer
	if err := Write(&w, tensors, nil); err != nil {
		t.Fatal(err)
	}
	for n := range w.Len() {
		if err := Write(&fullDisk{n}, tensors, nil); !errors.Is(err, errFull) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func TestReadFloat32Refuses(t *testing.T) {
	r := written(t, F32Tensor("a", []int{4}, make([]float32, 4)), bytesTensor("i", "I32", make([]byte, 8)))
	for name, err := range map[string]error{
		"beyond the end": r.ReadFloat32("a", 3, make([]float32, 2)),
		"negative":       r.ReadFloat32("a", -1, make([]float32, 2)),
		"absent":         r.ReadFloat32("x", 0, nil),
		"integers":       r.ReadFloat32("i", 0, make([]float32, 1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var te *TypeError
	if _, err := r.Float32("i"); !errors.As(err, &te) {
		t.Error(err)
	}
	if _, err := r.Section("x"); err == nil {
		t.Error("absent section: no error")
	}
}
