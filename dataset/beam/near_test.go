package beam

import (
	"errors"
	"iter"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/split"
)

func eachEdge(edges []Edge) iter.Seq2[Edge, error] {
	return func(yield func(Edge, error) bool) {
		for _, e := range edges {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// distinctIDs are the samples of which no earlier one has the ID.
func distinctIDs(samples []dataset.Sample) (out []dataset.Sample) {
	seen := map[string]bool{}
	for _, s := range samples {
		if !seen[s.ID] {
			seen[s.ID] = true
			out = append(out, s)
		}
	}
	return out
}

func TestNearDuplicatesAreThoseOfSplit(t *testing.T) {
	samples := append(distinctIDs(sample(t)), dataset.Sample{ID: "blank", Text: " "}, dataset.Sample{ID: "blank too", Text: "　"})
	o := split.DefaultNearOptions()
	root, err := split.NearDuplicates(len(samples), func(i int) string { return samples[i].Content() }, o)
	require.NoError(t, err)
	want := map[string]string{} // ID to cluster, named by its least ID
	for i, s := range samples {
		r := samples[root[i]].ID
		if name, ok := want[r]; !ok || s.ID < name {
			want[r] = s.ID
		}
	}
	least := map[string]string{}
	for i, s := range samples {
		least[s.ID] = want[samples[root[i]].ID]
	}

	bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
		var out WriteOptions
		run(func(s beam.Scope) {
			out = writeTo(t, s, "edges", must(NearDuplicates(s, o, recordsOf(t, s, samples)))(t))
		})
		edges := lines[Edge](t, out)
		require.Greater(t, len(edges), 50)
		got, err := Components(eachEdge(edges))
		require.NoError(t, err)
		for id, cluster := range least {
			if name, ok := got[id]; ok {
				require.Equal(t, cluster, name)
				continue
			}
			require.Equal(t, id, cluster, "no edge, but a cluster")
		}
		text := map[string]string{}
		for _, s := range samples {
			text[s.ID] = s.Content()
		}
		for _, e := range edges {
			require.Less(t, e.A, e.B)
			require.Equal(t, split.Jaccard(o.Pieces(text[e.A]), o.Pieces(text[e.B])), e.Similarity)
			require.GreaterOrEqual(t, e.Similarity, o.Threshold)
		}
	})
}

func TestComponents(t *testing.T) {
	got, err := Components(eachEdge([]Edge{{"d", "e", 1}, {"b", "c", 1}, {"c", "d", 1}, {"x", "y", 1}, {"b", "c", 1}}))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"b": "b", "c": "b", "d": "b", "e": "b", "x": "x", "y": "x"}, got)

	boom := errors.New("boom")
	_, err = Components(func(yield func(Edge, error) bool) { yield(Edge{}, boom) })
	require.ErrorIs(t, err, boom)

	var oe *split.OptionError
	s := beam.NewPipeline().Root()
	_, err = NearDuplicates(s, split.NearOptions{}, recordsOf(t, s, []dataset.Sample{{ID: "a", Text: "港"}}))
	require.ErrorAs(t, err, &oe)
}
