package public

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"github.com/borea-go/borea/dataset"
)

// ErrParquet says that a file is not Parquet, is damaged, or lacks a column.
var ErrParquet = errors.New("public: not a usable Parquet file")

// The place of the Japanese Wikipedia on a Hugging Face style hub. Pin the
// repository's revision beside it.
const (
	WikipediaRepo   = "wikimedia/wikipedia"
	WikipediaShards = 15
)

// WikipediaPath returns the path of shard i within WikipediaRepo, of the dump of
// November 2023.
func WikipediaPath(i int) (string, error) {
	if i < 0 || i >= WikipediaShards {
		return "", &dataset.OptionError{Option: "shard", Value: i, Want: fmt.Sprintf("0 to %d", WikipediaShards-1)}
	}
	return fmt.Sprintf("20231101.ja/train-%05d-of-%05d.parquet", i, WikipediaShards), nil
}

// article is a row of wikimedia/wikipedia.
type article struct {
	ID    string `parquet:"id"`
	URL   string `parquet:"url"`
	Title string `parquet:"title"`
	Text  string `parquet:"text"`
}

// rowsAtOnce bounds what is decoded ahead; pages are decompressed whole, and a
// dump's have about a MiB.
const rowsAtOnce = 16

// Wikipedia yields the articles of a Parquet file of wikimedia/wikipedia, columns
// id, url, title and text, of which size bytes can be read from r. A bad record
// comes as a *dataset.LineError whose Line is the row, from 1, after which reading
// goes on. Damage ends it with a *dataset.StreamError that matches ErrParquet.
// path only serves error messages. Options.MaxBytes bounds the text in total.
func Wikipedia(r io.ReaderAt, size int64, path string, opts Options) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		if err := opts.Validate(); err != nil {
			yield(dataset.Sample{}, err)
			return
		}
		stopped := false
		err := readArticles(r, size, opts, func(row int64, a article) bool {
			s, err := a.sample(path, row, opts)
			stopped = !yield(s, err)
			return !stopped
		})
		if err != nil && !stopped {
			yield(dataset.Sample{}, &dataset.StreamError{Path: path, Err: err})
		}
	}
}

// WikipediaFile is Wikipedia for a file, which is opened when iteration starts.
func WikipediaFile(path string, opts Options) iter.Seq2[dataset.Sample, error] {
	return fromFile(path, func(f *os.File) iter.Seq2[dataset.Sample, error] {
		st, err := f.Stat()
		if err != nil {
			return func(yield func(dataset.Sample, error) bool) {
				yield(dataset.Sample{}, &dataset.StreamError{Path: path, Err: err})
			}
		}
		return Wikipedia(f, st.Size(), path, opts)
	})
}

// readArticles calls each for the rows from opts.Skip on, until it says false. The
// Parquet library panics on some damaged files; that is an error here, but a
// panic of the consumer passes through.
func readArticles(r io.ReaderAt, size int64, opts Options, each func(row int64, a article) bool) (err error) {
	rows, err := openArticles(r, size, opts.Skip)
	if err != nil {
		return err
	}
	defer rows.Close() // holds buffers only
	batch := make([]article, rowsAtOnce)
	read := int64(0)
	for row := opts.Skip; ; {
		n, err := readRows(rows, batch)
		for _, a := range batch[:n] {
			row++
			if read += int64(len(a.Text)); read > opts.MaxBytes {
				return dataset.ErrTooLarge
			}
			if !each(row, a) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after row %d: %w", row, err)
		}
	}
}

func openArticles(r io.ReaderAt, size, skip int64) (rows *parquet.GenericReader[article], err error) {
	defer asError(&err)
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParquet, err)
	}
	for _, name := range []string{"id", "url", "title", "text"} {
		c, ok := f.Schema().Lookup(name)
		if !ok || c.Node.Type().Kind() != parquet.ByteArray {
			return nil, fmt.Errorf("%w: no text column %q", ErrParquet, name)
		}
	}
	rows = parquet.NewGenericReader[article](f)
	if err := rows.SeekToRow(min(skip, f.NumRows())); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParquet, err)
	}
	return rows, nil
}

func readRows(rows *parquet.GenericReader[article], batch []article) (n int, err error) {
	defer asError(&err)
	n, err = rows.Read(batch)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrParquet, err)
	}
	return n, err
}

func asError(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrParquet, p)
	}
}

// sample makes the row's sample, or says why it cannot.
func (a article) sample(path string, row int64, opts Options) (dataset.Sample, error) {
	bad := func(reason dataset.Reason, format string, v ...any) error {
		return &dataset.LineError{Path: path, Line: row, Reason: reason, Err: fmt.Errorf(format, v...)}
	}
	if n := len(a.Text); n > opts.MaxRecordBytes {
		return dataset.Sample{}, bad(dataset.LineTooLong, "%d bytes, more than %d", n, opts.MaxRecordBytes)
	}
	if !utf8.ValidString(a.Text) || !utf8.ValidString(a.URL) || !utf8.ValidString(a.Title) {
		return dataset.Sample{}, bad(dataset.InvalidUTF8, "not UTF-8")
	}
	if a.Text == "" {
		return dataset.Sample{}, bad(dataset.EmptyRecord, "no text")
	}
	s := dataset.Sample{Text: a.Text, Source: "wikipedia", URL: a.URL, Licence: "CC-BY-SA-4.0", Language: "ja"}
	s.ID = s.ContentID()
	return s, nil
}
