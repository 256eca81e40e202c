package beam

import (
	"context"
	"errors"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/fileio"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local" // paths without a scheme
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/borea-go/borea/dataset"
)

func init() {
	register.Function1x1(pathOf)
	register.DoFn4x1[context.Context, string, func(Record), func(dataset.Reject), error](&readFn{})
	register.DoFn4x0[context.Context, string, func(Record), func(dataset.Reject)](&parseFn{})
	register.Emitter1[string]()
}

// Sorted is what a transform let pass and what it turned away.
type Sorted struct {
	// Kept is a PCollection<Record>.
	Kept beam.PCollection
	// Rejected is a PCollection<dataset.Reject>: every drop, each with its reason.
	Rejected beam.PCollection
}

// Read reads the files that a pattern names, JSON Lines plain, gzip or zstd, from any
// file system that is registered with Beam. A file is read by one worker, front to back:
// give it as many files as there is work to share. Unreadable lines are rejects; a file
// that cannot be read, and a pattern that matches none, fail the pipeline.
func Read(s beam.Scope, pattern string, o dataset.ReadOptions) (Sorted, error) {
	if err := o.Validate(); err != nil {
		return Sorted{}, err
	}
	s = s.Scope("beam.Read")
	files := fileio.MatchFiles(s, pattern, fileio.MatchEmptyDisallow())
	paths := beam.Reshuffle(s, beam.ParDo(s, pathOf, files))
	kept, rejected := beam.ParDo2(s, &readFn{o}, paths)
	return Sorted{kept, rejected}, nil
}

func pathOf(f fileio.FileMetadata) string { return f.Path }

type readFn struct{ Options dataset.ReadOptions }

// ProcessElement reads one file.
func (f *readFn) ProcessElement(ctx context.Context, path string, kept func(Record), rejected func(dataset.Reject)) error {
	fs, err := filesystem.New(ctx, path)
	if err != nil {
		return err
	}
	defer fs.Close()
	file, err := fs.OpenRead(ctx, path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := dataset.NewReader(file, path, f.Options)
	for sample, err := range r.All() {
		var line *dataset.LineError
		switch {
		case errors.As(err, &line):
			rejected(rejectLine(ctx, line))
		case err != nil:
			return err
		default:
			count(ctx, InCounter, 1)
			kept(Record{Place{Path: path, Line: r.Stats().Lines}, sample})
		}
	}
	return nil
}

// rejectLine counts a line that could not be read.
func rejectLine(ctx context.Context, line *dataset.LineError) dataset.Reject {
	count(ctx, InCounter, 1)
	countDrop(ctx, line.Reason)
	return dataset.Reject{Path: line.Path, Line: line.Line, Offset: line.Offset, Reason: line.Reason, Detail: line.Err.Error()}
}

// Parse reads a PCollection<string> of JSON lines from any other source. Its records have
// no place.
func Parse(s beam.Scope, o dataset.ReadOptions, lines beam.PCollection) (Sorted, error) {
	if err := o.Validate(); err != nil {
		return Sorted{}, err
	}
	kept, rejected := beam.ParDo2(s.Scope("beam.Parse"), &parseFn{o}, lines)
	return Sorted{kept, rejected}, nil
}

type parseFn struct{ Options dataset.ReadOptions }

// ProcessElement reads one line.
func (f *parseFn) ProcessElement(ctx context.Context, text string, kept func(Record), rejected func(dataset.Reject)) {
	sample, err := dataset.ParseLine([]byte(text), f.Options)
	var line *dataset.LineError
	if errors.As(err, &line) {
		rejected(rejectLine(ctx, line))
		return
	}
	count(ctx, InCounter, 1)
	kept(Record{Sample: sample})
}
