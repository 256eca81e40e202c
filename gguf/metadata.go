package gguf

import (
	"fmt"
	"iter"
	"slices"
)

// maxKey is the longest key that ggml's specification allows, in bytes.
const maxKey = 65535

// Metadata is an ordered set of key-value pairs. The zero value is empty and
// ready for use.
type Metadata struct {
	keys   []string
	values map[string]Value
}

// Len returns the number of keys.
func (m *Metadata) Len() int { return len(m.keys) }

// All yields the pairs in the order of the file, or in which they were first set.
func (m *Metadata) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, k := range m.keys {
			if !yield(k, m.values[k]) {
				return
			}
		}
	}
}

// Value returns the value of a key.
func (m *Metadata) Value(key string) (Value, bool) { v, ok := m.values[key]; return v, ok }

// Set sets a key; a key that exists keeps its place.
func (m *Metadata) Set(key string, v Value) {
	if m.values == nil {
		m.values = map[string]Value{}
	}
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key] = v
}

// Delete removes a key.
func (m *Metadata) Delete(key string) {
	if _, ok := m.values[key]; ok {
		delete(m.values, key)
		m.keys = slices.DeleteFunc(m.keys, func(k string) bool { return k == key })
	}
}

// SetUint8 sets a value of that type.
func (m *Metadata) SetUint8(key string, v uint8) { m.Set(key, ValueOf(v)) }

// SetInt8 sets a value of that type.
func (m *Metadata) SetInt8(key string, v int8) { m.Set(key, ValueOf(v)) }

// SetUint16 sets a value of that type.
func (m *Metadata) SetUint16(key string, v uint16) { m.Set(key, ValueOf(v)) }

// SetInt16 sets a value of that type.
func (m *Metadata) SetInt16(key string, v int16) { m.Set(key, ValueOf(v)) }

// SetUint32 sets a value of that type.
func (m *Metadata) SetUint32(key string, v uint32) { m.Set(key, ValueOf(v)) }

// SetInt32 sets a value of that type.
func (m *Metadata) SetInt32(key string, v int32) { m.Set(key, ValueOf(v)) }

// SetUint64 sets a value of that type.
func (m *Metadata) SetUint64(key string, v uint64) { m.Set(key, ValueOf(v)) }

// SetInt64 sets a value of that type.
func (m *Metadata) SetInt64(key string, v int64) { m.Set(key, ValueOf(v)) }

// SetFloat32 sets a value of that type.
func (m *Metadata) SetFloat32(key string, v float32) { m.Set(key, ValueOf(v)) }

// SetFloat64 sets a value of that type.
func (m *Metadata) SetFloat64(key string, v float64) { m.Set(key, ValueOf(v)) }

// SetBool sets a value of that type.
func (m *Metadata) SetBool(key string, v bool) { m.Set(key, ValueOf(v)) }

// SetString sets a value of that type.
func (m *Metadata) SetString(key string, v string) { m.Set(key, ValueOf(v)) }

// setText sets a string unless it is empty.
func (m *Metadata) setText(key, v string) {
	if v != "" {
		m.SetString(key, v)
	}
}

// SetStrings sets an array of strings; other arrays are set with ArrayOf.
func (m *Metadata) SetStrings(key string, v []string) { m.Set(key, ArrayOf(v)) }

// Lookup returns the scalar of a key, or a *KeyError when it is missing or has
// another type.
func Lookup[T Scalar](m *Metadata, key string) (T, error) {
	v, err := m.find(key)
	if err != nil {
		var zero T
		return zero, err
	}
	x, ok := As[T](v)
	if !ok {
		return x, wrongKind(key, v, kindOf[T]().String())
	}
	return x, nil
}

// LookupArray returns the elements of an array, which must not be changed, or a
// *KeyError.
func LookupArray[T Scalar](m *Metadata, key string) ([]T, error) {
	v, err := m.find(key)
	if err != nil {
		return nil, err
	}
	x, ok := AsArray[T](v)
	if !ok {
		return nil, wrongKind(key, v, "array of "+kindOf[T]().String())
	}
	return x, nil
}

// LookupInteger returns a non-negative integer stored in any of the eight integer
// types, as tools differ in which one they write.
func (m *Metadata) LookupInteger(key string) (int, error) {
	v, err := m.find(key)
	if err != nil {
		return 0, err
	}
	n, ok := integer(v.Any())
	if !ok {
		return 0, wrongKind(key, v, "integer from 0 to 2^31-1")
	}
	return n, nil
}

func integer(v any) (int, bool) {
	var n int64
	switch x := v.(type) {
	case uint8:
		n = int64(x)
	case int8:
		n = int64(x)
	case uint16:
		n = int64(x)
	case int16:
		n = int64(x)
	case uint32:
		n = int64(x)
	case int32:
		n = int64(x)
	case uint64:
		n = int64(min(x, 1<<62))
	case int64:
		n = x
	default:
		return 0, false
	}
	return int(n), n >= 0 && n < 1<<31
}

func (m *Metadata) find(key string) (Value, error) {
	v, ok := m.values[key]
	if !ok {
		return v, &KeyError{key, "no such key", ErrNotFound}
	}
	return v, nil
}

func wrongKind(key string, v Value, want string) error {
	have := v.kind.String()
	if v.kind == KindArray {
		have = "array of " + v.elem.String()
	}
	return &KeyError{key, fmt.Sprintf("is %s, not %s", have, want), ErrKind}
}

func checkKey(key string) error {
	switch {
	case key == "":
		return &KeyError{key, "empty", ErrFormat}
	case len(key) > maxKey:
		return &KeyError{key[:32] + "…", fmt.Sprintf("%d bytes, over %d", len(key), maxKey), ErrFormat}
	}
	return nil
}
