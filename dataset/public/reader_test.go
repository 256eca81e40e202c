package public

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/borea-go/borea/dataset"
)

func collect(seq iter.Seq2[dataset.Sample, error]) (texts []string, bad []*dataset.LineError, last error) {
	for s, err := range seq {
		var line *dataset.LineError
		switch {
		case errors.As(err, &line):
			bad = append(bad, line)
		case err != nil:
			last = err
		default:
			texts = append(texts, s.Text)
		}
	}
	return texts, bad, last
}

func pack(t testing.TB, kind, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if kind == "xz" {
		z, err := xz.NewWriter(&b)
		require.NoError(t, err)
		w = z
	}
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// The files of testdata were made by make_vectors.py with Python's lzma and gzip.
func TestForeignFiles(t *testing.T) {
	texts, bad, err := collect(CC100File("testdata/cc100.xz", DefaultOptions()))
	require.NoError(t, err)
	require.Empty(t, bad)
	require.Equal(t, []string{"最初の文書の一行目。\n最初の文書の二行目。", "二つ目の文書。", "三つ目の文書は\n改行が違う。", "四つ目の文書で、最後の改行がない。"}, texts)

	var got []dataset.Sample
	for s, err := range C4File("testdata/c4.json.gz", DefaultOptions()) {
		require.NoError(t, err)
		got = append(got, s)
	}
	require.Len(t, got, 3)
	require.Equal(t, "甲の文書。\n二行ある。", got[0].Text)
	require.Equal(t, "丙の文書 \u2028 \U00020BB7。", got[2].Text)
	require.Equal(t, "http://example.com/b", got[1].URL)
	require.Equal(t, "c4", got[1].Source)
	require.Equal(t, "ODC-By-1.0", got[1].Licence)
	require.Equal(t, got[1].ContentID(), got[1].ID)
}

// TestContinueAnywhere stops after each number of records and goes on.
func TestContinueAnywhere(t *testing.T) {
	c4 := `{"text":"一"}` + "\nbroken\n" + `{"text":"二"}` + "\n\n" + `{"text":"三"}` + "\n" + `{"text":""}` + "\n" + `{"text":"四"}`
	for name, open := range map[string]func(Options) *Reader{
		"cc100": func(o Options) *Reader {
			return NewCC100(bytes.NewReader(pack(t, "xz", "\n一\n\n二\n二\n\n\xff\n\n三\n\n\n\n四")), "x", o)
		},
		"c4": func(o Options) *Reader { return NewC4(bytes.NewReader(pack(t, "gz", c4)), "x", o) },
	} {
		whole, bad, err := collect(open(DefaultOptions()).All())
		require.NoError(t, err)
		n := len(whole) + len(bad)
		require.GreaterOrEqual(t, n, 5, name)
		for stop := range n + 1 {
			r := open(DefaultOptions())
			var texts []string
			seen := 0
			for s, err := range r.All() {
				if seen == stop {
					break
				}
				if seen++; err == nil {
					texts = append(texts, s.Text)
				}
			}
			at := r.Records()
			if stop < n {
				at-- // the record that was offered and not taken
			}
			o := DefaultOptions()
			o.Skip = at
			rest, _, err := collect(open(o).All())
			require.NoError(t, err)
			require.Equal(t, whole, append(texts, rest...), "%s stopped after %d", name, stop)
		}
	}
}

func TestBadRecordsDoNotStopTheStream(t *testing.T) {
	o := DefaultOptions()
	o.MaxRecordBytes = 20
	long := strings.Repeat("x", 200_000)
	texts, bad, err := collect(NewCC100(bytes.NewReader(pack(t, "xz", "good\n\n"+long+"\n"+long+"\n\n\xff\xfe\n\n  \n\nalso good\n")), "ja.txt.xz", o).All())
	require.NoError(t, err)
	require.Equal(t, []string{"good", "also good"}, texts)
	require.Len(t, bad, 3)
	require.Equal(t, []dataset.Reason{dataset.LineTooLong, dataset.InvalidUTF8, dataset.EmptyRecord}, []dataset.Reason{bad[0].Reason, bad[1].Reason, bad[2].Reason})
	require.Equal(t, []int64{3, 6, 8}, []int64{bad[0].Line, bad[1].Line, bad[2].Line})
	require.Equal(t, int64(6), bad[0].Offset)
	require.Contains(t, bad[0].Error(), "ja.txt.xz")
	require.Contains(t, bad[0].Err.Error(), "400001 bytes")

	texts, bad, err = collect(C4(bytes.NewReader(pack(t, "gz", `{"text":1}`+"\n"+`{"text":"a"`+"\n"+`[]`+"\n"+`{}`+"\n"+`{"text":"b"}`)), DefaultOptions()))
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, texts)
	var reasons []dataset.Reason
	for _, b := range bad {
		reasons = append(reasons, b.Reason)
	}
	require.Equal(t, []dataset.Reason{dataset.WrongType, dataset.MalformedJSON, dataset.WrongType, dataset.EmptyRecord}, reasons)
}

