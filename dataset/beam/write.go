package beam

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/borea-go/borea/dataset"
)

func init() {
	register.DoFn1x3[Record, int, Row, error](&recordRowFn{})
	register.DoFn1x3[dataset.Reject, int, Row, error](&rejectRowFn{})
	register.DoFn1x3[Edge, int, Row, error](&edgeRowFn{})
	register.DoFn5x1[context.Context, int, func(*Row) bool, func(*bool) bool, func(string), error](&shardFn{})
	register.Function1x2(shardSeed)
	register.Iter1[Row]()
	register.Iter1[bool]()
}

// WriteOptions say where Write puts its files.
type WriteOptions struct {
	// Prefix is the path, in a file system that is registered with Beam, that the names
	// of files begin with: PREFIX-00000-of-00004.jsonl.zst. Required.
	Prefix string `json:"prefix" yaml:"prefix"`
	// Shards is the number of files, 1 to 10,000; default 1. A worker holds a whole file
	// in memory to bring it in order.
	Shards int `json:"shards" yaml:"shards"`
	// Format is "" (default), "gz" or "zst".
	Format dataset.Format `json:"format" yaml:"format"`
}

// DefaultWriteOptions returns the documented defaults; Prefix has none.
func DefaultWriteOptions() WriteOptions { return WriteOptions{Shards: 1} }

// Validate reports the first option out of range as a *dataset.OptionError.
func (o WriteOptions) Validate() error {
	switch {
	case o.Prefix == "":
		return &dataset.OptionError{Option: "prefix", Value: o.Prefix, Want: "a path"}
	case o.Shards < 1 || o.Shards > 10000:
		return &dataset.OptionError{Option: "shards", Value: o.Shards, Want: "1 to 10000"}
	case !slices.Contains([]dataset.Format{dataset.Plain, dataset.Gzip, dataset.Zstd}, o.Format):
		return &dataset.OptionError{Option: "format", Value: o.Format, Want: `"", "gz" or "zst"`}
	}
	return nil
}

// Path is the name of one shard's file.
func (o WriteOptions) Path(shard int) string {
	path := fmt.Sprintf("%s-%05d-of-%05d.jsonl", o.Prefix, shard, o.Shards)
	if o.Format != dataset.Plain {
		path += "." + string(o.Format)
	}
	return path
}

// ElementError means a PCollection that Write knows no lines for.
type ElementError struct{ Type reflect.Type }

// Error implements error.
func (e *ElementError) Error() string {
	return fmt.Sprintf("dataset/beam: cannot write %v: want Record, Edge or dataset.Reject", e.Type)
}

// Row is one line on its way to a file.
type Row struct {
	Place Place  `json:"place"`
	Line  string `json:"line"`
}

// Write writes a PCollection of Record, Edge or dataset.Reject as JSON Lines and returns
// the paths as a PCollection<string>. The lines of a file are in the order of places, then
// of their bytes, and which file a line is in depends on the line alone, so equal
// collections give equal files. One shard of what Clean kept has the bytes of dataset.WriteFile
// on what dataset.Clean keeps. A file is written under another name and then renamed; shards
// without a line are written too.
func Write(s beam.Scope, o WriteOptions, col beam.PCollection) (beam.PCollection, error) {
	if err := o.Validate(); err != nil {
		return beam.PCollection{}, err
	}
	var rowOf any
	switch t := col.Type().Type(); t {
	case reflect.TypeFor[Record]():
		rowOf = &recordRowFn{o.Shards}
	case reflect.TypeFor[dataset.Reject]():
		rowOf = &rejectRowFn{o.Shards}
	case reflect.TypeFor[Edge]():
		rowOf = &edgeRowFn{o.Shards}
	default:
		return beam.PCollection{}, &ElementError{t}
	}
	s = s.Scope("beam.Write")
	shards := make([]int, o.Shards)
	for i := range shards {
		shards[i] = i
	}
	seeds := beam.ParDo(s, shardSeed, beam.CreateList(s, shards))
	rows := beam.CoGroupByKey(s, beam.ParDo(s, rowOf, col), seeds)
	return beam.ParDo(s, &shardFn{o}, rows), nil
}

func shardSeed(shard int) (int, bool) { return shard, true }

func row(p Place, v any, shards int) (int, Row, error) {
	line, err := marshal(v)
	h := fnv.New64a()
	h.Write(line)
	return int(h.Sum64() % uint64(shards)), Row{p, string(line)}, err
}

type recordRowFn struct{ Shards int }

// ProcessElement makes a record a line; an empty ID becomes the content hash.
func (f *recordRowFn) ProcessElement(r Record) (int, Row, error) {
	if r.Sample.ID == "" {
		r.Sample.ID = r.Sample.ContentID()
	}
	return row(r.Place, &r.Sample, f.Shards)
}

type rejectRowFn struct{ Shards int }

// ProcessElement makes a reject a line.
func (f *rejectRowFn) ProcessElement(r dataset.Reject) (int, Row, error) {
	return row(Place{Path: r.Path, Line: r.Line}, r, f.Shards)
}

type edgeRowFn struct{ Shards int }

// ProcessElement makes an edge a line.
func (f *edgeRowFn) ProcessElement(e Edge) (int, Row, error) { return row(Place{}, e, f.Shards) }

type shardFn struct{ Options WriteOptions }

// ProcessElement writes one file.
func (f *shardFn) ProcessElement(ctx context.Context, shard int, next func(*Row) bool, _ func(*bool) bool, emit func(string)) error {
	var rows []Row
	for r := (Row{}); next(&r); r = (Row{}) {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(a.Place.Compare(b.Place), cmp.Compare(a.Line, b.Line)) })
	path := f.Options.Path(shard)
	if err := f.publish(ctx, path, rows); err != nil {
		return fmt.Errorf("dataset/beam: %s: %w", path, err)
	}
	emit(path)
	return nil
}

// publish writes under a name that no other attempt at the same shard uses, then renames.
func (f *shardFn) publish(ctx context.Context, path string, rows []Row) error {
	fs, err := filesystem.New(ctx, path)
	if err != nil {
		return err
	}
	defer fs.Close()
	draft := path + ".partial-" + rand.Text()
	file, err := fs.OpenWrite(ctx, draft)
	if err != nil {
		return err
	}
	err = errors.Join(f.lines(file, rows), file.Close())
	if err == nil {
		err = filesystem.Rename(ctx, fs, draft, path)
	}
	if remover, ok := fs.(filesystem.Remover); ok && err != nil {
		remover.Remove(ctx, draft)
	}
	return err
}

func (f *shardFn) lines(w io.Writer, rows []Row) error {
	z, err := dataset.Compress(w, f.Options.Format)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := io.WriteString(z, r.Line+"\n"); err != nil {
			return err
		}
	}
	return z.Close()
}
