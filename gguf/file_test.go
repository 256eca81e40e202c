package gguf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// memory is an io.WriterAt over a growing slice.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// serial hides memory's races: parts may be written at the same time.
func serial(m *memory) io.WriterAt { return SeekWriterAt(&memorySeeker{m: m}) }

type memorySeeker struct {
	m  *memory
	at int64
}

func (s *memorySeeker) Seek(off int64, _ int) (int64, error) { s.at = off; return off, nil }
func (s *memorySeeker) Write(p []byte) (int, error) {
	n, err := s.m.WriteAt(p, s.at)
	s.at += int64(n)
	return n, err
}

func open(t testing.TB, b []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), DefaultReaderOptions())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write makes a file in memory.
func write(t testing.TB, opts WriterOptions, fill func(w *Writer)) []byte {
	t.Helper()
	m := &memory{}
	w, err := NewWriter(serial(m), opts)
	if err != nil {
		t.Fatal(err)
	}
	fill(w)
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m.b
}

func allValues() []Value {
	return []Value{
		ValueOf(uint8(200)), ValueOf(int8(-100)), ValueOf(uint16(60000)), ValueOf(int16(-30000)),
		ValueOf(uint32(4e9)), ValueOf(int32(-2e9)), ValueOf(float32(math.Pi)), ValueOf(true), ValueOf("五\x00"),
		ValueOf(uint64(math.MaxUint64)), ValueOf(int64(math.MinInt64)), ValueOf(math.E),
		ArrayOf([]uint8{1, 255}), ArrayOf([]int8{-1, 127}), ArrayOf([]uint16{1, 65535}), ArrayOf([]int16{-2}),
		ArrayOf([]uint32{7}), ArrayOf([]int32{-7, 7}), ArrayOf([]float32{0.5, float32(math.Inf(1))}),
		ArrayOf([]bool{true, false}), ArrayOf([]string{"", "a", "日本"}), ArrayOf([]uint64{1 << 63}),
		ArrayOf([]int64{-1 << 62}), ArrayOf([]float64{1e300}), ArrayOf([]string{}), ValueOf(""),
	}
}

func TestValuesRoundTrip(t *testing.T) {
	for _, big := range []bool{false, true} {
		opts := DefaultWriterOptions()
		opts.BigEndian = big
		values := allValues()
		b := write(t, opts, func(w *Writer) {
			for i, v := range values {
				w.Set("k."+string(rune('a'+i)), v)
			}
		})
		r := open(t, b)
		if r.BigEndian() != big || r.Version() != 3 || r.Len() != 0 {
			t.Fatalf("big %v, version %d, %d tensors", r.BigEndian(), r.Version(), r.Len())
		}
		i := 0
		for key, v := range r.All() {
			if key != "k."+string(rune('a'+i)) || v.Kind() != values[i].Kind() || v.Elem() != values[i].Elem() || !reflect.DeepEqual(v.Any(), values[i].Any()) {
				t.Errorf("big %v, %s: %v %v, want %v %v", big, key, v.Kind(), v, values[i].Kind(), values[i])
			}
			i++
		}
		if i != len(values) {
			t.Errorf("%d of %d values", i, len(values))
		}
	}
}

