package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const metadataKey = "__metadata__"

// readHeader returns the JSON text. Nothing is allocated before its claimed
// length has been compared with the limit and with the file.
func readHeader(r io.ReaderAt, size int64, lim Limits) ([]byte, error) {
	var head [8]byte
	if size < 8 {
		return nil, &FormatError{Reason: fmt.Sprintf("file of %d bytes is too short; it may be truncated", size)}
	}
	if n, err := r.ReadAt(head[:], 0); n < len(head) {
		return nil, fmt.Errorf("safetensors: header length: %w", shortRead(err))
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > uint64(max(0, lim.HeaderBytes)) {
		return nil, &FormatError{Reason: fmt.Sprintf("header of %d bytes exceeds the limit of %d; this is no safetensors file", n, lim.HeaderBytes)}
	}
	if n > uint64(size-8) {
		return nil, &FormatError{Reason: fmt.Sprintf("header of %d bytes in a file of %d; it may be truncated", n, size)}
	}
	header := make([]byte, n)
	if m, err := r.ReadAt(header, 8); m < len(header) {
		return nil, fmt.Errorf("safetensors: header at byte %d: %w", 8+m, shortRead(err))
	}
	if n == 0 || header[0] != '{' {
		return nil, &FormatError{Offset: 8, Reason: "header does not start with '{'"}
	}
	if !utf8.Valid(header) { // encoding/json would replace the bytes silently
		return nil, &FormatError{Offset: 8, Reason: "header is not valid UTF-8"}
	}
	return header, nil
}

func shortRead(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// headerParser walks the header token by token: decoding into maps and structs
// would hide duplicate keys, accept keys in the wrong case and lose the order.
type headerParser struct {
	dec       *json.Decoder
	lim       Limits
	dataStart int64
	tensors   []Info
	index     map[string]int
	metadata  map[string]string
	sawMeta   bool
}

func parseHeader(header []byte, lim Limits) (*headerParser, error) {
	p := &headerParser{
		dec: json.NewDecoder(bytes.NewReader(header)), lim: lim,
		dataStart: int64(8 + len(header)), index: map[string]int{},
	}
	p.dec.UseNumber()
	if err := p.object(p.member); err != nil {
		return nil, err
	}
	if rest := bytes.TrimRight(header[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, p.bad("", "text after the header object")
	}
	return p, nil
}

func (p *headerParser) bad(tensor, format string, args ...any) error {
	return &FormatError{Tensor: tensor, Offset: 8 + p.dec.InputOffset(), Reason: fmt.Sprintf(format, args...)}
}

func (p *headerParser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if err != nil {
		return nil, p.bad("", "header: %v", shortRead(err))
	}
	return t, nil
}

// object reads {"key": …} and calls member, which must consume the value.
func (p *headerParser) object(member func(key string) error) error {
	t, err := p.token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return p.bad("", "expected an object, found %v", t)
	}
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if strings.ContainsRune(key, utf8.RuneError) { // how encoding/json spells a lone surrogate
			return p.bad("", "key %q is not valid Unicode", key)
		}
		if err := member(key); err != nil {
			return err
		}
	}
	_, err = p.token()
	return err
}

func (p *headerParser) member(name string) error {
	if name == metadataKey {
		return p.readMetadata()
	}
	if _, dup := p.index[name]; dup {
		return p.bad(name, "appears twice")
	}
	if len(p.tensors) >= p.lim.Tensors {
		return p.bad(name, "more than %d tensors", p.lim.Tensors)
	}
	e := entry{p: p, name: name}
	if err := p.object(e.member); err != nil {
		return err
	}
	info, err := e.info()
	if err != nil {
		return err
	}
	p.index[name] = len(p.tensors)
	p.tensors = append(p.tensors, info)
	return nil
}

func (p *headerParser) readMetadata() error {
	if p.sawMeta {
		return p.bad(metadataKey, "appears twice")
	}
	p.sawMeta, p.metadata = true, map[string]string{}
	return p.object(func(key string) error {
		if _, dup := p.metadata[key]; dup {
			return p.bad(metadataKey, "key %q appears twice", key)
		}
		t, err := p.token()
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return p.bad(metadataKey, "value of %q is not a string", key)
		}
		p.metadata[key] = s
		return nil
	})
}

