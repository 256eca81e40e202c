package beam

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
)

// variants are the options under which both ways of cleaning are compared.
func variants() map[string]dataset.CleanOptions {
	base := dataset.DefaultCleanOptions()
	base.MaxRejects = 1 << 20
	cut, split, off := base, base, base
	cut.OverLong, cut.MaxRunes = dataset.CutOverLong, 200
	split.OverLong, split.MaxRunes, split.MinRunes = dataset.SplitOverLong, 120, 20
	off.Dedup = dataset.DedupOff
	legacy := dataset.LegacyCleanOptions()
	legacy.MaxRejects = base.MaxRejects
	return map[string]dataset.CleanOptions{"default": base, "cut": cut, "split": split, "no dedup": off, "legacy": legacy}
}

func TestCleanKeepsWhatDatasetCleanKeeps(t *testing.T) {
	samples := sample(t)
	pattern := store(t, samples)
	bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
		for name, o := range variants() {
			t.Run(name, func(t *testing.T) {
				want := filepath.Join(t.TempDir(), "want.jsonl")
				seq, rep := dataset.Clean(context.Background(), files(t, pattern), o, dataset.Env{})
				_, err := dataset.WriteFile(want, seq)
				require.NoError(t, err)
				require.NoError(t, rep.Check())
				require.Greater(t, rep.Kept, int64(100))

				var kept, rejected WriteOptions
				res := run(func(s beam.Scope) {
					in := must(Read(s, pattern, dataset.DefaultReadOptions()))(t)
					out := must(Clean(s, o, nil, in.Kept))(t)
					kept = writeTo(t, s, "kept", out.Kept)
					rejected = writeTo(t, s, "rejected", beam.Flatten(s, in.Rejected, out.Rejected))
				})
				sameBytes(t, want, kept.Path(0))
				sameRejects(t, rep.Rejects, lines[dataset.Reject](t, rejected))
				require.Equal(t, reportCounters(rep), counters(res))
			})
		}
	})
}

func sameBytes(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	require.NoError(t, err)
	b, err := os.ReadFile(got)
	require.NoError(t, err)
	require.Equal(t, string(a), string(b))
}

// sameRejects compares drops as sets; a sample's path and line are known here only.
func sameRejects(t *testing.T, want, got []dataset.Reject) {
	t.Helper()
	for i := range got {
		require.NotEmpty(t, got[i].Path)
		require.Positive(t, got[i].Line)
		if got[i].ID != "" {
			got[i].Path, got[i].Line = "", 0
		}
	}
	for _, r := range [][]dataset.Reject{want, got} {
		slices.SortFunc(r, func(a, b dataset.Reject) int {
			return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.URL, b.URL))
		})
	}
	require.Equal(t, want, got)
}

func reportCounters(rep *dataset.CleanReport) map[string]int64 {
	want := map[string]int64{InCounter: rep.In, KeptCounter: rep.Kept, SplitCounter: rep.Split, CutCounter: rep.Cut}
	for why, n := range rep.Dropped {
		want[DroppedCounter(why)] = n
	}
	maps.DeleteFunc(want, func(_ string, n int64) bool { return n == 0 })
	return want
}

// Without places the least ID is kept, whatever the order of the input.
func TestCleanOfLinesIgnoresTheirOrder(t *testing.T) {
	samples := sample(t)
	byID := slices.Clone(samples)
	slices.SortStableFunc(byID, func(a, b dataset.Sample) int { return strings.Compare(a.ID, b.ID) })
	seq, _ := dataset.Clean(context.Background(), each(byID), dataset.DefaultCleanOptions(), dataset.Env{})
	var want []string
	for s, err := range seq {
		require.NoError(t, err)
		want = append(want, s.ID+" "+s.Text)
	}
	bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
		for range 2 {
			slices.Reverse(samples)
			var o WriteOptions
			run(func(s beam.Scope) {
				o = writeTo(t, s, "kept", must(Clean(s, dataset.DefaultCleanOptions(), nil, recordsOf(t, s, samples)))(t).Kept)
			})
			var got []string
			for _, s := range lines[dataset.Sample](t, o) {
				got = append(got, s.ID+" "+s.Text)
			}
			require.ElementsMatch(t, want, got)
		}
	})
}

