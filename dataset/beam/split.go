package beam

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/borea-go/borea/split"
)

func init() {
	register.DoFn1x2[Record, int, Key](&keyFn{})
	register.DoFn5x1[int, func(*Key) bool, func(*Edge) bool, func(string, int), func(string), error](&planFn{})
	register.DoFn4x0[string, func(*Record) bool, func(*int) bool, func(int, Record)](&placeFn{})
	register.DoFn3x0[int, Record, func(Record)](&takeFn{})
	register.Function1x2(byID)
	register.Emitter2[string, int]()
	register.Emitter2[int, Record]()
	register.Iter1[Key]()
	register.Iter1[Edge]()
	register.Iter1[int]()
}

// ErrRepeatedID means records of one ID that mode sklearn, which knows no groups, put in
// different parts.
var ErrRepeatedID = errors.New("dataset/beam: records of one ID lie in two parts")

// SplitOptions are the rules of Split.
type SplitOptions struct {
	split.Options `yaml:",inline"`
	// Template keeps the samples of one template in one part; default true.
	Template bool `json:"template" yaml:"template"`
	// Host keeps the samples whose URLs name one host in one part; default false.
	Host bool `json:"host" yaml:"host"`
}

// DefaultSplitOptions returns the documented defaults.
func DefaultSplitOptions() SplitOptions {
	return SplitOptions{Options: split.DefaultOptions(), Template: true}
}

// Key is what a record is split by.
type Key struct {
	ID     string   `json:"id"`
	Class  string   `json:"class"`
	Groups []string `json:"groups,omitempty"`
}

// Key returns what s is split by: its ID, its label, and the groups asked for.
func (o SplitOptions) Key(r Record) Key {
	k := Key{ID: r.Sample.ID, Class: r.Sample.Label.String()}
	if o.Template && r.Sample.TemplateID != "" {
		k.Groups = append(k.Groups, "template:"+r.Sample.TemplateID)
	}
	if u, err := url.Parse(r.Sample.URL); o.Host && err == nil && u.Host != "" {
		k.Groups = append(k.Groups, "host:"+strings.ToLower(u.Hostname()))
	}
	return k
}

// Parts is the result of Split.
type Parts struct {
	// Records holds a PCollection<Record> for each of Options.Parts.
	Records []beam.PCollection
	// Report is a PCollection<string> of one element, split.Report as JSON; of none
	// when there are no records.
	Report beam.PCollection
}

// Split puts each record in the part that split.Stratified would. Shares of classes,
// groups that join transitively and the proof are matters of the whole, so the keys of
// all records, without their texts, meet in one worker, which needs about 80 bytes a
// record beside them. Edges, which may be none, also keep records together; their number
// adds to that memory. The errors of split.Stratified fail the pipeline.
func Split(s beam.Scope, o SplitOptions, records beam.PCollection, edges ...beam.PCollection) (Parts, error) {
	if err := o.Validate(); err != nil {
		return Parts{}, err
	}
	s = s.Scope("beam.Split")
	near := beam.CreateList(s, []Edge{})
	if len(edges) > 0 {
		near = beam.Flatten(s, append(edges, near)...)
	}
	keys := beam.GroupByKey(s, beam.ParDo(s, &keyFn{o}, records))
	parts, report := beam.ParDo2(s, &planFn{o}, keys, beam.SideInput{Input: near})
	placed := beam.ParDo(s, &placeFn{}, beam.CoGroupByKey(s, beam.ParDo(s, byID, records), parts))
	out := Parts{Report: report}
	for i := range o.Parts {
		out.Records = append(out.Records, beam.ParDo(s, &takeFn{i}, placed))
	}
	return out, nil
}

type keyFn struct{ Options SplitOptions }

// ProcessElement sends a record's key where all keys meet.
func (f *keyFn) ProcessElement(r Record) (int, Key) { return 0, f.Options.Key(r) }

type planFn struct{ Options SplitOptions }

// ProcessElement splits all keys and emits the part of each ID, and the report.
func (f *planFn) ProcessElement(_ int, next func(*Key) bool, edges func(*Edge) bool, part func(string, int), report func(string)) error {
	keys := sorted(next)
	near := neighbours(edges)
	by := split.Keys[Key]{
		ID:    func(k Key) string { return k.ID },
		Class: func(k Key) string { return k.Class },
	}
	if f.Options.Mode != split.Sklearn || f.Options.Template || f.Options.Host || len(near) > 0 {
		by.Groups = func(k Key) []string { return append(near[k.ID], k.Groups...) }
	}
	res, err := split.Stratified(keys, by, f.Options.Options)
	if err != nil {
		return err
	}
	for i, p := range res.Part {
		switch {
		case i == 0 || keys[i].ID != keys[i-1].ID:
			part(keys[i].ID, int(p))
		case p != res.Part[i-1]:
			return ErrRepeatedID
		}
	}
	line, err := marshal(res.Report)
	report(string(line))
	return err
}

// sorted returns the keys in an order of their own, since theirs depends on the runner.
func sorted(next func(*Key) bool) (keys []Key) {
	for k := (Key{}); next(&k); k = (Key{}) {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Class, b.Class), slices.Compare(a.Groups, b.Groups))
	})
	return keys
}

// neighbours turns clusters of edges to group keys by ID.
func neighbours(edges func(*Edge) bool) map[string][]string {
	joined := forest{}
	for e := (Edge{}); edges(&e); {
		joined.join(e.A, e.B)
	}
	out := make(map[string][]string, len(joined))
	for id := range joined {
		out[id] = []string{"near:" + joined.root(id)}
	}
	return out
}

func byID(r Record) (string, Record) { return r.Sample.ID, r }

type placeFn struct{}

// ProcessElement gives the records of one ID their part.
func (placeFn) ProcessElement(_ string, records func(*Record) bool, parts func(*int) bool, emit func(int, Record)) {
	var part int
	if !parts(&part) {
		return
	}
	for r := (Record{}); records(&r); {
		emit(part, r)
	}
}

type takeFn struct{ Part int }

// ProcessElement lets the records of one part pass.
func (f *takeFn) ProcessElement(part int, r Record, emit func(Record)) {
	if part == f.Part {
		emit(r)
	}
}
