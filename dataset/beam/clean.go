package beam

import (
	"context"
	"encoding/hex"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/borea-go/borea/dataset"
)

func init() {
	register.DoFn3x0[Record, func(string, Record), func(Record)](&contentKeyFn{})
	register.DoFn5x0[context.Context, string, func(*Record) bool, func(Record), func(dataset.Reject)](&firstFn{})
	register.DoFn4x0[context.Context, Record, func(Record), func(dataset.Reject)](&filterFn{})
}

// DetectorError means a detector type that cannot be used on workers.
type DetectorError struct{ Type reflect.Type }

// Error implements error.
func (e *DetectorError) Error() string {
	return fmt.Sprintf("dataset/beam: *%v is no dataset.LanguageDetector", e.Type)
}

// Clean is Dedup, then Filter: the rules of dataset.Clean in its order.
func Clean(s beam.Scope, o dataset.CleanOptions, detector reflect.Type, records beam.PCollection) (Sorted, error) {
	s = s.Scope("beam.Clean")
	unique, err := Dedup(s, o, records)
	if err != nil {
		return Sorted{}, err
	}
	passed, err := Filter(s, o, detector, unique.Kept)
	if err != nil {
		return Sorted{}, err
	}
	return Sorted{passed.Kept, beam.Flatten(s, unique.Rejected, passed.Rejected)}, nil
}

// Dedup keeps one of all records whose texts are equal as o.Dedup compares: the first by
// place, among equal places by ID. With Read that is the one that dataset.Clean keeps when
// it reads the files in the order of their paths.
func Dedup(s beam.Scope, o dataset.CleanOptions, records beam.PCollection) (Sorted, error) {
	if err := o.Validate(); err != nil {
		return Sorted{}, err
	}
	s = s.Scope("beam.Dedup")
	keyed, unsought := beam.ParDo2(s, &contentKeyFn{o.Dedup}, records)
	first, rejected := beam.ParDo2(s, &firstFn{}, beam.GroupByKey(s, keyed))
	return Sorted{beam.Flatten(s, first, unsought), rejected}, nil
}

type contentKeyFn struct{ Dedup dataset.Dedup }

// ProcessElement emits a record under its key, or alone when it has none.
func (f *contentKeyFn) ProcessElement(r Record, keyed func(string, Record), unsought func(Record)) {
	key, sought := f.Dedup.Key(r.Sample.Content())
	if !sought {
		unsought(r)
		return
	}
	keyed(hex.EncodeToString(key[:]), r)
}

type firstFn struct{}

// ProcessElement keeps the first of the records of one key, whatever order they come in,
// and holds no more than one of them.
func (firstFn) ProcessElement(ctx context.Context, _ string, records func(*Record) bool, kept func(Record), rejected func(dataset.Reject)) {
	var first, r Record
	records(&first)
	for records(&r) {
		if r.before(first) {
			first, r = r, first
		}
		countDrop(ctx, dataset.Duplicate)
		rejected(r.reject(dataset.Duplicate))
	}
	kept(first)
}

// Filter applies length, quality, Japanese share and language, record by record; what
// passes gets its scores written anew. detector is nil or a type whose pointer is a
// dataset.LanguageDetector ready in its zero value; each worker makes its own. Beam must
// know the type by name: beam.RegisterType. MaxRejects has no meaning here.
func Filter(s beam.Scope, o dataset.CleanOptions, detector reflect.Type, records beam.PCollection) (Sorted, error) {
	if err := o.Validate(); err != nil {
		return Sorted{}, err
	}
	fn := &filterFn{Options: o}
	switch {
	case detector != nil && !reflect.PointerTo(detector).Implements(reflect.TypeFor[dataset.LanguageDetector]()):
		return Sorted{}, &DetectorError{detector}
	case detector != nil:
		fn.Detector = &beam.EncodedType{T: detector}
	case len(o.Languages) > 0:
		return Sorted{}, dataset.ErrNoDetector
	}
	kept, rejected := beam.ParDo2(s.Scope("beam.Filter"), fn, records)
	return Sorted{kept, rejected}, nil
}

type filterFn struct {
	Options  dataset.CleanOptions
	Detector *beam.EncodedType

	detector dataset.LanguageDetector
	runes    beam.Distribution
}

// Setup makes the worker's detector.
func (f *filterFn) Setup() error {
	f.runes = beam.NewDistribution(Namespace, RunesDistribution)
	if f.Detector == nil {
		return nil
	}
	d, ok := reflect.New(f.Detector.T).Interface().(dataset.LanguageDetector)
	if !ok {
		return &DetectorError{f.Detector.T}
	}
	f.detector = d
	return nil
}

// ProcessElement judges one record, or its pieces.
func (f *filterFn) ProcessElement(ctx context.Context, r Record, kept func(Record), rejected func(dataset.Reject)) {
	pieces := f.Options.Pieces(r.Sample)
	count(ctx, SplitCounter, int64(len(pieces)-1))
	if len(pieces) == 1 && len(pieces[0].Text) < len(r.Sample.Text) {
		count(ctx, CutCounter, 1)
	}
	for i := range pieces {
		piece := Record{r.Place, pieces[i]}
		piece.Place.Piece = i
		if why, _ := f.Options.Judge(&piece.Sample, f.detector); why != "" {
			countDrop(ctx, why)
			rejected(piece.reject(why))
			continue
		}
		count(ctx, KeptCounter, 1)
		f.runes.Update(ctx, int64(utf8.RuneCountInString(piece.Sample.Content())))
		kept(piece)
	}
}
