package gguf

import (
	"encoding/binary"
	"math"
)

// readValue reads a value of that kind.
func (d *decoder) readValue(k Kind) (Value, error) {
	switch k {
	case KindArray:
		return d.readArray()
	case KindString:
		s, err := d.string()
		return ValueOf(s), err
	}
	size := k.size(d.v1)
	if size == 0 {
		return Value{}, d.fail(ErrFormat, "value type %d is unknown", uint32(k))
	}
	if err := d.read(d.buf[:size]); err != nil {
		return Value{}, err
	}
	v, ok := scalar(k, d.order, d.buf[:size])
	if !ok {
		return v, d.fail(ErrFormat, "a bool of %d", d.buf[0])
	}
	return v, nil
}

func scalar(k Kind, order binary.ByteOrder, b []byte) (Value, bool) {
	switch k {
	case KindUint8:
		return ValueOf(b[0]), true
	case KindInt8:
		return ValueOf(int8(b[0])), true
	case KindBool:
		return ValueOf(b[0] != 0), b[0] <= 1
	case KindUint16:
		return ValueOf(order.Uint16(b)), true
	case KindInt16:
		return ValueOf(int16(order.Uint16(b))), true
	case KindUint32:
		return ValueOf(order.Uint32(b)), true
	case KindInt32:
		return ValueOf(int32(order.Uint32(b))), true
	case KindFloat32:
		return ValueOf(math.Float32frombits(order.Uint32(b))), true
	case KindUint64:
		return ValueOf(order.Uint64(b)), true
	case KindInt64:
		return ValueOf(int64(order.Uint64(b))), true
	}
	return ValueOf(math.Float64frombits(order.Uint64(b))), true
}

func (d *decoder) readArray() (Value, error) {
	kind, err := d.uint32()
	if err != nil {
		return Value{}, err
	}
	elem := Kind(kind)
	if elem == KindArray {
		return Value{}, d.fail(ErrUnsupported, "an array of arrays")
	}
	size := elem.size(d.v1)
	if size == 0 {
		return Value{}, d.fail(ErrFormat, "array of unknown type %d", kind)
	}
	n, err := d.count("elements", d.lim.ArrayLen, size)
	if err != nil {
		return Value{}, err
	}
	data, err := d.readElements(elem, n)
	return Value{kind: KindArray, elem: elem, data: data}, err
}

func (d *decoder) readElements(elem Kind, n int64) (any, error) {
	o := d.order
	switch elem {
	case KindUint8:
		return array(d, n, 1, func(b []byte) uint8 { return b[0] })
	case KindInt8:
		return array(d, n, 1, func(b []byte) int8 { return int8(b[0]) })
	case KindBool:
		return d.readBools(n)
	case KindUint16:
		return array(d, n, 2, o.Uint16)
	case KindInt16:
		return array(d, n, 2, func(b []byte) int16 { return int16(o.Uint16(b)) })
	case KindUint32:
		return array(d, n, 4, o.Uint32)
	case KindInt32:
		return array(d, n, 4, func(b []byte) int32 { return int32(o.Uint32(b)) })
	case KindFloat32:
		return array(d, n, 4, func(b []byte) float32 { return math.Float32frombits(o.Uint32(b)) })
	case KindUint64:
		return array(d, n, 8, o.Uint64)
	case KindInt64:
		return array(d, n, 8, func(b []byte) int64 { return int64(o.Uint64(b)) })
	case KindFloat64:
		return array(d, n, 8, func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) })
	}
	return d.readStrings(n)
}

// array reads n elements of size bytes; the caller has checked that they are there.
func array[T Scalar](d *decoder, n int64, size int, get func([]byte) T) ([]T, error) {
	out := make([]T, n)
	buf := make([]byte, min(n*int64(size), 1<<16))
	for i := 0; i < len(out); {
		b := buf[:min(len(out)-i, len(buf)/size)*size]
		if err := d.read(b); err != nil {
			return nil, err
		}
		for ; len(b) > 0; b, i = b[size:], i+1 {
			out[i] = get(b)
		}
	}
	return out, nil
}

func (d *decoder) readBools(n int64) ([]bool, error) {
	start := d.off
	bytes, err := array(d, n, 1, func(b []byte) uint8 { return b[0] })
	if err != nil {
		return nil, err
	}
	out := make([]bool, n)
	for i, b := range bytes {
		if b > 1 {
			d.off = start + int64(i)
			return nil, d.fail(ErrFormat, "a bool of %d", b)
		}
		out[i] = b == 1
	}
	return out, nil
}

func (d *decoder) readStrings(n int64) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		s, err := d.string()
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}
