package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/borea-go/borea/gguf"
)

// listing is the JSON form of a file.
type listing struct {
	Version   int                 `json:"version"`
	BigEndian bool                `json:"big_endian"`
	Alignment uint32              `json:"alignment"`
	Metadata  []pair              `json:"metadata"`
	Tensors   []gguf.TensorReport `json:"tensors"`
}

type pair struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

func inspect(ctx context.Context, w io.Writer, a arguments) error {
	f, err := gguf.OpenFile(a.inspect, gguf.DefaultReaderOptions())
	if err != nil {
		return err
	}
	defer f.Close()
	r := f.Reader
	if a.check {
		if err := check(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", a.inspect, err)
		}
	}
	if a.json {
		return json.NewEncoder(w).Encode(list(r))
	}
	return table(w, r)
}

func check(ctx context.Context, r *gguf.Reader) error {
	for _, t := range r.Tensors() {
		if err := t.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func list(r *gguf.Reader) listing {
	l := listing{Version: r.Version(), BigEndian: r.BigEndian(), Alignment: r.Alignment()}
	for key, v := range r.All() {
		l.Metadata = append(l.Metadata, pair{key, kind(v), plain(v)})
	}
	for name, t := range r.Tensors() {
		l.Tensors = append(l.Tensors, gguf.TensorReport{Name: name, Type: t.Type.String(), Shape: t.Shape, Bytes: t.Size})
	}
	return l
}

// plain spells bytes as numbers, not as JSON's base64, and what JSON can not write
// as text.
func plain(v gguf.Value) any {
	if b, ok := gguf.AsArray[uint8](v); ok {
		out := make([]int, len(b))
		for i, x := range b {
			out[i] = int(x)
		}
		return out
	}
	if _, err := json.Marshal(v.Any()); err != nil {
		return fmt.Sprint(v.Any())
	}
	return v.Any()
}

func kind(v gguf.Value) string {
	if v.Kind() == gguf.KindArray {
		return fmt.Sprintf("%v[%d]", v.Elem(), v.Len())
	}
	return v.Kind().String()
}

func table(w io.Writer, r *gguf.Reader) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "version %d, alignment %d, %d keys, %d tensors\n\nKEY\tTYPE\tVALUE\n", r.Version(), r.Alignment(), r.Metadata.Len(), r.Len())
	for key, v := range r.All() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", key, kind(v), short(v.String()))
	}
	fmt.Fprintf(t, "\nTENSOR\tTYPE\tSHAPE\tBYTES\n")
	for name, x := range r.Tensors() {
		fmt.Fprintf(t, "%s\t%v\t%v\t%d\n", name, x.Type, x.Shape, x.Size)
	}
	return t.Flush()
}

// short cuts a value to one line; quoting keeps control characters of a strange
// file from the terminal.
func short(s string) string {
	q := fmt.Sprintf("%q", s)
	q = q[1 : len(q)-1]
	if r := []rune(q); len(r) > 72 {
		return string(r[:71]) + "…"
	}
	return q
}
