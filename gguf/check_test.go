package gguf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// A NaN or an infinity put into the bytes of any type, anywhere, is found where it
// is; sound tensors pass.
func TestCheckTensors(t *testing.T) {
	for _, big := range []bool{false, true} {
		opts := DefaultWriterOptions()
		opts.BigEndian = big
		b := mixed(t, opts)
		for name, x := range open(t, b).Tensors() {
			if err := x.Check(context.Background()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			tr := typeTraits[x.Type]
			last := x.Size/int64(tr.bytes) - 1
			for _, at := range tr.swap16 {
				bad := bytes.Clone(b)
				order(big).PutUint16(bad[x.Offset+last*int64(tr.bytes)+int64(at):], 0x7f80|1)
				checkFound(t, bad, name, last*int64(tr.block))
			}
			if x.Type == F32 {
				bad := bytes.Clone(b)
				order(big).PutUint32(bad[x.Offset+4*last:], math.Float32bits(float32(math.Inf(-1))))
				checkFound(t, bad, name, last)
			}
		}
	}
}

func order(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func checkFound(t *testing.T, b []byte, name string, index int64) {
	t.Helper()
	x, _ := open(t, b).Tensor(name)
	var n *NumberError
	var te *TensorError
	if err := x.Check(context.Background()); !errors.As(err, &n) || !errors.As(err, &te) || n.Index != index || te.Tensor != name || isFinite(n.Value) {
		t.Errorf("%s: %v, want element %d", name, err, index)
	}
}

func isFinite(v float32) bool { return math.Float32bits(v)&exponent32 != exponent32 }

// Large tensors are read in parts, and a large bfloat16 is no infinity.
func TestCheckLargeTensor(t *testing.T) {
	x := make([]float32, 3*decodeChunk+7)
	x[5] = 1e37
	b := write(t, DefaultWriterOptions(), func(w *Writer) {
		for _, typ := range []Type{F32, BF16} {
			_ = w.AddTensor(TensorInfo{Name: typ.String(), Type: typ, Shape: []int{len(x)}}, Values(x))
		}
	})
	for name, size := range map[string]int64{"F32": 4, "BF16": 2} {
		tensor, _ := open(t, b).Tensor(name)
		if err := tensor.Check(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		bad := bytes.Clone(b)
		index := int64(len(x) - 2)
		binary.LittleEndian.PutUint16(bad[tensor.Offset+size*index+size-2:], 0x7f80)
		checkFound(t, bad, name, index)
	}
}

func TestCheckOtherTypes(t *testing.T) {
	b := write(t, DefaultWriterOptions(), func(w *Writer) {
		ones := bytes.NewReader(bytes.Repeat([]byte{0xff}, 64))
		for name, typ := range map[string]Type{"i16": I16, "i32": I32, "i64": I64, "f64": F64} {
			if err := w.AddTensor(TensorInfo{Name: name, Type: typ, Shape: []int{8}}, Encoded(ones)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, x := range open(t, b).Tensors() {
		if err := x.Check(context.Background()); (err != nil) != (name == "f64") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	x, _ := open(t, b).Tensor("f64")
	if err := x.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
