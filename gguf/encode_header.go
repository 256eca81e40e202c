package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// version is what Writer writes.
const version = 3

// An encoderBuffer appends numbers in one byte order.
type encoderBuffer struct {
	b     []byte
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
}

// A heading is what stands before the tensors' bytes. Offsets of tensors are from
// their start.
type heading struct {
	m         *Metadata
	tensors   []TensorInfo
	big       bool
	alignment uint32
}

// PaddingKey names the value that holds room for later edits: an array of zeros.
// Its eight letters make the smallest such pair 32 bytes long, so that it fits
// any hole that a deletion leaves at the usual alignment.
const PaddingKey = "gguf.pad"

// paddingPair is the length of a padding pair without its zeros: length and text
// of the key, kind, element kind, length.
const paddingPair = 8 + int64(len(PaddingKey)) + 4 + 4 + 8

// maxReserve bounds the room that a header keeps.
const maxReserve = 64 << 20

// plain encodes without padding.
func (h heading) plain() ([]byte, error) { return h.encode(-1) }

// encode adds a padding pair of zeros bytes to the metadata, none if negative:
// before the first large value, so that an edit of a small one before it moves
// neither the vocabulary nor the tensors' descriptions.
func (h heading) encode(zeros int64) ([]byte, error) {
	e := &encoderBuffer{b: []byte("GGUF"), order: binary.LittleEndian}
	if h.big {
		e.order = binary.BigEndian
	}
	e.uint32(version)
	e.uint64(uint64(len(h.tensors)))
	count := e.at()
	e.uint64(0)
	pairs := uint64(0)
	for key, v := range h.m.All() {
		if key == PaddingKey {
			continue
		}
		if err := checkKey(key); err != nil {
			return nil, err
		}
		if zeros >= 0 && v.large() {
			e.padding(zeros)
			zeros, pairs = -1, pairs+1
		}
		e.pair(key, v)
		pairs++
	}
	if zeros >= 0 {
		e.padding(zeros)
		pairs++
	}
	e.order.PutUint64(e.b[count:], pairs)
	for _, t := range h.tensors {
		e.tensor(t)
	}
	return e.b, nil
}

// withReserve encodes up to the tensors' start, with at least reserve bytes of
// room for edits.
func (h heading) withReserve(reserve int64) ([]byte, error) {
	b, err := h.plain()
	if err != nil {
		return nil, err
	}
	end, ok := padded(int64(len(b)), h.alignment)
	if reserve > 0 {
		end, ok = padded(int64(len(b))+max(reserve, paddingPair), h.alignment)
	}
	if !ok {
		return nil, fmt.Errorf("gguf: %w: the header's size overflows", ErrFormat)
	}
	b, fits, err := h.exactly(b, end)
	if err == nil && !fits {
		err = fmt.Errorf("gguf: %w: header", ErrFormat)
	}
	return b, err
}

// exactly makes plain, this heading without padding, size bytes long, a multiple
// of the alignment. It reports whether that can be.
func (h heading) exactly(plain []byte, size int64) ([]byte, bool, error) {
	free := size - int64(len(plain))
	switch {
	case free < 0:
		return nil, false, nil
	case free < int64(h.alignment):
		return append(plain, make([]byte, free)...), true, nil
	case free < paddingPair:
		return nil, false, nil
	}
	b, err := h.encode(free - paddingPair)
	return b, err == nil, err
}

// large reports whether a value takes some kilobytes.
func (v Value) large() bool {
	s, _ := v.data.(string)
	return v.Len() >= 1024 || len(s) >= 4096
}

func (e *encoderBuffer) padding(zeros int64) {
	e.pair(PaddingKey, Value{kind: KindArray, elem: KindUint8, data: make([]uint8, zeros)})
}

func (e *encoderBuffer) at() int { return len(e.b) }

func (e *encoderBuffer) pair(key string, v Value) {
	e.string(key)
	e.uint32(uint32(v.kind))
	e.value(v)
}

func (e *encoderBuffer) uint32(v uint32) { e.b = e.order.AppendUint32(e.b, v) }
func (e *encoderBuffer) uint64(v uint64) { e.b = e.order.AppendUint64(e.b, v) }

func (e *encoderBuffer) string(s string) {
	e.uint64(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoderBuffer) tensor(t TensorInfo) {
	e.string(t.Name)
	e.uint32(uint32(len(t.Shape)))
	for i := range t.Shape {
		e.uint64(uint64(t.Shape[len(t.Shape)-1-i]))
	}
	e.uint32(uint32(t.Type))
	e.uint64(uint64(t.Offset))
}

func (e *encoderBuffer) value(v Value) {
	if v.kind == KindArray {
		e.uint32(uint32(v.elem))
		e.uint64(uint64(v.Len()))
		e.elements(v.data)
		return
	}
	e.scalar(v.Any())
}

func (e *encoderBuffer) scalar(v any) {
	switch x := v.(type) {
	case uint8:
		e.b = append(e.b, x)
	case int8:
		e.b = append(e.b, uint8(x))
	case bool:
		e.bool(x)
	case uint16:
		e.b = e.order.AppendUint16(e.b, x)
	case int16:
		e.b = e.order.AppendUint16(e.b, uint16(x))
	case uint32:
		e.uint32(x)
	case int32:
		e.uint32(uint32(x))
	case float32:
		e.uint32(math.Float32bits(x))
	case string:
		e.string(x)
	case uint64:
		e.uint64(x)
	case int64:
		e.uint64(uint64(x))
	case float64:
		e.uint64(math.Float64bits(x))
	}
}

func (e *encoderBuffer) bool(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	e.b = append(e.b, b)
}

func (e *encoderBuffer) elements(data any) {
	switch x := data.(type) {
	case []uint8:
		e.b = append(e.b, x...)
	case []int8:
		appendAll(e, x)
	case []bool:
		appendAll(e, x)
	case []uint16:
		appendAll(e, x)
	case []int16:
		appendAll(e, x)
	case []uint32:
		appendAll(e, x)
	case []int32:
		appendAll(e, x)
	case []float32:
		appendAll(e, x)
	case []string:
		appendAll(e, x)
	case []uint64:
		appendAll(e, x)
	case []int64:
		appendAll(e, x)
	case []float64:
		appendAll(e, x)
	}
}

func appendAll[T Scalar](e *encoderBuffer, x []T) {
	for _, v := range x {
		e.scalar(v)
	}
}
