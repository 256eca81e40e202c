package qlora

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// readIDs reads a gzip file of little-endian int32 and cuts it into rows of n.
func readIDs(t testing.TB, path string, n int) [][]int32 {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	var rows [][]int32
	for ; len(b) > 0; b = b[4*n:] {
		row := make([]int32, n)
		for i := range row {
			row[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
		}
		rows = append(rows, row)
	}
	return rows
}

func perplexity(t testing.TB, m *Model, windows [][]int32) float64 {
	t.Helper()
	lps, err := m.LogProbs(context.Background(), windows)
	require.NoError(t, err)
	sum, n := 0.0, 0
	for _, lp := range lps {
		for _, v := range lp[1:] {
			sum, n = sum-v, n+1
		}
	}
	return math.Exp(sum / float64(n))
}

func TestGoldenPerplexity(t *testing.T) {
	windows := readIDs(t, "testdata/dev32.ids.gz", 1024)
	m := loadModel(t, bundledModel, "f32")
	want := readFigures(t).Windows32.PPL
	got := perplexity(t, m, windows)
	require.InEpsilon(t, want, got, 2e-4)
	int8ppl := perplexity(t, loadModel(t, bundledModel, "int8"), windows)
	t.Logf("perplexity: transformers %.5f, f32 %.5f, int8 %.5f", want, got, int8ppl)
	require.InEpsilon(t, got, int8ppl, 1e-2)
}

// TestSmallCachesKeepThePerplexity reads a window token after token, as
// generating does.
func TestSmallCachesKeepThePerplexity(t *testing.T) {
	ids := readIDs(t, "testdata/dev32.ids.gz", 1024)[0][:512]
	m := loadModel(t, bundledModel, "f32")
	ppl := map[string]float64{}
	for name, typ := range cacheTypes {
		mark := m.dev.Mark()
		dec := m.net.NewDecoder([]int{len(ids)}, 1, typ, nil)
		sum := 0.0
		for i, id := range ids[:len(ids)-1] {
			logits, err := dec.Feed(0, []int32{id})
			require.NoError(t, err)
			sum += logSum(logits) - float64(logits[ids[i+1]])
		}
		m.dev.Release(mark)
		ppl[name] = math.Exp(sum / float64(len(ids)-1))
	}
	t.Logf("perplexity: %v", ppl)
	require.InEpsilon(t, ppl["full"], ppl["f16"], 1e-4)
	require.InEpsilon(t, ppl["full"], ppl["int8"], 2e-3)
}
