package public

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
)

// The file was written by pyarrow: three row groups, snappy, row 4 without text.
const articles = "testdata/wikipedia.parquet"

func TestWikipedia(t *testing.T) {
	texts, bad, err := collect(WikipediaFile(articles, DefaultOptions()))
	require.NoError(t, err)
	require.Len(t, texts, 6)
	require.Equal(t, "記事0の本文。\n二行目である。", texts[0])
	require.Equal(t, strings.Repeat("記事6の本文。\n二行目である。", 7), texts[5])
	require.Len(t, bad, 1)
	require.Equal(t, dataset.EmptyRecord, bad[0].Reason)
	require.EqualValues(t, 4, bad[0].Line)

	for s, err := range WikipediaFile(articles, DefaultOptions()) {
		require.NoError(t, err)
		require.Equal(t, "https://ja.wikipedia.org/wiki/0", s.URL)
		require.Equal(t, "CC-BY-SA-4.0", s.Licence)
		require.Equal(t, s.ContentID(), s.ID)
		break
	}
}

func TestWikipediaGoesOnAfterAnyRow(t *testing.T) {
	all, _, _ := collect(WikipediaFile(articles, DefaultOptions()))
	for skip, kept := range []int{6, 5, 4, 3, 3, 2, 1, 0, 0} {
		o := DefaultOptions()
		o.Skip = int64(skip)
		texts, _, err := collect(WikipediaFile(articles, o))
		require.NoError(t, err)
		require.Equal(t, all[6-kept:], append([]string{}, texts...), skip)
	}
}

func TestWikipediaLimits(t *testing.T) {
	o := DefaultOptions()
	o.MaxRecordBytes = 100
	texts, bad, err := collect(WikipediaFile(articles, o))
	require.NoError(t, err)
	require.Len(t, texts, 2)
	require.Equal(t, dataset.LineTooLong, bad[0].Reason)
	o = DefaultOptions()
	o.MaxBytes = 100
	_, _, err = collect(WikipediaFile(articles, o))
	require.ErrorIs(t, err, dataset.ErrTooLarge)
}

// Whatever is wrong with a file, the answer is an error and never a panic.
func TestWikipediaDamaged(t *testing.T) {
	whole, err := os.ReadFile(articles)
	require.NoError(t, err)
	for n := range len(whole) {
		_, _, err := collect(Wikipedia(bytes.NewReader(whole[:n]), int64(n), "cut", DefaultOptions()))
		require.ErrorIs(t, err, ErrParquet, n)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		b := bytes.Clone(whole)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] = byte(rnd.IntN(256))
		}
		_, _, err := collect(Wikipedia(bytes.NewReader(b), int64(len(b)), "altered", DefaultOptions()))
		if err != nil {
			require.ErrorIs(t, err, ErrParquet)
		}
	}
	_, _, err = collect(WikipediaFile(filepath.Join(t.TempDir(), "none"), DefaultOptions()))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWikipediaPath(t *testing.T) {
	path, err := WikipediaPath(14)
	require.NoError(t, err)
	require.Equal(t, "20231101.ja/train-00014-of-00015.parquet", path)
	_, err = WikipediaPath(15)
	require.Error(t, err)
}
