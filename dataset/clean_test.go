package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func of(samples ...Sample) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for _, s := range samples {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func cleanAll(t *testing.T, in iter.Seq2[Sample, error], o CleanOptions, env Env) ([]Sample, *CleanReport) {
	t.Helper()
	seq, rep := Clean(context.Background(), in, o, env)
	var out []Sample
	for s, err := range seq {
		require.NoError(t, err)
		out = append(out, s)
	}
	require.NoError(t, rep.Check())
	require.EqualValues(t, len(out), rep.Kept)
	return out, rep
}

func proseOf(n int) string { return string([]rune(strings.Repeat(prose, n/len([]rune(prose))+1))[:n]) }

func TestCleanRules(t *testing.T) {
	english := "The harbour wakes early. Before dawn the quays are full of voices, ropes and lamps, and the first ship waits for its pilot beyond the breakwater."
	tests := []struct {
		name, text string
		want       Reason
	}{
		{"49 characters", proseOf(49), TooShort},
		{"50 characters", proseOf(50), ""},
		{"no Japanese", english, LowJapanese},
		{"repetition", strings.Repeat("最高です。", 60), LowQuality},
		{"5,001 characters", proseOf(5001), TooLong},
		{"full-width and spaced copy", strings.ReplaceAll(proseOf(120), "、", "、 "), Duplicate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, rep := cleanAll(t, of(Sample{ID: "first", Text: proseOf(120)}, Sample{ID: "x", Text: tt.text, Quality: 0.99}), DefaultCleanOptions(), Env{})
			if tt.want == "" {
				require.Len(t, out, 2)
				require.Equal(t, Quality(tt.text), out[1].Quality, "an old score must not survive")
				return
			}
			require.Len(t, out, 1)
			require.Equal(t, map[Reason]int64{tt.want: 1}, rep.Dropped)
			require.Equal(t, "x", rep.Rejects[0].ID)
			require.Equal(t, tt.want, rep.Rejects[0].Reason)
		})
	}
}

func TestOverLong(t *testing.T) {
	long := proseOf(12345)
	o := DefaultCleanOptions()
	o.MinQuality = 0 // the repeated passage is not the point here
	out, rep := cleanAll(t, of(Sample{ID: "a", Text: long}), o, Env{})
	require.Empty(t, out)
	require.EqualValues(t, 1, rep.Dropped[TooLong])

	o.OverLong = CutOverLong
	out, rep = cleanAll(t, of(Sample{ID: "a", Text: long}), o, Env{})
	require.Len(t, out, 1)
	require.EqualValues(t, 1, rep.Cut)
	require.True(t, strings.HasPrefix(long, out[0].Text))
	require.LessOrEqual(t, len([]rune(out[0].Text)), 5000)
	require.Regexp(t, "[。、\n]$", out[0].Text)

	o.OverLong = SplitOverLong
	out, rep = cleanAll(t, of(Sample{ID: "a", Text: long, URL: "u"}), o, Env{})
	var joined strings.Builder
	for _, s := range out {
		joined.WriteString(s.Text)
		require.Equal(t, s.ContentID(), s.ID)
		require.Equal(t, "u", s.URL)
	}
	require.Equal(t, long, joined.String())
	require.EqualValues(t, 2, rep.Split)

	msgs := []Message{{Role: "user", Content: "説明して"}, {Role: "assistant", Content: long}}
	_, rep = cleanAll(t, of(Sample{Messages: msgs}), o, Env{})
	require.EqualValues(t, 1, rep.Dropped[TooLong], "a conversation is not cut")
}

func TestCutWithoutMarks(t *testing.T) {
	require.Equal(t, len("あい"), cutAt("あいうえ", 2, 0))
	require.Equal(t, len("あ、いう"), cutAt("あ、いうえ", 4, 2), "a mark too early is no place to cut")
	require.Equal(t, len("あい。"), cutAt("あい。うえ", 4, 2))
}

func TestConversationsAreMeasuredWhole(t *testing.T) {
	s := Sample{Messages: []Message{{Role: "user", Content: proseOf(30)}, {Role: "assistant", Content: prose}}}
	out, _ := cleanAll(t, of(s), DefaultCleanOptions(), Env{})
	require.Len(t, out, 1)
	require.Equal(t, s.Messages, out[0].Messages)
}

