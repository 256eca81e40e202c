package gguf

import (
	"encoding/binary"
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

func encodeHeader(m *Metadata, tensors []pending, opts WriterOptions) ([]byte, error) {
	e := &encoderBuffer{b: []byte("GGUF"), order: binary.LittleEndian}
	if opts.BigEndian {
		e.order = binary.BigEndian
	}
	e.uint32(version)
	e.uint64(uint64(len(tensors)))
	e.uint64(uint64(m.Len()))
	for key, v := range m.All() {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		e.string(key)
		e.uint32(uint32(v.kind))
		e.value(v)
	}
	for _, t := range tensors {
		e.tensor(t.TensorInfo)
	}
	return e.b, nil
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
