package gguf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// soakEditor edits what can be read, by a copy or in place, and reads it again.
func soakEditor(m *mutator, b []byte) (bool, error) {
	f := &fenced{b: b}
	r, err := NewReader(f, int64(len(b)), DefaultReaderOptions())
	if err != nil {
		return false, f.outside
	}
	opts := DefaultEditOptions()
	opts.ReserveBytes = int64(m.intn(100))
	if m.intn(3) == 0 {
		opts.Mode = EditCopy
	}
	var want Metadata
	e, err := planEdit(r, func(c *Metadata) error {
		m.edit(c)
		want = c.clone()
		return nil
	}, opts)
	if f.outside != nil || err != nil {
		return false, f.outside // an alignment that is not written, or of the wrong type
	}
	return true, checkEdit(r, b, e, &want)
}

// edit sets, changes or deletes a few keys.
func (m *mutator) edit(c *Metadata) {
	for range 1 + m.intn(3) {
		key := "new"
		if n := c.Len(); n > 0 && m.intn(3) > 0 {
			key = c.keys[m.intn(n)]
		}
		switch m.intn(4) {
		case 0:
			c.Delete(key)
		case 1:
			c.SetString(key, strings.Repeat("é", m.intn(60)))
		case 2:
			c.SetUint32(key, uint32(1)<<m.intn(13)) // as an alignment, small
		default:
			c.Set(key, ArrayOf(make([]uint16, m.intn(20))))
		}
	}
}

func checkEdit(r *Reader, b []byte, e edit, want *Metadata) error {
	var out []byte
	if e.image != nil {
		var w bytes.Buffer
		if err := e.image.Encode(context.Background(), &w, Env{}); err != nil {
			return err
		}
		out = w.Bytes()
	} else {
		out = append(append(out, e.header...), b[len(e.old):]...)
	}
	again, err := NewReader(bytes.NewReader(out), int64(len(out)), DefaultReaderOptions())
	if err != nil {
		return fmt.Errorf("the edited file: %w", err)
	}
	if err := equalMetadata(want, &again.Metadata); err != nil {
		return err
	}
	return equalTensors(r, again)
}

func equalMetadata(want, got *Metadata) error {
	for key, v := range want.All() {
		if strings.HasPrefix(key, "split.") {
			continue // Split sets and Join removes them
		}
		if w, _ := got.Value(key); key != PaddingKey && (v.kind != w.kind || v.elem != w.elem || v.Len() != w.Len() || v.String() != w.String()) {
			return fmt.Errorf("%q: %v became %v", key, v, w)
		}
	}
	for key := range got.All() {
		if _, ok := want.Value(key); !ok && key != PaddingKey {
			return fmt.Errorf("%q appeared", key)
		}
	}
	return nil
}

func equalTensors(a, b *Reader) error {
	if len(a.tensors) != len(b.tensors) {
		return fmt.Errorf("%d tensors became %d", len(a.tensors), len(b.tensors))
	}
	for i, x := range a.tensors {
		y := b.tensors[i]
		if x.Name != y.Name || x.Type != y.Type || !slices.Equal(x.Shape, y.Shape) || x.Size != y.Size {
			return fmt.Errorf("%+v became %+v", x.TensorInfo, y.TensorInfo)
		}
		p, q := make([]byte, x.Size), make([]byte, y.Size)
		if err := errors.Join(readFullAt(x.file.r, p, x.Offset), readFullAt(y.file.r, q, y.Offset)); err != nil {
			return err
		}
		if x.file.BigEndian() != y.file.BigEndian() {
			swapBlocks(x.Type, p)
		}
		if !bytes.Equal(p, q) {
			return fmt.Errorf("%s: other bytes", x.Name)
		}
	}
	return nil
}

// soakSplit joins a hostile part with sound ones, which the mutator chooses, writes
// it as one and splits it again.
func soakSplit(m *mutator, b []byte) (bool, error) {
	f := &fenced{b: b}
	hostile, err := NewReader(f, int64(len(b)), DefaultReaderOptions())
	if err != nil {
		return false, f.outside
	}
	parts := make([]*Reader, 0, 3)
	for i := range 1 + m.intn(3) {
		if s := m.intn(4); s < len(soundParts) && s == i {
			parts = append(parts, soundParts[s])
			continue
		}
		parts = append(parts, hostile)
	}
	whole, err := Join(parts...)
	if err != nil {
		return false, f.outside
	}
	images, err := Split(whole, SplitOptions{MaxTensors: m.intn(3), MaxBytes: int64(m.intn(2) * m.intn(2000)), EmptyFirst: m.intn(2) == 0})
	if err != nil {
		return false, errorsFirst(f.outside, err)
	}
	again := make([]*Reader, len(images))
	for i, img := range images {
		var w bytes.Buffer
		if err := img.Encode(context.Background(), &w, Env{}); err != nil {
			return true, errorsFirst(f.outside, err)
		}
		if again[i], err = NewReader(bytes.NewReader(w.Bytes()), int64(w.Len()), DefaultReaderOptions()); err != nil {
			return true, fmt.Errorf("part %d: %w", i, err)
		}
	}
	joined, err := Join(again...)
	if err != nil {
		return true, err
	}
	return true, errorsFirst(f.outside, equalMetadata(&whole.Metadata, &joined.Metadata), equalTensors(whole, joined))
}

// soundParts is a split of a small file, set by splitSpecimens.
var soundParts []*Reader

func splitSpecimens(t testing.TB) []*specimen {
	whole := open(t, write(t, WriterOptions{Alignment: 32, Workers: 1, MemoryBytes: 1 << 20}, func(w *Writer) {
		w.SetString("general.architecture", "phi3")
		for i := range 3 {
			_ = w.AddTensor(TensorInfo{Name: string(rune('a' + i)), Type: F16, Shape: []int{2, 3}}, Values(make([]float32, 6)))
		}
	}))
	images, err := Split(whole, SplitOptions{MaxTensors: 1})
	if err != nil {
		t.Fatal(err)
	}
	soundParts = nil
	var out []*specimen
	for _, i := range images {
		b := encoded(t, i)
		soundParts = append(soundParts, open(t, b))
		out = append(out, newSpecimen(b))
	}
	single, err := Split(whole, SplitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return append(out, newSpecimen(encoded(t, single[0])))
}
