package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Tensor is a description and the function that streams its bytes. Only Name,
// DType and Shape are read; Write lays out the rest.
type Tensor struct {
	Info
	Data func(w io.Writer) error
}

// Write writes a file: tensors in the given order, metadata sorted by key, the
// header padded with spaces to a multiple of 8. Equal input gives equal bytes.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	header, err := encodeHeader(tensors, metadata)
	if err != nil {
		return err
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(len(header))); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		size, _ := checkedSize(t.Shape, t.DType.Size())
		c := &countWriter{w: w}
		if t.Data == nil {
			return fmt.Errorf("safetensors: write %q: no data", t.Name)
		}
		if err := t.Data(c); err != nil {
			return fmt.Errorf("safetensors: write %q: %w", t.Name, err)
		}
		if c.n != size {
			return fmt.Errorf("safetensors: write %q: %d bytes given, %v of %s takes %d", t.Name, c.n, t.Shape, t.DType, size)
		}
	}
	return nil
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// headerEntry is one tensor as the header spells it.
type headerEntry struct {
	DType   DType    `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for k, v := range metadata {
		if !plainUnicode(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("safetensors: metadata %q is not valid Unicode", k)
		}
	}
	if len(metadata) > 0 {
		if err := member(&b, "__metadata__", metadata); err != nil {
			return nil, err
		}
	}
	seen, pos := map[string]bool{"__metadata__": true}, int64(0)
	for _, t := range tensors {
		size, ok := checkedSize(t.Shape, t.DType.Size())
		if !ok || t.DType.Size() == 0 || seen[t.Name] || pos > math.MaxInt64-size || !plainUnicode(t.Name) {
			return nil, fmt.Errorf("safetensors: cannot write %q: duplicate or invalid name, unknown type %s or overflowing shape %v", t.Name, t.DType, t.Shape)
		}
		seen[t.Name] = true
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		offsets := [2]int64{pos, pos + size}
		if err := member(&b, t.Name, headerEntry{t.DType, shape, offsets}); err != nil {
			return nil, err
		}
		pos += size
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	return b.Bytes(), nil
}

// plainUnicode reports whether encoding/json keeps s as it is.
func plainUnicode(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError)
}

func member(b *bytes.Buffer, key string, v any) error {
	if b.Len() > 1 {
		b.WriteByte(',')
	}
	k, err := json.Marshal(key)
	if err != nil {
		return err
	}
	e, err := json.Marshal(v)
	b.Write(k)
	b.WriteByte(':')
	b.Write(e)
	return err
}

// F32Tensor returns a float32 tensor; data is read when it is written.
func F32Tensor(name string, shape []int, data []float32) Tensor {
	return encoded(name, "F32", shape, data, func(b []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	})
}

// BF16Tensor returns a bfloat16 tensor, rounded to nearest even.
func BF16Tensor(name string, shape []int, data []float32) Tensor {
	return encoded(name, "BF16", shape, data, func(b []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint16(b, BF16(v))
	})
}

// F16Tensor returns a half precision tensor, rounded to nearest even.
func F16Tensor(name string, shape []int, data []float32) Tensor {
	return encoded(name, "F16", shape, data, func(b []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint16(b, F16(v))
	})
}

// CopyTensor returns a tensor whose bytes are those of from, unchanged.
func CopyTensor(info Info, from *io.SectionReader) Tensor {
	return Tensor{info, func(w io.Writer) error {
		if _, err := from.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return copySection(w, from)
	}}
}

func encoded(name string, t DType, shape []int, data []float32, put func([]byte, float32) []byte) Tensor {
	return Tensor{Info{Name: name, DType: t, Shape: shape}, func(w io.Writer) error {
		buf := make([]byte, 0, 1<<16)
		for i, v := range data {
			buf = put(buf, v)
			if len(buf) >= 1<<16-8 || i == len(data)-1 {
				if _, err := w.Write(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
		}
		return nil
	}}
}

// copySection streams a tensor's bytes unchanged.
func copySection(w io.Writer, sec *io.SectionReader) error {
	n, err := io.Copy(w, sec)
	if err == nil && n != sec.Size() {
		err = io.ErrUnexpectedEOF
	}
	return err
}
