package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// ReadImatrix reads an importance matrix as llama-imatrix writes it: a GGUF file
// with tensors NAME.in_sum2 and NAME.counts (llama.cpp, tools/imatrix). The result
// has, for each tensor, the mean square of every input column; a column that was
// never seen counts as 1. Tensors of experts (more than one row) are refused.
func ReadImatrix(r *Reader) (map[string][]float32, error) {
	out := map[string][]float32{}
	for name, sums := range r.Tensors() {
		tensor, ok := strings.CutSuffix(name, ".in_sum2")
		if !ok {
			continue
		}
		v, err := meanSquares(r, tensor, sums)
		if err != nil {
			return nil, err
		}
		out[tensor] = v
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("gguf: %w: no importance matrix in the file (no tensor .in_sum2)", ErrNotFound)
	}
	return out, nil
}

func meanSquares(r *Reader, name string, sums *Tensor) ([]float32, error) {
	counts, ok := r.Tensor(name + ".counts")
	if !ok {
		return nil, &TensorError{name + ".counts", ErrNotFound}
	}
	if sums.Type != F32 || counts.Type != F32 || counts.Elements() != 1 || sums.Elements() != int64(sums.Row()) {
		return nil, &TensorError{sums.Name, fmt.Errorf("%w: importance is %v %v with counts %v %v, want one row of F32", ErrUnsupported, sums.Type, sums.Shape, counts.Type, counts.Shape)}
	}
	v, err := sums.Float32()
	if err != nil {
		return nil, err
	}
	n, err := counts.Float32()
	if err != nil {
		return nil, err
	}
	return v, normalise(name, v, n[0])
}

// normalise divides sums by how many were added; no count means no knowledge.
func normalise(name string, v []float32, n float32) error {
	for i := range v {
		if n > 0 {
			v[i] /= n
		} else {
			v[i] = 1
		}
		if !(v[i] >= 0) || isInf(v[i]) {
			return &TensorError{name, &NumberError{int64(i), v[i], "importance"}}
		}
	}
	return nil
}

// ReadImatrixFile reads the file at path, in GGUF or in the older binary form.
func ReadImatrixFile(path string) (map[string][]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var m map[string][]float32
	if magic := make([]byte, 4); readFullAt(f, magic, 0) == nil && string(magic) == "GGUF" {
		r, err := NewReader(f, info.Size(), DefaultReaderOptions())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		m, err = ReadImatrix(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return m, nil
	}
	m, err = ReadLegacyImatrix(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// ReadLegacyImatrix reads the form before 2025 of size bytes: a count of entries,
// then for each the length of its name, the name, the number of calls, the number
// of values, and the sums; all little-endian 32 bits (llama.cpp, tools/imatrix).
func ReadLegacyImatrix(r io.Reader, size int64) (map[string][]float32, error) {
	d := &decoder{r: bufio.NewReader(r), size: size, order: binary.LittleEndian, v1: true, at: place{part: "importance matrix"},
		lim: DefaultReaderOptions().Limits}
	entries, err := d.count("entries", int64(d.lim.Tensors), 12)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]float32, entries)
	for range entries {
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		d.at = place{part: "importance of", name: name}
		calls, err := d.uint32()
		if err != nil {
			return nil, err
		}
		n, err := d.count("values", d.lim.ArrayLen, 4)
		if err != nil {
			return nil, err
		}
		v, err := array(d, n, 4, func(b []byte) float32 { return math.Float32frombits(d.order.Uint32(b)) })
		if err != nil {
			return nil, err
		}
		if err := normalise(name, v, float32(int32(calls))); err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}
