package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/borea-go/borea/internal/atomicfile"
)

// Format is how a stream of JSON Lines is compressed.
type Format string

// Formats of a Writer.
const (
	Plain Format = ""
	Gzip  Format = "gz"
	Zstd  Format = "zst"
)

// FormatOf returns the format that a path's suffix names: ".gz", ".zst" or none.
func FormatOf(path string) Format {
	switch {
	case strings.HasSuffix(path, ".gz"):
		return Gzip
	case strings.HasSuffix(path, ".zst"):
		return Zstd
	}
	return Plain
}

// Writer writes samples as JSON Lines. Equal samples give equal bytes.
type Writer struct {
	buf   *bufio.Writer
	close func() error
	enc   *json.Encoder
	n     int64
}

// NewWriter makes a writer. Close completes the stream; w stays open.
func NewWriter(w io.Writer, f Format) (*Writer, error) {
	inner, err := Compress(w, f)
	if err != nil {
		return nil, err
	}
	b := bufio.NewWriterSize(inner, 64<<10)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return &Writer{buf: b, close: inner.Close, enc: enc}, nil
}

// Compress returns a writer that compresses to w. Close completes the stream; w
// stays open. Equal bytes in give equal bytes out.
func Compress(w io.Writer, f Format) (io.WriteCloser, error) {
	switch f {
	case Plain:
		return plain{w}, nil
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		// One goroutine, so that the bytes do not depend on GOMAXPROCS.
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return nil, &OptionError{"format", f, `"", "gz" or "zst"`}
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// Write appends one sample; an empty ID becomes the content hash.
func (w *Writer) Write(s Sample) error {
	if s.ID == "" {
		s.ID = s.ContentID()
	}
	if err := w.enc.Encode(&s); err != nil {
		return fmt.Errorf("dataset: sample %d (%s): %w", w.n+1, s.ID, err)
	}
	w.n++
	return nil
}

// Count is the number of samples written.
func (w *Writer) Count() int64 { return w.n }

// Close flushes and completes the compressed stream.
func (w *Writer) Close() error {
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return w.close()
}

// Write writes a stream of samples and returns how many; the first error of the
// stream ends it and is returned.
func Write(w io.Writer, f Format, samples iter.Seq2[Sample, error]) (int64, error) {
	out, err := NewWriter(w, f)
	if err != nil {
		return 0, err
	}
	for s, err := range samples {
		if err != nil {
			return out.n, err
		}
		if err := out.Write(s); err != nil {
			return out.n, err
		}
	}
	return out.n, out.Close()
}

// WriteFile writes a stream to a file, compressed as its suffix says. The file
// appears whole or not at all: it is written under another name and renamed. It
// returns the number of samples.
func WriteFile(path string, samples iter.Seq2[Sample, error]) (n int64, err error) {
	err = atomicfile.WriteFile(path, 0o644, func(w io.Writer) error {
		n, err = Write(w, FormatOf(path), samples)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("dataset: %s: %w", path, err)
	}
	return n, nil
}