func TestBadLinesAreCountedDrops(t *testing.T) {
	in := "{\"text\":\"" + proseOf(100) + "\"}\nnot json\n{\"text\":7}\n"
	_, rep := cleanAll(t, NewReader(strings.NewReader(in), "x.jsonl", DefaultReadOptions()).All(), DefaultCleanOptions(), Env{})
	require.EqualValues(t, 3, rep.In)
	require.EqualValues(t, 1, rep.Dropped[MalformedJSON])
	require.EqualValues(t, 1, rep.Dropped[WrongType])
	require.Equal(t, "x.jsonl", rep.Rejects[0].Path)
	require.EqualValues(t, 2, rep.Rejects[0].Line)
}

func TestCleanEndsOnErrors(t *testing.T) {
	boom := errors.New("boom")
	in := func(yield func(Sample, error) bool) {
		_ = yield(Sample{Text: prose}, nil) && yield(Sample{}, boom) && yield(Sample{Text: prose + "。"}, nil)
	}
	seq, rep := Clean(context.Background(), in, DefaultCleanOptions(), Env{})
	var last error
	for _, err := range seq {
		last = err
	}
	require.ErrorIs(t, last, boom)
	require.EqualValues(t, 1, rep.Kept)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	seq, _ = Clean(ctx, of(Sample{Text: prose}), DefaultCleanOptions(), Env{})
	for _, err := range seq {
		require.ErrorIs(t, err, context.Canceled)
	}

	bad := DefaultCleanOptions()
	bad.MinQuality = 2
	seq, _ = Clean(context.Background(), of(), bad, Env{})
	var oe *OptionError
	for _, err := range seq {
		require.ErrorAs(t, err, &oe)
	}
	require.NotNil(t, oe)
}

func TestPlainFormIsNormal(t *testing.T) {
	plain := []rune{'a', 'か', 'カ', '港', '。'}
	for r := rune(0); r <= 0xFFFF; r++ {
		if r >= 0xD800 && r <= 0xDFFF || !plainForm(string(r)) {
			continue
		}
		for _, q := range plain {
			text := string([]rune{q, r, q})
			require.True(t, norm.NFKC.IsNormalString(text), "%q", text)
		}
	}
	require.Equal(t, Normalise("ガABC港"), Normalise("ｶﾞ ＡＢＣ\u200b港\n"))
}

type fixed string

func (f fixed) Detect(string) (string, float64) { return string(f), 1 }

func TestLanguages(t *testing.T) {
	o := DefaultCleanOptions()
	o.Languages = []string{"ja"}
	out, _ := cleanAll(t, of(Sample{Text: prose}), o, Env{Language: fixed("ja")})
	require.Equal(t, "ja", out[0].Language)
	_, rep := cleanAll(t, of(Sample{Text: prose}), o, Env{Language: fixed("zh")})
	require.EqualValues(t, 1, rep.Dropped[WrongLanguage])
	seq, _ := Clean(context.Background(), of(), o, Env{})
	for _, err := range seq {
		require.ErrorIs(t, err, ErrNoDetector)
	}
}

func TestLegacyPresetDropsLongProse(t *testing.T) {
	long := Sample{Text: prose + prose[:300]}
	out, _ := cleanAll(t, of(long), DefaultCleanOptions(), Env{})
	require.Len(t, out, 1)
	_, rep := cleanAll(t, of(Sample{Text: prose + proseOf(200)}), LegacyCleanOptions(), Env{})
	require.EqualValues(t, 1, rep.Dropped[LowQuality])
}

func TestReportIsDeterministicJSON(t *testing.T) {
	var got [2][]byte
	for i := range got {
		_, rep := cleanAll(t, of(Sample{Text: prose, Domain: "transport"}, Sample{Text: "短い"}), DefaultCleanOptions(), Env{})
		b, err := json.Marshal(rep)
		require.NoError(t, err)
		got[i] = b
	}
	require.True(t, bytes.Equal(got[0], got[1]))
}

func BenchmarkClean(b *testing.B) {
	samples := of(Sample{Text: prose})
	o := DefaultCleanOptions()
	o.Dedup = DedupNormalised
	b.SetBytes(int64(len(prose)))
	for b.Loop() {
		seq, _ := Clean(context.Background(), samples, o, Env{})
		for range seq {
		}
	}
}
