package gguf

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// A mutator makes hostile files of sound ones, the same from the same seed. It
// knows where a file keeps its counts, lengths, types and offsets, because a
// random byte hardly ever hits one.
type mutator struct {
	state uint64
	buf   []byte
}

// next is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
// Generators, OOPSLA 2014).
func (m *mutator) next() uint64 {
	m.state += 0x9e3779b97f4a7c15
	z := m.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (m *mutator) intn(n int) int { return int(m.next() % uint64(max(n, 1))) }

// A specimen is a sound file with the places of its numbers.
type specimen struct {
	b      []byte
	order  binary.ByteOrder
	fields []field
}

// A field is a count, length, type, dimension or offset.
type field struct{ at, width int }

// edges are what breaks arithmetic.
var edges = []uint64{0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 30, 31, 32, 33, 63, 64, 255, 256, 1 << 16, 1<<20 + 1, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32,
	1 << 40, 1 << 58, 1 << 60, 1 << 61, 1 << 62, math.MaxInt64 - 31, math.MaxInt64, 1 << 63, math.MaxUint64 - 31, math.MaxUint64}

// mutate returns s, changed in one way or, half as often each, in one more; other
// lends bytes. The result is valid until the next call.
func (m *mutator) mutate(s, other *specimen) []byte {
	m.buf = append(m.buf[:0], s.b...)
	for range 1 + bits.TrailingZeros8(uint8(m.next())|1<<4) {
		m.change(s, other)
	}
	return m.buf
}

func (m *mutator) change(s, other *specimen) {
	b := m.buf
	if len(b) == 0 {
		return
	}
	switch m.intn(10) {
	case 0:
		m.buf = b[:m.intn(len(b))]
	case 1:
		b[m.intn(len(b))] ^= 1 << m.intn(8)
	case 2:
		b[m.intn(len(b))] = byte(m.next())
	case 3: // bytes of another file over this one's
		from := other.b[m.intn(len(other.b)):]
		copy(b[m.intn(len(b)):], from[:min(len(from), 1+m.intn(64))])
	case 4: // a stretch twice, or gone
		at, n := m.intn(len(b)), m.intn(40)
		end := min(at+n, len(b))
		if m.intn(2) == 0 {
			m.buf = slices.Delete(b, at, end)
		} else {
			m.buf = slices.Insert(b, at, slices.Clone(b[at:end])...)
		}
	default:
		m.field(s)
	}
}

// field overwrites a number with an edge, a neighbour or what would reach the end.
func (m *mutator) field(s *specimen) {
	if len(s.fields) == 0 {
		return
	}
	f := s.fields[m.intn(len(s.fields))]
	if f.at+f.width > len(m.buf) {
		return
	}
	v := edges[m.intn(len(edges))]
	switch m.intn(5) {
	case 0:
		v = s.get(m.buf, f) + uint64(m.intn(9)) - 4
	case 1:
		v = uint64(len(m.buf)-f.at) + uint64(m.intn(17)) - 8
	case 2:
		v = uint64(m.intn(48))
	}
	s.put(m.buf, f, v)
}

func (s *specimen) get(b []byte, f field) uint64 {
	switch f.width {
	case 2:
		return uint64(s.order.Uint16(b[f.at:]))
	case 4:
		return uint64(s.order.Uint32(b[f.at:]))
	}
	return s.order.Uint64(b[f.at:])
}

func (s *specimen) put(b []byte, f field, v uint64) {
	switch f.width {
	case 2:
		s.order.PutUint16(b[f.at:], uint16(v))
	case 4:
		s.order.PutUint32(b[f.at:], uint32(v))
	default:
		s.order.PutUint64(b[f.at:], v)
	}
}

// newSpecimen finds the numbers of a sound file.
func newSpecimen(b []byte) *specimen {
	s := &specimen{b: b, order: binary.LittleEndian}
	if b[4] == 0 {
		s.order = binary.BigEndian
	}
	w := &walker{s: s, at: 4}
	v1 := w.number(4) == 1
	w.length = 8
	if v1 {
		w.length = 4
	}
	tensors, keys := w.number(w.length), w.number(w.length)
	for range keys {
		w.skip(int(w.number(w.length)))
		w.value(Kind(w.number(4)), v1)
	}
	for range tensors {
		w.skip(int(w.number(w.length)))
		for range w.number(4) {
			w.number(w.length)
		}
		w.number(4)
		w.number(8)
	}
	return s
}

type walker struct {
	s          *specimen
	at, length int
}

func (w *walker) number(width int) uint64 {
	f := field{w.at, width}
	w.s.fields = append(w.s.fields, f)
	w.at += width
	return w.s.get(w.s.b, f)
}

func (w *walker) skip(n int) { w.at += n }

func (w *walker) value(k Kind, v1 bool) {
	switch k {
	case KindArray:
		elem, n := Kind(w.number(4)), w.number(w.length)
		if elem != KindString {
			w.skip(int(n) * int(elem.size(v1)))
			return
		}
		for range n {
			w.skip(int(w.number(w.length)))
		}
	case KindString:
		w.skip(int(w.number(w.length)))
	case KindUint8, KindInt8, KindBool:
		w.skip(1)
	default:
		w.number(int(k.size(v1)))
	}
}

// specimens are small sound files of every version, byte order and value type.
func specimens(write func(WriterOptions, func(*Writer)) []byte) []*specimen {
	var files [][]byte
	for _, opts := range []WriterOptions{
		{Alignment: 32, Workers: 1, MemoryBytes: 1 << 20}, {Alignment: 8, Workers: 1, MemoryBytes: 1 << 20},
		{Alignment: 64, BigEndian: true, Workers: 1, MemoryBytes: 1 << 20},
	} {
		files = append(files,
			write(opts, func(w *Writer) {
				for i, v := range allValues() {
					w.Set(string(rune('a'+i)), v)
				}
			}),
			write(opts, func(w *Writer) {
				w.SetString("general.architecture", "phi3")
				w.SetUint32("n", 7)
				_ = w.AddTensor(TensorInfo{Name: "a", Type: F32, Shape: []int{2, 3}}, Values(make([]float32, 6)))
				_ = w.AddTensor(TensorInfo{Name: "blk.0.b.weight", Type: Q8_0, Shape: []int{2, 1, 32}}, Values(make([]float32, 64)))
				_ = w.AddTensor(TensorInfo{Name: "c", Type: F16, Shape: []int{1, 1, 1, 1}}, Values(make([]float32, 1)))
				_ = w.AddTensor(TensorInfo{Name: "d", Type: BF16, Shape: []int{0}}, Values(nil))
			}),
			write(opts, func(w *Writer) {
				w.SetStrings("s", []string{"x", "", "yz"})
				_ = w.AddTensor(TensorInfo{Name: "k", Type: Q4_K, Shape: []int{256}}, Values(make([]float32, 256)))
			}),
			write(opts, func(w *Writer) {
				_ = w.AddTensor(TensorInfo{Name: "x.in_sum2", Type: F32, Shape: []int{1, 4}}, Values(make([]float32, 4)))
				_ = w.AddTensor(TensorInfo{Name: "x.counts", Type: F32, Shape: []int{1, 1}}, Values([]float32{2}))
			}))
	}
	files = append(files, versionOne(), versionTwo())
	out := make([]*specimen, len(files))
	for i, b := range files {
		out[i] = newSpecimen(b)
	}
	return out
}
