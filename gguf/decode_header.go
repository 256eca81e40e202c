package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A decoder reads the header from front to back, counting bytes.
type decoder struct {
	r     *bufio.Reader
	off   int64
	size  int64
	order binary.ByteOrder
	v1    bool
	lim   Limits
	at    place
	buf   [8]byte
}

// A place is what is being read, spelled out only when an error needs it: a part
// such as "key", and its name, or before that is known its number.
type place struct {
	part, name string
	index, of  int64
}

func (p place) String() string {
	switch {
	case p.name != "":
		return fmt.Sprintf("%s %.64q", p.part, p.name)
	case p.of > 0:
		return fmt.Sprintf("%s %d of %d", p.part, p.index, p.of)
	}
	return p.part
}

func newDecoder(r io.ReaderAt, size int64, lim Limits) *decoder {
	return &decoder{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), int(min(max(size, 16), 1<<16))), size: size, lim: lim,
		order: binary.LittleEndian, at: place{part: "header"}}
}

func (d *decoder) fail(sentinel error, format string, args ...any) error {
	return &FormatError{d.off, d.at.String(), fmt.Sprintf(format, args...), sentinel}
}

// read fills b, whose length the caller has bounded.
func (d *decoder) read(b []byte) error {
	n, err := io.ReadFull(d.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return d.fail(ErrFormat, "the file ends %d bytes early", len(b)-n)
	}
	if err != nil {
		return d.fail(err, "read")
	}
	d.off += int64(n)
	return nil
}

func (d *decoder) uint32() (uint32, error) {
	err := d.read(d.buf[:4])
	return d.order.Uint32(d.buf[:4]), err
}

func (d *decoder) uint64() (uint64, error) {
	err := d.read(d.buf[:8])
	return d.order.Uint64(d.buf[:8]), err
}

// length reads an unsigned number of 32 bits in version 1, else 64.
func (d *decoder) length() (uint64, error) {
	if d.v1 {
		n, err := d.uint32()
		return uint64(n), err
	}
	return d.uint64()
}

// count reads how many things follow, each taking at least each bytes of what is
// left of the file.
func (d *decoder) count(what string, limit, each int64) (int64, error) {
	n, err := d.length()
	if err != nil {
		return 0, err
	}
	switch left := d.size - d.off; {
	case n > uint64(left)/uint64(each):
		return 0, d.fail(ErrFormat, "%d %s do not fit the %d bytes left", n, what, left)
	case n > uint64(limit):
		return 0, d.fail(ErrLimit, "%d %s, over %d", n, what, limit)
	}
	return int64(n), nil
}

func (d *decoder) string() (string, error) {
	n, err := d.count("bytes of string", d.lim.StringBytes, 1)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	err = d.read(b)
	return string(b), err
}

// readFile reads magic, version, metadata and tensor descriptions.
func (d *decoder) readFile(f *Reader) error {
	version, err := d.readVersion()
	if err != nil {
		return err
	}
	f.version, f.order, d.v1 = version, d.order, version == 1
	length := KindString.size(d.v1)
	// A tensor: name, dimensions, type, offset. A pair: key, kind, one byte.
	tensors, err := d.count("tensors", int64(d.lim.Tensors), length+4+4+8)
	if err != nil {
		return err
	}
	keys, err := d.count("keys", int64(d.lim.Keys), length+4+1)
	if err != nil {
		return err
	}
	for i := range keys {
		d.at = place{part: "key", index: i, of: keys}
		if err := d.readPair(&f.Metadata); err != nil {
			return err
		}
	}
	if err := d.readAlignment(f); err != nil {
		return err
	}
	return d.readTensors(f, tensors)
}

// readVersion finds the byte order too: a version has no more than 16 bits.
func (d *decoder) readVersion() (uint32, error) {
	if err := d.read(d.buf[:4]); err != nil {
		return 0, err
	}
	if string(d.buf[:4]) != "GGUF" {
		return 0, d.fail(ErrFormat, "starts with %q, not \"GGUF\"", d.buf[:4])
	}
	v, err := d.uint32()
	if err != nil {
		return 0, err
	}
	if v&0xffff == 0 {
		d.order = binary.BigEndian
		v = d.order.Uint32(d.buf[:4])
	}
	if v < 1 || v > 3 {
		return 0, d.fail(ErrUnsupported, "version %d", v)
	}
	return v, nil
}

