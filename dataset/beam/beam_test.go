package beam

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	os.Exit(m.Run())
}

// bothRunners runs a test on prism, which splits bundles and serialises everything, and on
// the direct runner, which does neither.
func bothRunners(t *testing.T, test func(t *testing.T, run func(build func(beam.Scope)) beam.PipelineResult)) {
	for _, runner := range []string{"prism", "direct"} {
		t.Run(runner, func(t *testing.T) {
			test(t, func(build func(beam.Scope)) beam.PipelineResult {
				p, s := beam.NewPipelineWithRoot()
				build(s)
				res, err := beam.Run(context.Background(), runner, p)
				require.NoError(t, err)
				return res
			})
		})
	}
}

// sample is a few hundred records: requests with answers, prose, and of many of them
// copies that differ in width, spaces and metadata.
func sample(t *testing.T) []dataset.Sample {
	t.Helper()
	o := dataset.DefaultSynthOptions()
	o.Total = 240
	var out []dataset.Sample
	for s, err := range dataset.Synthesize(o) {
		require.NoError(t, err)
		out = append(out, s)
	}
	for s, err := range dataset.ReadFile("../../examples/fullpipeline/prose.jsonl", dataset.DefaultReadOptions()) {
		require.NoError(t, err)
		out = append(out, s)
		for i, part := range strings.SplitAfter(strings.TrimSuffix(s.Text, "。"), "。") {
			out = append(out, dataset.Sample{Text: part, Source: "sentences"})
			if i%3 == 0 {
				out = append(out, dataset.Sample{Text: strings.Repeat(part, 40), Source: "repeated"})
			}
		}
	}
	for i, s := range out {
		if i%4 == 0 {
			out = append(out, altered(s, i))
		}
	}
	for i := range out {
		out[i].Text = out[i].Content() // as a reader does
		if out[i].ID == "" || i%7 == 0 {
			out[i].ID = out[i].ContentID()
		}
	}
	return append(out, out[3], out[5])
}

// altered is a copy that is an exact duplicate once normalised, or nearly one.
func altered(s dataset.Sample, i int) dataset.Sample {
	s.ID, s.Messages, s.URL = "", nil, "https://example.com/copy"
	switch i % 3 {
	case 0:
		s.Text = strings.ReplaceAll(s.Text, "。", "。　\n")
	case 1:
		s.Text = strings.ReplaceAll(s.Text, "1", "１") + " "
	default:
		s.Text = "なお、" + s.Text
	}
	return s
}

// store writes samples to three files, one of each format, with bad lines in the plain
// one, and returns a pattern for them.
func store(t *testing.T, samples []dataset.Sample) string {
	t.Helper()
	dir, n := t.TempDir(), len(samples)
	write := func(name string, s []dataset.Sample) {
		_, err := dataset.WriteFile(filepath.Join(dir, name), each(s))
		require.NoError(t, err)
	}
	write("a.jsonl", samples[:n/3])
	write("b.jsonl.gz", samples[n/3:n/2])
	write("c.jsonl.zst", samples[n/2:])
	f, err := os.OpenFile(filepath.Join(dir, "a.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("not JSON\n\n{\"text\":7}\n{\"text\":\"\xff\"}\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return filepath.Join(dir, "*.jsonl*")
}

func each(samples []dataset.Sample) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		for _, s := range samples {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// files reads the files of a pattern, one after the other.
func files(t *testing.T, pattern string) iter.Seq2[dataset.Sample, error] {
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return func(yield func(dataset.Sample, error) bool) {
		for _, p := range paths {
			for s, err := range dataset.ReadFile(p, dataset.DefaultReadOptions()) {
				if !yield(s, err) {
					return
				}
			}
		}
	}
}

func lines[T any](t *testing.T, o WriteOptions) (out []T) {
	t.Helper()
	for shard := range o.Shards {
		b, err := os.ReadFile(o.Path(shard))
		require.NoError(t, err)
		for line := range bytes.Lines(b) {
			var v T
			require.NoError(t, json.Unmarshal(line, &v))
			out = append(out, v)
		}
	}
	return out
}

func writeTo(t *testing.T, s beam.Scope, name string, col beam.PCollection) WriteOptions {
	t.Helper()
	o := DefaultWriteOptions()
	o.Prefix = filepath.Join(t.TempDir(), name)
	must(Write(s, o, col))(t)
	return o
}

// must returns what a transform made, and fails the test if it made none.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

// recordsOf creates records without a place.
func recordsOf(t *testing.T, s beam.Scope, samples []dataset.Sample) beam.PCollection {
	t.Helper()
	in := make([]string, len(samples))
	for i := range samples {
		b, err := marshal(&samples[i])
		require.NoError(t, err)
		in[i] = string(b)
	}
	return must(Parse(s, dataset.DefaultReadOptions(), beam.CreateList(s, in)))(t).Kept
}

func counters(res beam.PipelineResult) map[string]int64 {
	out := map[string]int64{}
	for _, c := range res.Metrics().AllMetrics().Counters() {
		if c.Key.Namespace == Namespace {
			out[c.Key.Name] += c.Result()
		}
	}
	return out
}
