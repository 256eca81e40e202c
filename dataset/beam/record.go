package beam

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/borea-go/borea/dataset"
)

func init() {
	beam.RegisterCoder(reflect.TypeFor[Record](), encodeRecord, decodeRecord)
	beam.RegisterCoder(reflect.TypeFor[dataset.Reject](), encodeReject, decodeReject)
	register.Emitter1[Record]()
	register.Emitter1[dataset.Reject]()
	register.Emitter2[string, Record]()
	register.Iter1[Record]()
}

// Place is where a record stood in the input; the zero value where the input has no
// order. Places give distributed work the order that a stream has by itself.
type Place struct {
	Path  string `json:"path,omitempty"`
	Line  int64  `json:"line,omitempty"`  // from 1
	Piece int    `json:"piece,omitempty"` // of an over-long text that was split, from 0
}

// Compare orders places by path, line and piece.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Path, q.Path), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Piece, q.Piece))
}

// Record is a sample on its way through a pipeline. Between workers it travels as
// JSON.
type Record struct {
	Place  Place          `json:"place"`
	Sample dataset.Sample `json:"sample"`
}

// before is the total order by which one of several duplicates is chosen: place, then
// ID, then all else.
func (r Record) before(q Record) bool {
	if c := cmp.Or(r.Place.Compare(q.Place), cmp.Compare(r.Sample.ID, q.Sample.ID)); c != 0 {
		return c < 0
	}
	a, errA := encodeRecord(r)
	b, errB := encodeRecord(q)
	return errA == nil && errB == nil && bytes.Compare(a, b) < 0
}

// reject says why r is dropped, as dataset.Clean's report would.
func (r Record) reject(why dataset.Reason) dataset.Reject {
	return dataset.Reject{
		ID: r.Sample.ID, URL: r.Sample.URL, Path: r.Place.Path, Line: r.Place.Line,
		Reason: why, Quality: r.Sample.Quality,
	}
}

func encodeRecord(r Record) ([]byte, error) { return marshal(r) }

func decodeRecord(b []byte) (r Record, err error) {
	err = json.Unmarshal(b, &r)
	return r, err
}

func encodeReject(r dataset.Reject) ([]byte, error) { return marshal(r) }

func decodeReject(b []byte) (r dataset.Reject, err error) {
	err = json.Unmarshal(b, &r)
	return r, err
}

// marshal writes JSON as dataset.Writer does, without the line break.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