// entry is one tensor's description while it is being read.
type entry struct {
	p                             *headerParser
	name                          string
	dtype                         DType
	shape, offsets                []int64
	hasType, hasShape, hasOffsets bool
}

func (e *entry) member(key string) (err error) {
	once := func(seen *bool) error {
		if *seen {
			return e.p.bad(e.name, "%s appears twice", key)
		}
		*seen = true
		return nil
	}
	switch key {
	case "dtype":
		if err = once(&e.hasType); err == nil {
			err = e.readType()
		}
	case "shape":
		if err = once(&e.hasShape); err == nil {
			e.shape, err = e.numbers(key, e.p.lim.Dims)
		}
	case "data_offsets":
		if err = once(&e.hasOffsets); err == nil {
			e.offsets, err = e.numbers(key, 2)
		}
	default:
		err = e.p.bad(e.name, "unknown key %q", key)
	}
	return err
}

func (e *entry) readType() error {
	t, err := e.p.token()
	if err != nil {
		return err
	}
	s, _ := t.(string)
	if e.dtype = DType(s); e.dtype.Size() == 0 {
		return e.p.bad(e.name, "unknown dtype %v", t)
	}
	return nil
}

// numbers reads an array of at most most natural numbers.
func (e *entry) numbers(key string, most int) ([]int64, error) {
	t, err := e.p.token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, e.p.bad(e.name, "%s is not an array", key)
	}
	var out []int64
	for e.p.dec.More() {
		if len(out) >= most {
			return nil, e.p.bad(e.name, "%s has more than %d numbers", key, most)
		}
		t, err := e.p.token()
		if err != nil {
			return nil, err
		}
		num, _ := t.(json.Number)
		v, err := strconv.ParseUint(string(num), 10, 63)
		if err != nil {
			return nil, e.p.bad(e.name, "%s holds %v, want a whole number below 2^63", key, t)
		}
		out = append(out, int64(v))
	}
	_, err = e.p.token()
	return out, err
}

// info checks that the offsets hold exactly the shape.
func (e *entry) info() (Info, error) {
	if !e.hasType || !e.hasShape || len(e.offsets) != 2 {
		return Info{}, e.p.bad(e.name, "needs dtype, shape and two data_offsets")
	}
	shape := make([]int, len(e.shape))
	for i, d := range e.shape {
		if d > math.MaxInt {
			return Info{}, e.p.bad(e.name, "shape %v overflows", e.shape)
		}
		shape[i] = int(d)
	}
	size, ok := checkedSize(shape, e.dtype.Size())
	if !ok {
		return Info{}, e.p.bad(e.name, "shape %v overflows", shape)
	}
	begin, end := e.offsets[0], e.offsets[1]
	if end < begin || end > math.MaxInt64-e.p.dataStart || end-begin != size {
		return Info{}, e.p.bad(e.name, "data_offsets [%d,%d] do not hold shape %v of %s, %d bytes", begin, end, shape, e.dtype, size)
	}
	return Info{Name: e.name, DType: e.dtype, Shape: shape, Offset: e.p.dataStart + begin, Size: size}, nil
}

// checkCover demands that the tensors tile the data without hole or overlap.
func (p *headerParser) checkCover(size int64) error {
	sorted := slices.Clone(p.tensors)
	slices.SortStableFunc(sorted, func(a, b Info) int {
		if a.Offset != b.Offset {
			return cmp.Compare(a.Offset, b.Offset)
		}
		return cmp.Compare(a.Size, b.Size)
	})
	pos := p.dataStart
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
