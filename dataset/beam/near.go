package beam

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/filter"

	"github.com/borea-go/borea/split"
)

func init() {
	register.DoFn2x0[Record, func(string, string)](&bandFn{})
	register.DoFn3x0[string, func(*string) bool, func(string, string)](&bucketFn{})
	register.DoFn4x0[string, func(*string) bool, func(*string) bool, func(string, Text)](&textFn{})
	register.DoFn3x1[string, func(*Text) bool, func(string), error](&compareFn{})
	register.Function1x2(textOf)
	register.Function1x2(parseEdge)
	register.Emitter1[Edge]()
	register.Emitter2[string, string]()
	register.Emitter2[string, Text]()
	register.Iter1[string]()
	register.Iter1[Text]()
}

// Edge joins two records whose texts are near-duplicates.
type Edge struct {
	A          string  `json:"a"` // the lesser ID
	B          string  `json:"b"`
	Similarity float64 `json:"similarity"`
}

// Text is an ID with its text, as it travels to where texts are compared.
type Text struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// NearDuplicates returns a PCollection<Edge> whose connected components are the clusters
// of split.NearDuplicates, with IDs for indices: not every pair of a cluster, but
// enough of them to connect it, and each was compared in full. Records of one ID are
// taken for one. The components themselves need more than a pass: see Components, or
// hand the edges to Split.
//
// IDs are shuffled Bands times, texts only to those that share a band with another, once
// for each set of IDs that do. Time grows as split.NearDuplicates says, within one worker
// for one set.
func NearDuplicates(s beam.Scope, o split.NearOptions, records beam.PCollection) (beam.PCollection, error) {
	if err := o.Validate(); err != nil {
		return beam.PCollection{}, err
	}
	s = s.Scope("beam.NearDuplicates")
	bands := beam.ParDo(s, &bandFn{o}, records)
	buckets := beam.ParDo(s, &bucketFn{}, beam.GroupByKey(s, bands))
	texts := beam.ParDo(s, &textFn{}, beam.CoGroupByKey(s, buckets, beam.ParDo(s, textOf, records)))
	edges := beam.ParDo(s, &compareFn{o}, beam.GroupByKey(s, texts))
	return beam.ParDo(s, parseEdge, filter.Distinct(s, edges)), nil
}

type bandFn struct{ Options split.NearOptions }

// ProcessElement emits a record's ID under each of its bands.
func (f *bandFn) ProcessElement(r Record, emit func(band, id string)) {
	for band, hash := range f.Options.BandHashes(r.Sample.Content()) {
		emit(fmt.Sprintf("%d:%x", band, hash), r.Sample.ID)
	}
}

type bucketFn struct{}

// ProcessElement names the set of IDs that share a band and emits the name under each of
// them. Bands with the same set name it alike, so that it is compared once.
func (bucketFn) ProcessElement(_ string, ids func(*string) bool, emit func(id, bucket string)) {
	set := distinct(ids)
	if len(set) < 2 {
		return
	}
	h := sha256.New()
	for _, id := range set {
		fmt.Fprintf(h, "%d:%s", len(id), id)
	}
	name := hex.EncodeToString(h.Sum(nil)[:16])
	for _, id := range set {
		emit(id, name)
	}
}

// distinct returns the values of an iterator, sorted, each once.
func distinct(next func(*string) bool) (out []string) {
	var v string
	for next(&v) {
		out = append(out, v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func textOf(r Record) (id, text string) { return r.Sample.ID, r.Sample.Content() }

type textFn struct{}

// ProcessElement sends the text of an ID to the buckets that it is in.
func (textFn) ProcessElement(id string, buckets, texts func(*string) bool, emit func(bucket string, t Text)) {
	in := distinct(buckets)
	if len(in) == 0 {
		return
	}
	for _, text := range distinct(texts) {
		for _, b := range in {
			emit(b, Text{id, text})
		}
	}
}

type compareFn struct{ Options split.NearOptions }

// ProcessElement compares the texts of one bucket, but for those already connected in it.
func (f *compareFn) ProcessElement(_ string, texts func(*Text) bool, emit func(string)) error {
	var all []Text
	for t := (Text{}); texts(&t); {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Text) int { return strings.Compare(a.ID+"\x00"+a.Text, b.ID+"\x00"+b.Text) })
	pieces := make([][]uint64, len(all))
	for i, t := range all {
		pieces[i] = f.Options.Pieces(t.Text)
	}
	joined := forest{}
	for i, b := range all {
		for j, a := range all[:i] {
			if len(pieces[i])+len(pieces[j]) == 0 || joined.root(a.ID) == joined.root(b.ID) {
				continue
			}
			similarity := split.Jaccard(pieces[j], pieces[i])
			if similarity < f.Options.Threshold {
				continue
			}
			joined.join(a.ID, b.ID)
			line, err := marshal(Edge{a.ID, b.ID, similarity})
			if err != nil {
				return err
			}
			emit(string(line))
		}
	}
	return nil
}

func parseEdge(line string) (e Edge, err error) {
	err = json.Unmarshal([]byte(line), &e)
	return e, err
}
