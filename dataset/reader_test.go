package dataset

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/label"
)

func collect(t *testing.T, r *Reader) (samples []Sample, lines []*LineError, last error) {
	t.Helper()
	for s, err := range r.All() {
		var le *LineError
		switch {
		case errors.As(err, &le):
			lines = append(lines, le)
		case err != nil:
			last = err
		default:
			samples = append(samples, s)
		}
	}
	st := r.Stats()
	var rejected int64
	for _, n := range st.Rejected {
		rejected += n
	}
	require.Equal(t, st.Lines, st.Samples+st.Blank+rejected, "lines = samples + blank + rejected")
	return samples, lines, last
}

func TestReadLines(t *testing.T) {
	tests := []struct {
		name, in string
		want     Reason // "" means accepted
	}{
		{"plain", `{"text":"港湾"}`, ""},
		{"line of another shape is kept", `{"text":"港湾","unknown":{"a":[1,{"b":null}]}}`, ""},
		{"escaped quote and brace in a string", `{"text":"a\"{}[],:\\","source":"s"}`, ""},
		{"paired surrogates", `{"text":"\ud83d\ude00"}`, ""},
		{"same key in sibling objects", `{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}`, ""},
		{"instruction and output", `{"instruction":"MaaSとは","input":"","output":"移動の統合","judgment":"ALLOW"}`, ""},
		{"key twice", `{"text":"a","text":"b"}`, DuplicateKey},
		{"key twice through an escape", `{"text":"a","\u0074ext":"b"}`, DuplicateKey},
		{"key twice but for case", `{"text":"a","Text":"b"}`, DuplicateKey},
		{"key twice deep", `{"text":"a","x":[{"k":1,"k":2}]}`, DuplicateKey},
		{"invalid byte", "{\"text\":\"a\xff\"}", InvalidUTF8},
		{"unpaired high surrogate", `{"text":"\ud83dx"}`, InvalidUTF8},
		{"unpaired low surrogate", `{"text":"\\\udc00"}`, InvalidUTF8},
		{"cut off", `{"text":"a`, MalformedJSON},
		{"two values", `{"text":"a"}{"text":"b"}`, MalformedJSON},
		{"array", `["a"]`, MalformedJSON},
		{"null", `null`, MalformedJSON},
		{"number", `7`, MalformedJSON},
		{"text is a number", `{"text":5}`, WrongType},
		{"unknown label", `{"text":"a","label":"MAYBE"}`, WrongType},
		{"nothing to read", `{"id":"x"}`, EmptyRecord},
		{"too long", `{"text":"` + strings.Repeat("あ", 400) + `"}`, LineTooLong},
	}
	opts := DefaultReadOptions()
	opts.MaxLineBytes = 1000
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const before, after = "{\"text\":\"first\"}\r\n", "\n\n{\"text\":\"last\"}"
			samples, lines, err := collect(t, NewReader(strings.NewReader("\ufeff"+before+tt.in+after), "x.jsonl", opts))
			require.NoError(t, err)
			require.Equal(t, "first", samples[0].Text)
			require.Equal(t, "last", samples[len(samples)-1].Text)
			if tt.want == "" {
				require.Len(t, samples, 3)
				require.Empty(t, lines)
				return
			}
			require.Len(t, samples, 2)
			require.Len(t, lines, 1)
			require.Equal(t, tt.want, lines[0].Reason)
			require.EqualValues(t, 2, lines[0].Line)
			require.EqualValues(t, 3+len(before), lines[0].Offset)
			require.ErrorContains(t, lines[0], "x.jsonl: line 2")
		})
	}
}

func TestReadCountsWhatItAccepts(t *testing.T) {
	r := NewReader(strings.NewReader("\ufeff{\"text\":\"a\"}\r\n  \r\n{\"text\":\"b\"}\n"), "", DefaultReadOptions())
	samples, _, err := collect(t, r)
	require.NoError(t, err)
	require.Len(t, samples, 2)
	st := r.Stats()
	require.True(t, st.BOM)
	require.EqualValues(t, 2, st.CRLF)
	require.EqualValues(t, 1, st.Blank)
	require.EqualValues(t, 3, st.Lines)
}