func TestEqualRecordsButForMetadata(t *testing.T) {
	text := strings.Repeat("港の朝は早い。", 9)
	records := []Record{
		{Sample: dataset.Sample{ID: "a", Text: text, Source: "z"}},
		{Sample: dataset.Sample{ID: "a", Text: text, Source: "b"}},
		{Place: Place{Path: "x", Line: 2}, Sample: dataset.Sample{ID: "0", Text: text}},
	}
	for range 3 {
		records = append(records[1:], records[0])
		i := 0
		next := func(r *Record) bool {
			if i == len(records) {
				return false
			}
			*r = records[i]
			i++
			return true
		}
		var kept []Record
		var rejected []string
		firstFn{}.ProcessElement(context.Background(), "", next, func(r Record) { kept = append(kept, r) },
			func(r dataset.Reject) { rejected = append(rejected, r.ID) })
		require.Equal(t, []Record{{Sample: dataset.Sample{ID: "a", Text: text, Source: "b"}}}, kept)
		require.ElementsMatch(t, []string{"0", "a"}, rejected)
	}
}

// kanaDetector finds Japanese where there is kana.
type kanaDetector struct{}

// Detect implements dataset.LanguageDetector.
func (*kanaDetector) Detect(text string) (string, float64) {
	if strings.ContainsAny(text, "のはをにが") {
		return "ja", 1
	}
	return "zh", 0.5
}

func init() { beam.RegisterType(reflect.TypeFor[kanaDetector]()) }

func TestFilterDetectsOnTheWorker(t *testing.T) {
	o := dataset.DefaultCleanOptions()
	o.Languages, o.MinRunes, o.MinQuality = []string{"ja"}, 5, 0
	samples := []dataset.Sample{{ID: "ja", Text: "港の朝は早い。"}, {ID: "zh", Text: "港口早晨很早開始。"}}
	bothRunners(t, func(t *testing.T, run func(func(beam.Scope)) beam.PipelineResult) {
		var kept, rejected WriteOptions
		run(func(s beam.Scope) {
			out := must(Filter(s, o, reflect.TypeFor[kanaDetector](), recordsOf(t, s, samples)))(t)
			kept, rejected = writeTo(t, s, "kept", out.Kept), writeTo(t, s, "rejected", out.Rejected)
		})
		require.Len(t, lines[dataset.Sample](t, kept), 1)
		require.Equal(t, "ja", lines[dataset.Sample](t, kept)[0].Language)
		require.Equal(t, dataset.WrongLanguage, lines[dataset.Reject](t, rejected)[0].Reason)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	s := beam.NewPipeline().Root()
	records := recordsOf(t, s, []dataset.Sample{{ID: "a", Text: "港"}})
	bad := dataset.DefaultCleanOptions()
	bad.MinQuality = 2
	for _, clean := range []func() (Sorted, error){
		func() (Sorted, error) { return Clean(s, bad, nil, records) },
		func() (Sorted, error) { return Dedup(s, bad, records) },
		func() (Sorted, error) { return Filter(s, bad, nil, records) },
		func() (Sorted, error) { return Read(s, "x", dataset.ReadOptions{}) },
		func() (Sorted, error) { return Parse(s, dataset.ReadOptions{}, records) },
	} {
		var oe *dataset.OptionError
		_, err := clean()
		require.ErrorAs(t, err, &oe)
	}
	o := dataset.DefaultCleanOptions()
	o.Languages = []string{"ja"}
	_, err := Clean(s, o, nil, records)
	require.ErrorIs(t, err, dataset.ErrNoDetector)
	var de *DetectorError
	_, err = Clean(s, o, reflect.TypeFor[Place](), records)
	require.ErrorAs(t, err, &de)
}
