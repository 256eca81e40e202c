package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
)

// Reader gives access to the tensors of one file. It is safe for concurrent use
// when the io.ReaderAt is.
type Reader struct {
	r        io.ReaderAt
	tensors  []Info
	index    map[string]int
	metadata map[string]string
}

type rawInfo struct {
	DType   DType    `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets *[]int64 `json:"data_offsets"`
}

// NewReader reads and checks the header of a file of size bytes.
func NewReader(r io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	header, err := readHeader(r, size, lim)
	if err != nil {
		return nil, err
	}
	s := &Reader{r: r, index: map[string]int{}}
	if err := s.parse(header, lim); err != nil {
		return nil, err
	}
	return s, s.checkCover(int64(8+len(header)), size)
}

func readHeader(r io.ReaderAt, size int64, lim Limits) ([]byte, error) {
	var head [8]byte
	if size < 8 {
		return nil, &FormatError{Reason: fmt.Sprintf("file of %d bytes is too short; it may be truncated", size)}
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("safetensors: header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > uint64(lim.HeaderBytes) || n > uint64(size-8) {
		return nil, &FormatError{Reason: fmt.Sprintf("header of %d bytes in a file of %d; it may be truncated", n, size)}
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, 8); err != nil && err != io.EOF {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	if n == 0 || header[0] != '{' {
		return nil, &FormatError{Offset: 8, Reason: "header does not start with '{'"}
	}
	return header, nil
}

// parse walks the top-level object key by key, because a map would hide
// duplicate names and their order.
func (s *Reader) parse(header []byte, lim Limits) error {
	dec := json.NewDecoder(bytes.NewReader(header))
	if _, err := dec.Token(); err != nil {
		return badHeader(dec, err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return badHeader(dec, err)
		}
		name, _ := key.(string)
		if err := s.entry(dec, name, int64(8+len(header)), lim); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return badHeader(dec, err)
	}
	if rest := bytes.TrimRight(header[dec.InputOffset():], " "); len(rest) > 0 {
		return &FormatError{Offset: 8 + dec.InputOffset(), Reason: "text after the header object"}
	}
	return nil
}

func badHeader(dec *json.Decoder, err error) error {
	return &FormatError{Offset: 8 + dec.InputOffset(), Reason: "header: " + err.Error()}
}

func (s *Reader) entry(dec *json.Decoder, name string, dataStart int64, lim Limits) error {
	if name == "__metadata__" {
		if s.metadata != nil {
			return &FormatError{Tensor: name, Reason: "appears twice"}
		}
		if err := dec.Decode(&s.metadata); err != nil {
			return badHeader(dec, err)
		}
		return nil
	}
	var raw rawInfo
	if err := dec.Decode(&raw); err != nil {
		return badHeader(dec, err)
	}
	info, err := raw.info(name, dataStart, lim)
	if err != nil {
		return err
	}
	if _, dup := s.index[name]; dup {
		return &FormatError{Tensor: name, Offset: info.Offset, Reason: "appears twice"}
	}
	if len(s.tensors) >= lim.Tensors {
		return &FormatError{Tensor: name, Reason: fmt.Sprintf("more than %d tensors", lim.Tensors)}
	}
	s.index[name] = len(s.tensors)
	s.tensors = append(s.tensors, info)
	return nil
}

func (raw rawInfo) info(name string, dataStart int64, lim Limits) (Info, error) {
	bad := func(reason string) (Info, error) { return Info{}, &FormatError{Tensor: name, Reason: reason} }
	if raw.DType.Size() == 0 {
		return bad(fmt.Sprintf("unknown dtype %q", raw.DType))
	}
	if raw.Shape == nil || len(raw.Shape) > lim.Dims {
		return bad(fmt.Sprintf("shape of %d dimensions", len(raw.Shape)))
	}
	if raw.Offsets == nil || len(*raw.Offsets) != 2 {
		return bad("data_offsets must be two numbers")
	}
	begin, end := (*raw.Offsets)[0], (*raw.Offsets)[1]
	size, ok := checkedSize(raw.Shape, raw.DType.Size())
	if !ok {
		return bad(fmt.Sprintf("shape %v overflows", raw.Shape))
	}
	if begin < 0 || end < begin || end > math.MaxInt64-dataStart || end-begin != size {
		return bad(fmt.Sprintf("data_offsets [%d,%d] do not hold shape %v of %s, %d bytes", begin, end, raw.Shape, raw.DType, size))
	}
	return Info{Name: name, DType: raw.DType, Shape: raw.Shape, Offset: dataStart + begin, Size: size}, nil
}

// checkCover demands that the tensors tile the data without hole or overlap.
func (s *Reader) checkCover(pos, size int64) error {
	sorted := make([]Info, len(s.tensors))
	copy(sorted, s.tensors)
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := sorted[i], sorted[j]
		return a.Offset < b.Offset || a.Offset == b.Offset && a.Size < b.Size
	})
	for _, t := range sorted {
		if t.Offset != pos {
			return &FormatError{Tensor: t.Name, Offset: t.Offset, Reason: fmt.Sprintf("hole or overlap: expected to start at byte %d", pos)}
		}
		pos += t.Size
	}
	if pos != size {
		return &FormatError{Offset: size, Reason: fmt.Sprintf("tensors end at byte %d, the file at %d; it may be truncated", pos, size)}
	}
	return nil
}

// Tensors returns all tensors in file order. The slice must not be changed.
func (s *Reader) Tensors() []Info { return s.tensors }

// Info returns the description of a tensor.
func (s *Reader) Info(name string) (Info, bool) {
	i, ok := s.index[name]
	if !ok {
		return Info{}, false
	}
	return s.tensors[i], true
}

// Metadata returns the header's free-form strings, possibly nil.
func (s *Reader) Metadata() map[string]string { return s.metadata }

// Section returns a reader over a tensor's bytes.
func (s *Reader) Section(name string) (*io.SectionReader, error) {
	info, ok := s.Info(name)
	if !ok {
		return nil, &NotFoundError{name}
	}
	return io.NewSectionReader(s.r, info.Offset, info.Size), nil
}

// Float32 returns a whole F32, F16 or BF16 tensor as float32.
func (s *Reader) Float32(name string) ([]float32, error) {
	info, ok := s.Info(name)
	if !ok {
		return nil, &NotFoundError{name}
	}
	v := make([]float32, info.Elements())
	return v, s.ReadFloat32(name, 0, v)
}

// ReadFloat32 fills dst with the tensor's elements from index first on.
func (s *Reader) ReadFloat32(name string, first int, dst []float32) error {
	info, ok := s.Info(name)
	if !ok {
		return &NotFoundError{name}
	}
	widen, ok := wideners[info.DType]
	if !ok {
		return fmt.Errorf("safetensors: tensor %q is %s, want F32, F16 or BF16", name, info.DType)
	}
	if first < 0 || int64(first)+int64(len(dst)) > info.Elements() {
		return fmt.Errorf("safetensors: tensor %q has %d elements, asked for %d from %d", name, info.Elements(), len(dst), first)
	}
	elem := info.DType.Size()
	buf := make([]byte, min(len(dst)*elem, 1<<18))
	pos := info.Offset + int64(first)*int64(elem)
	for len(dst) > 0 {
		n := min(len(dst), len(buf)/elem)
		if m, err := s.r.ReadAt(buf[:n*elem], pos); m < n*elem {
			return fmt.Errorf("safetensors: tensor %q at byte %d: %w", name, pos+int64(m), err)
		}
		widen(dst[:n], buf)
		dst, pos = dst[n:], pos+int64(n*elem)
	}
	return nil
}
