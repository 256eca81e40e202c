package beam

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/split"
)

func labelled(t *testing.T, samples []dataset.Sample) []dataset.Sample {
	t.Helper()
	rules, err := label.Preset("default")
	require.NoError(t, err)
	out := slices.Clone(samples)
	for i := range out {
		if s := &out[i]; !s.Label.Valid() {
			d := label.FourClass(s.Request(), rules)
			s.Label, s.LabelSource, s.Why = d.Class, LabelledBy, d.RuleIDs()
		}
	}
	return out
}

func defaultRules(t *testing.T) label.RuleSet {
	t.Helper()
	rules, err := label.Preset("default")
	require.NoError(t, err)
	return rules.Set()
}

func gold(t *testing.T) (out []dataset.Sample) {
	t.Helper()
	items, err := label.Gold()
	require.NoError(t, err)
	for _, g := range items {
		s := dataset.Sample{Text: g.Text}
		s.ID = s.ContentID()
		out = append(out, s)
	}
	return out
}

func TestLabelIsFourClass(t *testing.T) {
	samples := append(distinctIDs(sample(t)), gold(t)...)
	want := labelled(t, samples)
	bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
		var o WriteOptions
		res := run(func(s beam.Scope) {
			o = writeTo(t, s, "labelled", must(Label(s, defaultRules(t), recordsOf(t, s, samples)))(t))
		})
		require.ElementsMatch(t, want, lines[dataset.Sample](t, o))
		n := map[string]int64{InCounter: int64(len(samples))}
		for i, s := range want {
			if !samples[i].Label.Valid() {
				n[LabelCounter(s.Label)]++
			}
		}
		require.Equal(t, n, counters(res))
	})
	s := beam.NewPipeline().Root()
	var re *label.RuleError
	_, err := Label(s, label.RuleSet{}, recordsOf(t, s, samples[:1]))
	require.ErrorAs(t, err, &re)
}

// wantParts splits in one process with the same keys.
func wantParts(t *testing.T, o SplitOptions, samples []dataset.Sample, cluster map[string]string) ([][]string, split.Report) {
	t.Helper()
	keys := split.Keys[dataset.Sample]{
		ID:    func(s dataset.Sample) string { return s.ID },
		Class: func(s dataset.Sample) string { return s.Label.String() },
	}
	if o.Mode != split.Sklearn {
		keys.Groups = func(s dataset.Sample) []string {
			g := o.Key(Record{Sample: s}).Groups
			if c, ok := cluster[s.ID]; ok {
				g = append(g, "near:"+c)
			}
			return g
		}
	}
	res, err := split.Stratified(samples, keys, o.Options)
	require.NoError(t, err)
	parts := make([][]string, len(o.Parts))
	for i, p := range res.Part {
		parts[p] = append(parts[p], samples[i].ID)
	}
	return parts, res.Report
}

func ids(samples []dataset.Sample) (out []string) {
	for _, s := range samples {
		out = append(out, s.ID)
	}
	return out
}

func TestSplitIsStratified(t *testing.T) {
	samples := labelled(t, append(sample(t), gold(t)...))
	grouped := DefaultSplitOptions()
	grouped.Host = true
	lone := DefaultSplitOptions()
	lone.Template, lone.Mode = false, split.Sklearn
	edges := []Edge{{samples[0].ID, samples[len(samples)-1].ID, 1}, {samples[1].ID, samples[len(samples)-2].ID, 1}}
	cluster, err := Components(eachEdge(edges))
	require.NoError(t, err)

	for name, tt := range map[string]struct {
		o       SplitOptions
		samples []dataset.Sample
		edges   []Edge
	}{"groups and edges": {grouped, samples, edges}, "sklearn": {lone, distinctIDs(samples), nil}} {
		t.Run(name, func(t *testing.T) {
			parts, report := wantParts(t, tt.o, tt.samples, cluster)
			wantReport, err := json.Marshal(report)
			require.NoError(t, err)
			bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
				out := make([]WriteOptions, len(parts))
				run(func(s beam.Scope) {
					var near []beam.PCollection
					if tt.edges != nil {
						near = append(near, beam.CreateList(s, tt.edges))
					}
					p := must(Split(s, tt.o, recordsOf(t, s, tt.samples), near...))(t)
					for i := range out {
						out[i] = writeTo(t, s, tt.o.Parts[i].Name, p.Records[i])
					}
					passert.Equals(s, p.Report, string(wantReport))
				})
				for i := range out {
					require.ElementsMatch(t, parts[i], ids(lines[dataset.Sample](t, out[i])))
				}
			})
		})
	}
}

func TestSplitFails(t *testing.T) {
	samples := labelled(t, distinctIDs(gold(t)))
	twice := append(samples, samples...)
	o := DefaultSplitOptions()
	o.Template, o.Mode = false, split.Sklearn
	p, s := beam.NewPipelineWithRoot()
	must(Split(s, o, recordsOf(t, s, twice)))(t)
	_, err := beam.Run(context.Background(), "direct", p)
	require.ErrorContains(t, err, ErrRepeatedID.Error())

	o.Parts = nil
	var oe *split.OptionError
	_, err = Split(s, o, recordsOf(t, s, samples))
	require.ErrorAs(t, err, &oe)
}

func TestWriteShards(t *testing.T) {
	samples := distinctIDs(sample(t))
	base := WriteOptions{Shards: 5, Format: dataset.Zstd}
	bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
		var first []string
		for range 2 {
			o := base
			dir := t.TempDir()
			o.Prefix = filepath.Join(dir, "deep", "part")
			slices.Reverse(samples)
			run(func(s beam.Scope) {
				paths := must(Write(s, o, recordsOf(t, s, samples)))(t)
				passert.Count(s, paths, "paths", o.Shards)
			})
			var got []dataset.Sample
			var bytes []string
			for shard := range o.Shards {
				b, err := os.ReadFile(o.Path(shard))
				require.NoError(t, err)
				bytes = append(bytes, string(b))
				for s, err := range dataset.ReadFile(o.Path(shard), dataset.DefaultReadOptions()) {
					require.NoError(t, err)
					got = append(got, s)
				}
			}
			require.ElementsMatch(t, samples, got)
			if first == nil {
				first = bytes
			}
			require.Equal(t, first, bytes)
			entries, err := os.ReadDir(filepath.Join(dir, "deep"))
			require.NoError(t, err)
			require.Len(t, entries, o.Shards, "no draft is left")
		}
	})
}

func TestWriteErrors(t *testing.T) {
	s := beam.NewPipeline().Root()
	var oe *dataset.OptionError
	for _, o := range []WriteOptions{{Shards: 1}, {Prefix: "x"}, {Prefix: "x", Shards: 1, Format: "rar"}} {
		_, err := Write(s, o, beam.CreateList(s, []Edge{}))
		require.ErrorAs(t, err, &oe)
	}
	var ee *ElementError
	_, err := Write(s, WriteOptions{Prefix: "x", Shards: 1}, beam.CreateList(s, []string{"x"}))
	require.ErrorAs(t, err, &ee)

	p, s := beam.NewPipelineWithRoot()
	must(Read(s, filepath.Join(t.TempDir(), "*.jsonl"), dataset.DefaultReadOptions()))(t)
	_, err = beam.Run(context.Background(), "direct", p)
	require.ErrorContains(t, err, "no files matching")
}
