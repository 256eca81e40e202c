package gguf

import (
	"fmt"
	"slices"
)

// Kind is the type of a metadata value, numbered as enum gguf_type.
type Kind uint32

// The kinds of value.
const (
	KindUint8 Kind = iota
	KindInt8
	KindUint16
	KindInt16
	KindUint32
	KindInt32
	KindFloat32
	KindBool
	KindString
	KindArray
	KindUint64
	KindInt64
	KindFloat64
)

var kindNames = [...]string{"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64", "float64"}

// String returns the name of the kind as Go spells the type.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint32(k))
}

// size returns the bytes of one value; for a string, of its length alone.
func (k Kind) size(v1 bool) int64 {
	switch k {
	case KindUint8, KindInt8, KindBool:
		return 1
	case KindUint16, KindInt16:
		return 2
	case KindUint32, KindInt32, KindFloat32:
		return 4
	case KindUint64, KindInt64, KindFloat64:
		return 8
	case KindString:
		if v1 {
			return 4
		}
		return 8
	}
	return 0
}

// Scalar lists the Go types of values that are no array.
type Scalar interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | float32 | bool | string | uint64 | int64 | float64
}

func kindOf[T Scalar]() Kind {
	var zero T
	switch any(zero).(type) {
	case uint8:
		return KindUint8
	case int8:
		return KindInt8
	case uint16:
		return KindUint16
	case int16:
		return KindInt16
	case uint32:
		return KindUint32
	case int32:
		return KindInt32
	case float32:
		return KindFloat32
	case bool:
		return KindBool
	case string:
		return KindString
	case uint64:
		return KindUint64
	case int64:
		return KindInt64
	}
	return KindFloat64
}

// Value is one metadata value. The zero Value is a uint8 of 0.
type Value struct {
	kind, elem Kind
	data       any // T, or []T for an array
}

// ValueOf wraps a scalar.
func ValueOf[T Scalar](v T) Value { return Value{kind: kindOf[T](), data: v} }

// ArrayOf wraps an array; v is copied.
func ArrayOf[T Scalar](v []T) Value {
	return Value{kind: KindArray, elem: kindOf[T](), data: slices.Clone(v)}
}

// Kind returns the value's type.
func (v Value) Kind() Kind { return v.kind }

// Elem returns the type of an array's elements; KindUint8 for a scalar.
func (v Value) Elem() Kind { return v.elem }

// Any returns the Go value: uint8 … float64, bool, string, or a slice of one of
// these, which must not be changed.
func (v Value) Any() any {
	if v.data == nil {
		return uint8(0)
	}
	return v.data
}

// As returns a scalar of type T; false when the value has another type.
func As[T Scalar](v Value) (T, bool) { x, ok := v.Any().(T); return x, ok }

// AsArray returns the elements of an array of T, which must not be changed.
func AsArray[T Scalar](v Value) ([]T, bool) { x, ok := v.data.([]T); return x, ok }

// Len returns the number of an array's elements, 1 for a scalar.
func (v Value) Len() int {
	switch x := v.data.(type) {
	case []uint8:
		return len(x)
	case []int8:
		return len(x)
	case []uint16:
		return len(x)
	case []int16:
		return len(x)
	case []uint32:
		return len(x)
	case []int32:
		return len(x)
	case []float32:
		return len(x)
	case []bool:
		return len(x)
	case []string:
		return len(x)
	case []uint64:
		return len(x)
	case []int64:
		return len(x)
	case []float64:
		return len(x)
	}
	return 1
}

// String formats the value for people; long arrays are cut.
func (v Value) String() string {
	if n := v.Len(); v.kind == KindArray && n > 8 {
		return fmt.Sprintf("%s[%d]", v.elem, n)
	}
	return fmt.Sprint(v.Any())
}
