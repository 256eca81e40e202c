package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// ReadOptions limits what a reader accepts.
type ReadOptions struct {
	// MaxLineBytes is the longest line in bytes, ≥ 2; default 8 MiB.
	MaxLineBytes int `json:"max_line_bytes" yaml:"max_line_bytes"`
	// MaxBytes is the most decoded bytes of a stream, ≥ 1; default 1 TiB.
	MaxBytes int64 `json:"max_bytes" yaml:"max_bytes"`
	// MaxWindow is the most memory a .zst frame may ask for, in bytes, ≥ 1 KiB;
	// default 128 MiB (zstd --long=27).
	MaxWindow uint64 `json:"max_window" yaml:"max_window"`
}

// DefaultReadOptions returns the documented defaults.
func DefaultReadOptions() ReadOptions {
	return ReadOptions{MaxLineBytes: 8 << 20, MaxBytes: 1 << 40, MaxWindow: 128 << 20}
}

// Validate reports the first option out of range as an *OptionError.
func (o ReadOptions) Validate() error {
	switch {
	case o.MaxLineBytes < 2:
		return &OptionError{"max_line_bytes", o.MaxLineBytes, "at least 2"}
	case o.MaxBytes < 1:
		return &OptionError{"max_bytes", o.MaxBytes, "at least 1"}
	case o.MaxWindow < 1<<10:
		return &OptionError{"max_window", o.MaxWindow, "at least 1024"}
	}
	return nil
}

// ReadStats counts what a Reader met. Lines = Samples + Blank + Σ Rejected.
type ReadStats struct {
	Lines    int64            `json:"lines"`
	Samples  int64            `json:"samples"`
	Blank    int64            `json:"blank"`
	CRLF     int64            `json:"crlf"` // lines that ended in \r\n; accepted
	BOM      bool             `json:"bom"`  // a byte order mark at the start; skipped
	Bytes    int64            `json:"bytes"`
	Rejected map[Reason]int64 `json:"rejected"`
}

// Reader reads JSON Lines, plain, gzip or zstd (told apart by their first bytes).
type Reader struct {
	src   io.Reader
	path  string
	opts  ReadOptions
	buf   *bufio.Reader
	line  []byte
	stats ReadStats
}

// NewReader makes a reader; path only serves error messages. Nothing is read
// before All is iterated.
func NewReader(r io.Reader, path string, opts ReadOptions) *Reader {
	return &Reader{src: r, path: path, opts: opts, stats: ReadStats{Rejected: map[Reason]int64{}}}
}

// Stats returns the counts so far.
func (r *Reader) Stats() ReadStats { return r.stats }

// All yields the samples in order. A bad line is yielded as a *LineError and
// reading goes on; a *StreamError or *OptionError is the last thing yielded.
// It can be iterated once.
func (r *Reader) All() iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		if err := r.opts.Validate(); err != nil {
			yield(Sample{}, err)
			return
		}
		dec, done, err := decompress(r.src, r.opts)
		if err != nil {
			yield(Sample{}, &StreamError{r.path, 0, err})
			return
		}
		defer done()
		r.buf = bufio.NewReaderSize(dec, 64<<10)
		r.skipBOM()
		for r.next(yield) {
		}
	}
}

// next reads one line and yields what it holds; false ends the stream.
func (r *Reader) next(yield func(Sample, error) bool) bool {
	start := r.stats.Bytes
	tooLong, err := r.readLine()
	if err != nil && !(errors.Is(err, io.EOF) && r.stats.Bytes > start) {
		if !errors.Is(err, io.EOF) {
			yield(Sample{}, &StreamError{r.path, r.stats.Bytes, err})
		}
		return false
	}
	r.stats.Lines++
	s, lerr := r.parse(tooLong)
	switch {
	case lerr != nil:
		lerr.Path, lerr.Line, lerr.Offset = r.path, r.stats.Lines, start
		r.stats.Rejected[lerr.Reason]++
		return yield(Sample{}, lerr) && err == nil
	case len(r.line) == 0:
		r.stats.Blank++
		return err == nil
	}
	r.stats.Samples++
	return yield(s, nil) && err == nil
}

func (r *Reader) parse(tooLong bool) (Sample, *LineError) {
	switch {
	case tooLong:
		return Sample{}, &LineError{Reason: LineTooLong, Err: fmt.Errorf("more than %d bytes", r.opts.MaxLineBytes)}
	case len(r.line) == 0:
		return Sample{}, nil
	}
	return parseSample(r.line)
}

// ParseLine reads one line, as a Reader would, for callers with lines of their own. The
// error is a *LineError without a place; a line of nothing but blanks is an EmptyRecord.
func ParseLine(line []byte, opts ReadOptions) (Sample, error) {
	r := Reader{opts: opts, line: line}
	r.trimEnd()
	s, err := r.parse(len(r.line) > opts.MaxLineBytes)
	switch {
	case err != nil:
		return Sample{}, err
	case len(r.line) == 0:
		return Sample{}, &LineError{Reason: EmptyRecord, Err: errors.New("a blank line")}
	}
	return s, nil
}

func invalidAt(b []byte) int64 {
	for i := 0; i < len(b); {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n == 1 {
			return int64(i)
		}
		i += n
	}
	return 0
}

// readLine fills r.line without its end. A line over the limit is read to its
// end but not kept.
func (r *Reader) readLine() (tooLong bool, err error) {
	r.line = r.line[:0]
	for {
		part, err := r.buf.ReadSlice('\n')
		r.stats.Bytes += int64(len(part))
		if r.stats.Bytes > r.opts.MaxBytes {
			return false, ErrTooLarge
		}
		if tooLong = tooLong || len(r.line)+len(bytes.TrimRight(part, "\r\n")) > r.opts.MaxLineBytes; !tooLong {
			r.line = append(r.line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		r.trimEnd()
		return tooLong, err
	}
}

func (r *Reader) trimEnd() {
	r.line = bytes.TrimSuffix(r.line, []byte("\n"))
	if bytes.HasSuffix(r.line, []byte("\r")) {
		r.stats.CRLF++
		r.line = r.line[:len(r.line)-1]
	}
	r.line = bytes.Trim(r.line, " \t")
}

func (r *Reader) skipBOM() {
	if b, _ := r.buf.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		r.buf.Discard(3)
		r.stats.BOM = true
		r.stats.Bytes += 3
	}
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// decompress looks at the first bytes and returns a reader of the plain stream.
func decompress(src io.Reader, o ReadOptions) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(src, 64<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(b)
		return z, func() {}, err
	case bytes.Equal(head, zstdMagic):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(o.MaxWindow), zstd.WithDecoderMaxMemory(uint64(o.MaxBytes)))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// Read yields the samples of a stream of JSON Lines; see Reader.All for errors.
func Read(r io.Reader, opts ReadOptions) iter.Seq2[Sample, error] {
	return NewReader(r, "", opts).All()
}

// ReadFile yields the samples of a file; it is opened when iteration starts and
// closed when it ends.
func ReadFile(path string, opts ReadOptions) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Sample{}, &StreamError{path, 0, err})
			return
		}
		defer f.Close()
		NewReader(f, path, opts).All()(yield)
	}
}