func TestRecordOfExactlyTheLimit(t *testing.T) {
	o := DefaultOptions()
	o.MaxRecordBytes = 7
	texts, bad, err := collect(CC100(bytes.NewReader(pack(t, "xz", "abc\ndef\n\nabcd\ndef")), o))
	require.NoError(t, err)
	require.Equal(t, []string{"abc\ndef"}, texts)
	require.Len(t, bad, 1)
}

func TestStreamErrors(t *testing.T) {
	whole := pack(t, "xz", strings.Repeat("文書。\n\n", 1000))
	cut := whole[:len(whole)*2/3]
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0x55
	bomb := bytes.Clone(whole)
	i := bytes.Index(bomb[12:], []byte{0x21, 1}) + 12
	bomb[i+2] = 40 // 4 GiB
	for name, c := range map[string]struct {
		seq  iter.Seq2[dataset.Sample, error]
		want error
	}{
		"cut":         {CC100(bytes.NewReader(cut), DefaultOptions()), nil},
		"flipped":     {CC100(bytes.NewReader(flipped), DefaultOptions()), nil},
		"dictionary":  {CC100(bytes.NewReader(bomb), DefaultOptions()), ErrDictionary},
		"no xz":       {CC100(strings.NewReader("plain text\n\nmore"), DefaultOptions()), nil},
		"empty":       {CC100(strings.NewReader(""), DefaultOptions()), io.ErrUnexpectedEOF},
		"no gzip":     {C4(strings.NewReader(`{"text":"a"}`), DefaultOptions()), nil},
		"cut gzip":    {C4(bytes.NewReader(pack(t, "gz", strings.Repeat(`{"text":"a"}`+"\n", 10_000))[:60]), DefaultOptions()), nil},
		"missing":     {C4File("testdata/none.gz", DefaultOptions()), os.ErrNotExist},
		"too large":   {CC100(bytes.NewReader(whole), Options{MaxRecordBytes: 100, MaxBytes: 50}), dataset.ErrTooLarge},
		"bad options": {C4(strings.NewReader(""), Options{MaxRecordBytes: 1, MaxBytes: 1, Skip: -1}), nil},
	} {
		_, _, err := collect(c.seq)
		require.Error(t, err, name)
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
		}
	}
	var stream *dataset.StreamError
	_, _, err := collect(NewCC100(bytes.NewReader(cut), "ja.txt.xz", DefaultOptions()).All())
	require.ErrorAs(t, err, &stream)
	require.Contains(t, err.Error(), "ja.txt.xz")
}

func TestMemoryStaysFlat(t *testing.T) {
	o := DefaultOptions()
	o.MaxRecordBytes = 1 << 10
	data := pack(t, "gz", strings.Repeat("x", 48<<20)) // one line of 48 MiB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, bad, err := collect(C4(bytes.NewReader(data), o))
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Len(t, bad, 1)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

func TestC4Path(t *testing.T) {
	p, err := C4Path(7)
	require.NoError(t, err)
	require.Equal(t, "multilingual/c4-ja.tfrecord-00007-of-01024.json.gz", p)
	for _, i := range []int{-1, C4Shards} {
		_, err := C4Path(i)
		require.Error(t, err)
	}
}

func FuzzReaders(f *testing.F) {
	f.Add(pack(f, "xz", "a\n\nb"), true)
	f.Add(pack(f, "gz", `{"text":"a"}`), false)
	f.Fuzz(func(t *testing.T, b []byte, cc bool) {
		o := Options{MaxRecordBytes: 1 << 10, MaxBytes: 1 << 16}
		open := NewC4
		if cc {
			open = NewCC100
		}
		r := open(bytes.NewReader(b), "", o)
		texts, bad, _ := collect(r.All())
		if n := r.Records(); n != int64(len(texts)+len(bad)) && n != int64(len(texts)+len(bad))+1 {
			t.Fatalf("%d records, %d + %d yielded", n, len(texts), len(bad))
		}
	})
}

func BenchmarkCC100(b *testing.B) {
	data := pack(b, "xz", strings.Repeat("これは読み取りの速さを測るための文書である。\n二行目。\n\n", 20_000))
	b.SetBytes(20_000 * 80)
	for b.Loop() {
		_, _, err := collect(CC100(bytes.NewReader(data), DefaultOptions()))
		require.NoError(b, err)
	}
}

func ExampleCC100File() {
	for s, err := range CC100File("testdata/cc100.xz", DefaultOptions()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", s.Source, s.Text)
	}
	// Output:
	// cc100 "最初の文書の一行目。\n最初の文書の二行目。"
	// cc100 "二つ目の文書。"
	// cc100 "三つ目の文書は\n改行が違う。"
	// cc100 "四つ目の文書で、最後の改行がない。"
}
