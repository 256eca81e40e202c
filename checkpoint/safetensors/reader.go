package safetensors

import (
	"fmt"
	"io"
	"math"
)

// Reader gives access to the tensors of one file. It is safe for concurrent use
// when the io.ReaderAt is.
type Reader struct {
	r        io.ReaderAt
	size     int64
	tensors  []Info
	index    map[string]int
	metadata map[string]string
}

// NewReader reads and checks the header of a file of size bytes. Everything that
// the header claims is checked here: a Reader's tensors lie inside the file, do
// not overlap and leave no gap. Errors wrap ErrFormat unless reading failed.
func NewReader(r io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	header, err := readHeader(r, size, lim)
	if err != nil {
		return nil, err
	}
	p, err := parseHeader(header, lim)
	if err != nil {
		return nil, err
	}
	if err := p.checkCover(size); err != nil {
		return nil, err
	}
	return &Reader{r: r, size: size, tensors: p.tensors, index: p.index, metadata: p.metadata}, nil
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
	if wideners[info.DType] == nil {
		return nil, &TypeError{name, info.DType}
	}
	if info.Elements() > math.MaxInt/4 { // on 32-bit machines
		return nil, fmt.Errorf("safetensors: tensor %q of %d elements does not fit in memory", name, info.Elements())
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
		return &TypeError{name, info.DType}
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
			return fmt.Errorf("safetensors: tensor %q at byte %d: %w", name, pos+int64(m), shortRead(err))
		}
		widen(dst[:n], buf)
		dst, pos = dst[n:], pos+int64(n*elem)
	}
	return nil
}
