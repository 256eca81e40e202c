package public

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"

	"github.com/borea-go/borea/dataset"
)

// Options bound a reader. They are taken literally.
type Options struct {
	// Skip is how many records to pass over first, good or bad: Records of an
	// earlier reader of the same bytes. 0 or more.
	Skip int64 `json:"skip,omitempty" yaml:"skip"`
	// MaxRecordBytes is the longest record that is kept. At least 1, default 16 MiB.
	MaxRecordBytes int `json:"max_record_bytes" yaml:"max_record_bytes"`
	// MaxBytes is the decompressed size after which the stream is given up with
	// dataset.ErrTooLarge. At least 1, default 1 TiB.
	MaxBytes int64 `json:"max_bytes" yaml:"max_bytes"`
}

// DefaultOptions returns the defaults named at each field.
func DefaultOptions() Options { return Options{MaxRecordBytes: 16 << 20, MaxBytes: 1 << 40} }

// Validate returns a *dataset.OptionError for the first value out of its range.
func (o Options) Validate() error {
	for _, c := range []struct {
		name string
		v    int64
		low  int64
	}{{"Skip", o.Skip, 0}, {"MaxRecordBytes", int64(o.MaxRecordBytes), 1}, {"MaxBytes", o.MaxBytes, 1}} {
		if c.v < c.low {
			return &dataset.OptionError{Option: c.name, Value: c.v, Want: fmt.Sprintf("at least %d", c.low)}
		}
	}
	return nil
}

// Reader reads one file of a corpus.
type Reader struct {
	src     io.Reader
	path    string
	opts    Options
	format  format
	buf     *bufio.Reader
	record  []byte
	line    int64 // lines read
	offset  int64 // decompressed bytes read
	records int64 // records read, good or bad
}

// format is what tells the corpora apart.
type format struct {
	open  func(io.Reader) (io.Reader, error)
	join  bool // a record is the lines up to an empty one, else one line
	parse func([]byte) (dataset.Sample, *dataset.LineError)
}

// NewCC100 reads CC-100 text compressed with xz: one paragraph a line, an empty
// line between documents. path only serves error messages.
func NewCC100(r io.Reader, path string, opts Options) *Reader {
	return &Reader{src: r, path: path, opts: opts, format: format{open: openXZ, join: true, parse: parseCC100}}
}

// NewC4 reads C4 JSON Lines compressed with gzip: objects with "text" and "url".
// path only serves error messages.
func NewC4(r io.Reader, path string, opts Options) *Reader {
	return &Reader{src: r, path: path, opts: opts, format: format{open: openGzip, parse: parseC4}}
}

// Records is the number of records read so far, good and bad, skipped ones
// included: the Skip of a reader that is to continue after them.
func (r *Reader) Records() int64 { return r.records }

// All yields the samples in order. A bad record comes as a *dataset.LineError,
// after which reading goes on; a *dataset.StreamError or *dataset.OptionError is
// the last thing yielded. It can be iterated once.
func (r *Reader) All() iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		if err := r.opts.Validate(); err != nil {
			yield(dataset.Sample{}, err)
			return
		}
		dec, err := r.format.open(bufio.NewReaderSize(r.src, 1<<16))
		if err != nil {
			yield(dataset.Sample{}, &dataset.StreamError{Path: r.path, Err: err})
			return
		}
		r.buf = bufio.NewReaderSize(dec, 1<<16)
		for r.next(yield) {
		}
	}
}

// next reads one record and yields it; false ends the iteration.
func (r *Reader) next(yield func(dataset.Sample, error) bool) bool {
	line, offset := r.line+1, r.offset
	size, err := r.read()
	if err != nil && !errors.Is(err, io.EOF) {
		yield(dataset.Sample{}, &dataset.StreamError{Path: r.path, Offset: r.offset, Err: err})
		return false
	}
	if size == 0 {
		return err == nil // an empty line between records, or the end
	}
	r.records++
	if r.records <= r.opts.Skip {
		return err == nil
	}
	s, bad := r.sample(size)
	if bad != nil {
		bad.Path, bad.Line, bad.Offset = r.path, line, offset
		return yield(dataset.Sample{}, bad) && err == nil
	}
	return yield(s, nil) && err == nil
}

func (r *Reader) sample(size int64) (dataset.Sample, *dataset.LineError) {
	if size > int64(r.opts.MaxRecordBytes) {
		return dataset.Sample{}, &dataset.LineError{Reason: dataset.LineTooLong, Err: fmt.Errorf("%d bytes, more than %d", size, r.opts.MaxRecordBytes)}
	}
	if !utf8.Valid(r.record) {
		return dataset.Sample{}, &dataset.LineError{Reason: dataset.InvalidUTF8, Err: errors.New("not UTF-8")}
	}
	s, bad := r.format.parse(r.record)
	if bad == nil {
		s.ID = s.ContentID()
	}
	return s, bad
}

// read fills r.record and returns the record's size, of which r.record holds at
// most MaxRecordBytes+1. Empty lines before a record count nothing.
func (r *Reader) read() (size int64, err error) {
	r.record = r.record[:0]
	for {
		n, err := r.readLine(size > 0)
		if n == 0 && (size > 0 || err != nil) {
			return size, err
		}
		if n > 0 && size > 0 {
			size++ // the line feed between two lines
		}
		size += n
		if err != nil || n > 0 && !r.format.join {
			return size, err
		}
	}
}

// readLine appends a line without its end to r.record, after a line feed if asked,
// as far as there is room.
func (r *Reader) readLine(feed bool) (n int64, err error) {
	r.line++
	for {
		part, err := r.buf.ReadSlice('\n')
		r.offset += int64(len(part))
		if r.offset > r.opts.MaxBytes {
			return n, dataset.ErrTooLarge
		}
		full := errors.Is(err, bufio.ErrBufferFull)
		if !full {
			part = bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r"))
		}
		if feed && n == 0 && len(part) > 0 {
			r.keep([]byte("\n"))
		}
		r.keep(part)
		n += int64(len(part))
		if !full {
			return n, err
		}
	}
}

func (r *Reader) keep(b []byte) {
	room := r.opts.MaxRecordBytes + 1 - len(r.record)
	r.record = append(r.record, b[:max(0, min(len(b), room))]...)
}

// CC100 yields the documents of a CC-100 stream; see NewCC100.
func CC100(r io.Reader, opts Options) iter.Seq2[dataset.Sample, error] {
	return NewCC100(r, "", opts).All()
}

// C4 yields the documents of a C4 stream; see NewC4.
func C4(r io.Reader, opts Options) iter.Seq2[dataset.Sample, error] {
	return NewC4(r, "", opts).All()
}

// CC100File is CC100 for a file, which is opened when iteration starts.
func CC100File(path string, opts Options) iter.Seq2[dataset.Sample, error] {
	return fromFile(path, func(f *os.File) iter.Seq2[dataset.Sample, error] { return NewCC100(f, path, opts).All() })
}

// C4File is C4 for a file, which is opened when iteration starts.
func C4File(path string, opts Options) iter.Seq2[dataset.Sample, error] {
	return fromFile(path, func(f *os.File) iter.Seq2[dataset.Sample, error] { return NewC4(f, path, opts).All() })
}

func fromFile(path string, read func(*os.File) iter.Seq2[dataset.Sample, error]) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(dataset.Sample{}, &dataset.StreamError{Path: path, Err: err})
			return
		}
		defer f.Close() // read only: nothing to lose
		read(f)(yield)
	}
}