func TestOlderRecordsKeepTheQuestion(t *testing.T) {
	in := `{"instruction":"MaaSとは何ですか","input":"","output":"移動の統合です。","domain":"transport","four_class_label":"DENY"}`
	samples, _, _ := collect(t, NewReader(strings.NewReader(in), "", DefaultReadOptions()))
	s := samples[0]
	require.Equal(t, []Message{{Role: "user", Content: "MaaSとは何ですか"}, {Role: "assistant", Content: "移動の統合です。"}}, s.Messages)
	require.Equal(t, "MaaSとは何ですか\n移動の統合です。", s.Text)
	require.Equal(t, "MaaSとは何ですか", s.Request())
	require.Equal(t, label.Deny, s.Label)
	require.Equal(t, s.ContentID(), s.ID)
}

func TestCompressedRoundTrip(t *testing.T) {
	in := []Sample{{Text: "港湾の<荷役>&保管"}, {Text: "b", Label: label.Refuse, Messages: []Message{{Role: "user", Content: "b"}}}}
	for _, f := range []Format{Plain, Gzip, Zstd} {
		var buf bytes.Buffer
		n, err := Write(&buf, f, func(yield func(Sample, error) bool) {
			_ = yield(in[0], nil) && yield(in[1], nil)
		})
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		samples, lines, err := collect(t, NewReader(bytes.NewReader(buf.Bytes()), "", DefaultReadOptions()))
		require.NoError(t, err)
		require.Empty(t, lines)
		require.Equal(t, in[0].Text, samples[0].Text)
		require.Equal(t, label.Refuse, samples[1].Label)
		require.Equal(t, (&in[1]).ContentID(), samples[1].ID)

		_, _, err = collect(t, NewReader(bytes.NewReader(buf.Bytes()[:buf.Len()-9]), "cut", DefaultReadOptions()))
		if f != Plain {
			var se *StreamError
			require.ErrorAs(t, err, &se, "a truncated %s stream must not end quietly", f)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestDecodedSizeIsBounded(t *testing.T) {
	bomb := []byte(`{"text":"` + strings.Repeat("a", 4<<20) + `"}`)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(bomb)
	g.Close()
	z, _ := zstd.NewWriter(&zs)
	z.Write(bomb)
	z.Close()
	opts := DefaultReadOptions()
	opts.MaxBytes = 1 << 20
	for _, b := range [][]byte{gz.Bytes(), zs.Bytes()} {
		_, _, err := collect(t, NewReader(bytes.NewReader(b), "bomb", opts))
		var se *StreamError
		require.ErrorAs(t, err, &se)
	}
}

func TestMissingFileAndBadOptions(t *testing.T) {
	for _, err := range ReadFile(filepath.Join(t.TempDir(), "none.jsonl"), DefaultReadOptions()) {
		var se *StreamError
		require.ErrorAs(t, err, &se)
	}
	for _, err := range Read(strings.NewReader("{}"), ReadOptions{}) {
		var oe *OptionError
		require.ErrorAs(t, err, &oe)
	}
}

func TestContentIDSeparatesFields(t *testing.T) {
	a := Sample{Messages: []Message{{Role: "user", Content: "ab"}, {Role: "user", Content: "c"}}}
	b := Sample{Messages: []Message{{Role: "user", Content: "a"}, {Role: "user", Content: "bc"}}}
	require.NotEqual(t, a.ContentID(), b.ContentID())
	c := a
	c.Domain = "general"
	require.Equal(t, a.ContentID(), c.ContentID())
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"text":"a","x":[{"k":"\ud83d\ude00"}]}`))
	f.Add([]byte("\ufeff{\"text\":\"a\"}\r\n\n[1]\n{\"a\":{\"b\":1,\"b\":2}}"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		opts := DefaultReadOptions()
		opts.MaxBytes, opts.MaxLineBytes, opts.MaxWindow = 1<<20, 1<<12, 1<<20
		for s, err := range Read(bytes.NewReader(in), opts) {
			if err == nil && (s.Content() == "" || s.ID == "") {
				t.Fatalf("accepted an empty sample from %q", in)
			}
		}
	})
}

func TestWriteFileIsWholeOrAbsent(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"} {
		path := filepath.Join(dir, name)
		n, err := WriteFile(path, of(Sample{Text: "港湾"}, Sample{Text: "鉄道"}))
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		var texts []string
		for s, err := range ReadFile(path, DefaultReadOptions()) {
			require.NoError(t, err)
			texts = append(texts, s.Text)
		}
		require.Equal(t, []string{"港湾", "鉄道"}, texts)
	}
	boom := errors.New("boom")
	path := filepath.Join(dir, "b.jsonl")
	_, err := WriteFile(path, func(yield func(Sample, error) bool) {
		_ = yield(Sample{Text: "港湾"}, nil) && yield(Sample{}, boom)
	})
	require.ErrorIs(t, err, boom)
	require.NoFileExists(t, path)
}