func randomWeights(n int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// fillTypes adds one tensor of each type, with sizes that need padding.
func fillTypes(t testing.TB, w *Writer, x []float32) {
	for i, typ := range encodable {
		shape := []int{3, 512}
		if typ.BlockSize() == 1 {
			shape = []int{3, 1, 5}
		}
		if i%3 == 0 {
			shape = shape[len(shape)-1:]
		}
		n, _ := elements(shape)
		if err := w.AddTensor(TensorInfo{Name: "t." + typ.String(), Type: typ, Shape: shape}, Values(x[:n])); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTensorsRoundTrip(t *testing.T) {
	x := randomWeights(3 * 512)
	for _, alignment := range []uint32{8, 32, 4096} {
		for _, big := range []bool{false, true} {
			opts := DefaultWriterOptions()
			opts.Alignment, opts.BigEndian = alignment, big
			r := open(t, write(t, opts, func(w *Writer) { fillTypes(t, w, x) }))
			if r.Alignment() != alignment || r.Len() != len(encodable) {
				t.Fatalf("alignment %d, %d tensors", r.Alignment(), r.Len())
			}
			checkTensors(t, r, x)
		}
	}
}

func checkTensors(t *testing.T, r *Reader, x []float32) {
	t.Helper()
	for name, tensor := range r.Tensors() {
		got, err := tensor.Float32()
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, len(got))
		if err := Dequantize(tensor.Type, want, quantized(t, tensor.Type, x[:len(got)], len(got), nil)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: weights changed", name)
		}
		if tensor.Offset%int64(r.Alignment()) != 0 {
			t.Errorf("%s at %d", name, tensor.Offset)
		}
	}
}

// The bytes between tensors and behind the last are zero whatever was there before.
func TestPadding(t *testing.T) {
	m := &memory{b: bytes.Repeat([]byte{0xff}, 4096)}
	opts := DefaultWriterOptions()
	opts.Alignment = 128
	w, err := NewWriter(serial(m), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := w.AddTensor(TensorInfo{Name: name, Type: F16, Shape: []int{3}}, Values([]float32{1, 2, 3})); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, x := range w.Tensors() {
		if x.Size != 6 || !bytes.Equal(m.b[x.Offset+6:x.Offset+128], make([]byte, 122)) {
			t.Errorf("%s at %d is followed by %x", x.Name, x.Offset, m.b[x.Offset+6:x.Offset+16])
		}
	}
}

// Both directions could forget to turn the bytes, so they are looked at.
func TestBigEndianBytes(t *testing.T) {
	opts := DefaultWriterOptions()
	opts.BigEndian = true
	x := make([]float32, 256)
	x[0] = -127 // the scale of its block of Q8_0 is 1
	r := open(t, write(t, opts, func(w *Writer) {
		for _, typ := range []Type{F32, F16, BF16, Q8_0} {
			_ = w.AddTensor(TensorInfo{Name: typ.String(), Type: typ, Shape: []int{256}}, Values(x))
		}
	}))
	for name, want := range map[string][]byte{"F32": {0xc2, 0xfe, 0, 0}, "F16": {0xd7, 0xf0}, "BF16": {0xc2, 0xfe}, "Q8_0": {0x3c, 0, 0x81}} {
		tensor, _ := r.Tensor(name)
		got, _ := io.ReadAll(tensor.Section())
		if !bytes.HasPrefix(got, want) {
			t.Errorf("%s starts with %x, want %x", name, got[:4], want)
		}
	}
}

func TestReadPartOfTensor(t *testing.T) {
	x := randomWeights(40 * 1024)
	b := write(t, DefaultWriterOptions(), func(w *Writer) {
		if err := w.AddTensor(TensorInfo{Name: "a", Type: Q5_K, Shape: []int{40, 1024}}, Values(x)); err != nil {
			t.Fatal(err)
		}
	})
	tensor, _ := open(t, b).Tensor("a")
	all, err := tensor.Float32()
	if err != nil {
		t.Fatal(err)
	}
	part := make([]float32, 768)
	if err := tensor.ReadFloat32(30*1024, part); err != nil || !slices.Equal(part, all[30*1024:][:768]) {
		t.Errorf("a part differs: %v", err)
	}
	for _, bad := range [][2]int{{1, 256}, {0, 100}, {40 * 1024, 256}, {-256, 256}} {
		if err := tensor.ReadFloat32(bad[0], make([]float32, bad[1])); !errors.Is(err, ErrFormat) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// The bytes must not hang on who quantizes which part.
func TestWorkersDoNotChangeBytes(t *testing.T) {
	x := randomWeights(1 << 20)
	v := make([]float32, 4096)
	for i := range v {
		v[i] = float32(i%9) + 0.5
	}
	var first []byte
	for _, workers := range []int{1, 2, 7} {
		for _, memory := range []int64{1 << 20, 256 << 20} {
			opts := DefaultWriterOptions()
			opts.Workers, opts.MemoryBytes = workers, memory
			b := write(t, opts, func(w *Writer) {
				_ = w.AddTensor(TensorInfo{Name: "a", Type: Q4_0, Shape: []int{256, 4096}}, Values(x))
				s := Values(x)
				s.Imatrix = v
				_ = w.AddTensor(TensorInfo{Name: "b", Type: Q5_1, Shape: []int{256, 4096}}, s)
			})
			if first == nil {
				first = b
			}
			if !bytes.Equal(first, b) {
				t.Errorf("%d workers, %d bytes: another file", workers, memory)
			}
		}
	}
}

func TestCopiedTensors(t *testing.T) {
	x := randomWeights(3 * 512)
	opts := DefaultWriterOptions()
	opts.BigEndian = true
	big := open(t, write(t, opts, func(w *Writer) { fillTypes(t, w, x) }))
	copied := write(t, DefaultWriterOptions(), func(w *Writer) {
		for _, tensor := range big.Tensors() {
			if err := w.AddTensor(tensor.TensorInfo, Copied(tensor, tensor.Type)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !bytes.Equal(copied, write(t, DefaultWriterOptions(), func(w *Writer) { fillTypes(t, w, x) })) {
		t.Error("a big-endian file copied to little-endian differs from one written so")
	}
}

func TestWriterRefuses(t *testing.T) {
	x := Values(make([]float32, 512))
	long := string(bytes.Repeat([]byte{'n'}, 64))
	cases := []struct {
		name string
		info TensorInfo
		src  Source
		want error
	}{
		{"long name", TensorInfo{long, Q8_0, []int{512}, 0, 0}, x, ErrFormat},
		{"no name", TensorInfo{"", Q8_0, []int{512}, 0, 0}, x, ErrFormat},
		{"five dimensions", TensorInfo{"a", F32, []int{1, 1, 1, 1, 1}, 0, 0}, x, ErrFormat},
		{"negative dimension", TensorInfo{"a", F32, []int{-1}, 0, 0}, x, ErrFormat},
		{"overflow", TensorInfo{"a", F32, []int{math.MaxInt, math.MaxInt, math.MaxInt}, 0, 0}, x, ErrFormat},
		{"overflow behind a zero", TensorInfo{"a", F32, []int{0, math.MaxInt, math.MaxInt, math.MaxInt}, 0, 0}, x, ErrFormat},
		{"ragged row", TensorInfo{"a", Q5_K, []int{2, 192}, 0, 0}, x, ErrFormat},
		{"no source", TensorInfo{"a", F32, []int{1}, 0, 0}, Source{}, ErrOption},
		{"unknown type", TensorInfo{"a", 99, []int{1}, 0, 0}, x, ErrUnsupported},
		{"weights for a copied type", TensorInfo{"a", I8, []int{1}, 0, 0}, x, ErrUnsupported},
		{"short imatrix", TensorInfo{"a", Q8_0, []int{512}, 0, 0}, Source{Float32: x.Float32, Imatrix: make([]float32, 3)}, ErrFormat},
		{"duplicate", TensorInfo{"dup", F32, []int{1}, 0, 0}, x, ErrFormat},
	}
	w, err := NewWriter(&memory{}, DefaultWriterOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddTensor(TensorInfo{Name: "dup", Shape: []int{1}}, x); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var te *TensorError
		if err := w.AddTensor(c.info, c.src); !errors.Is(err, c.want) || !errors.As(err, &te) || te.Tensor != c.info.Name {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, o := range []WriterOptions{{}, {Alignment: 48, MemoryBytes: 1 << 20}, {Alignment: 4, MemoryBytes: 1 << 20}, {Alignment: 32}, {Alignment: 32, MemoryBytes: 1 << 20, Workers: -1}} {
		if _, err := NewWriter(&memory{}, o); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestCloseErrors(t *testing.T) {
	broken := errors.New("broken")
	fail := Source{Float32: func(first int, dst []float32) error {
		if first > 0 {
			return broken
		}
		return nil
	}}
	nan := Source{Float32: func(first int, dst []float32) error {
		if first > 0 {
			dst[5] = float32(math.NaN())
		}
		return nil
	}}
	shape := []int{1 << 10, 1 << 10}
	for name, c := range map[string]struct {
		src  Source
		want error
	}{"source": {fail, broken}, "NaN": {nan, ErrNumber}} {
		w, _ := NewWriter(serial(&memory{}), DefaultWriterOptions())
		if err := w.AddTensor(TensorInfo{Name: "a", Type: Q8_0, Shape: shape}, c.src); err != nil {
			t.Fatal(err)
		}
		var te *TensorError
		err := w.Close(context.Background())
		if !errors.Is(err, c.want) || !errors.As(err, &te) || te.Tensor != "a" {
			t.Errorf("%s: %v", name, err)
		}
		var n *NumberError
		if errors.As(err, &n) && (n.Index < 1<<18 || n.Index%(1<<18) != 5) {
			t.Errorf("the index %d is not within the tensor", n.Index)
		}
		if err := w.Close(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w, _ := NewWriter(serial(&memory{}), DefaultWriterOptions())
	_ = w.AddTensor(TensorInfo{Name: "a", Type: Q8_0, Shape: shape}, nan)
	if err := w.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestLookup(t *testing.T) {
	var m Metadata
	m.SetUint32("n", 7)
	m.SetStrings("s", []string{"a"})
	if v, err := Lookup[uint32](&m, "n"); v != 7 || err != nil {
		t.Error(v, err)
	}
	if _, err := Lookup[uint32](&m, "x"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := Lookup[string](&m, "n"); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	if v, err := LookupArray[string](&m, "s"); len(v) != 1 || err != nil {
		t.Error(v, err)
	}
	if _, err := LookupArray[int32](&m, "s"); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	if n, err := m.LookupInteger("n"); n != 7 || err != nil {
		t.Error(n, err)
	}
	m.SetInt64("n", -1)
	if _, err := m.LookupInteger("n"); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	m.Delete("n")
	if m.Len() != 1 {
		t.Error(m.Len())
	}
}