func (d *decoder) readPair(m *Metadata) error {
	key, err := d.string()
	if err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return d.fail(ErrFormat, "%v", err)
	}
	d.at.name = key
	if _, dup := m.Value(key); dup {
		return d.fail(ErrFormat, "appears twice")
	}
	kind, err := d.uint32()
	if err != nil {
		return err
	}
	v, err := d.readValue(Kind(kind))
	if err != nil {
		return err
	}
	m.Set(key, v)
	return nil
}

func (d *decoder) readAlignment(f *Reader) error {
	d.at = place{part: "key", name: alignmentKey}
	a, err := alignmentOf(&f.Metadata, d.lim.Alignment)
	if err != nil {
		return d.fail(sentinelOf(err), "%v", err)
	}
	f.alignment = a
	return nil
}

const alignmentKey = "general.alignment"

// alignmentOf returns the alignment that metadata asks for.
func alignmentOf(m *Metadata, limit uint32) (uint32, error) {
	v, ok := m.Value(alignmentKey)
	if !ok {
		return 32, nil
	}
	a, ok := As[uint32](v)
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: is %v, not uint32", ErrFormat, v.Kind())
	case a == 0 || a&(a-1) != 0:
		return 0, fmt.Errorf("%w: %d is no power of two", ErrFormat, a)
	case a > limit:
		return 0, fmt.Errorf("%w: %d, over %d", ErrLimit, a, limit)
	}
	return a, nil
}

func (d *decoder) readTensors(f *Reader, n int64) error {
	f.tensors = make([]*Tensor, 0, n)
	for i := range n {
		d.at = place{part: "tensor", index: i, of: n}
		t, err := d.readTensor()
		if err != nil {
			return err
		}
		if f.byName[t.Name] != nil {
			return d.fail(ErrFormat, "appears twice")
		}
		t.file = f
		f.tensors = append(f.tensors, t)
		f.byName[t.Name] = t
	}
	d.at = place{part: "header"}
	data, ok := padded(d.off, f.alignment)
	if n == 0 {
		data = d.off
	}
	if !ok || data > d.size {
		return d.fail(ErrFormat, "the file ends before its tensors, which start at byte %d", data)
	}
	f.data = data
	return d.placeTensors(f)
}

func (d *decoder) readTensor() (*Tensor, error) {
	name, err := d.string()
	if err != nil {
		return nil, err
	}
	d.at.name = name
	shape, err := d.readShape()
	if err != nil {
		return nil, err
	}
	typ, err := d.uint32()
	if err != nil {
		return nil, err
	}
	t := &Tensor{TensorInfo: TensorInfo{Name: name, Type: Type(typ), Shape: shape}}
	if t.Size, err = t.layout(); err != nil {
		return nil, d.fail(sentinelOf(err), "%v", err)
	}
	offset, err := d.uint64()
	if err != nil {
		return nil, err
	}
	if int64(offset) < 0 {
		return nil, d.fail(ErrFormat, "offset %d overflows", offset)
	}
	t.Offset = int64(offset)
	return t, nil
}

func sentinelOf(err error) error {
	for _, s := range []error{ErrUnsupported, ErrLimit} {
		if errors.Is(err, s) {
			return s
		}
	}
	return ErrFormat
}

func (d *decoder) readShape() ([]int, error) {
	dims, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if dims > maxDims {
		return nil, d.fail(ErrFormat, "%d dimensions, over %d", dims, maxDims)
	}
	shape := make([]int, dims)
	for i := range shape {
		v, err := d.length()
		if err != nil {
			return nil, err
		}
		n := int(v)
		if n < 0 || uint64(n) != v {
			return nil, d.fail(ErrFormat, "dimension %d overflows", v)
		}
		shape[len(shape)-1-i] = n
	}
	return shape, nil
}

// placeTensors checks that tensors lie one behind the other, each padded to the
// alignment, within the file, as llama.cpp wants them: so none can overlap
// another or reach outside.
func (d *decoder) placeTensors(f *Reader) error {
	want := int64(0)
	for _, t := range f.tensors {
		d.at = place{part: "tensor", name: t.Name}
		if t.Offset != want {
			return d.fail(ErrFormat, "offset %d, the tensors before it end at %d", t.Offset, want)
		}
		if left := d.size - f.data; want > left || t.Size > left-want {
			return d.fail(ErrFormat, "%d bytes at %d reach beyond the file's %d", t.Size, f.data+min(want, left), d.size)
		}
		t.Offset += f.data
		next, ok := padded(want+t.Size, f.alignment)
		if !ok {
			return d.fail(ErrFormat, "the end overflows")
		}
		want = next
	}
	return nil
}
