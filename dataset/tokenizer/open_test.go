package tokenizer

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

// only shows some files of a file system.
type only struct {
	fs.FS
	names []string
}

func (o only) Open(name string) (fs.File, error) {
	if !slices.Contains(o.names, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.FS.Open(name)
}

func TestOpenNothing(t *testing.T) {
	if _, err := Open(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

// TestScoresFromMerges: without a tokenizer.model the made-up scores must put the
// merges in the same order.
func TestScoresFromMerges(t *testing.T) {
	tok, err := Open(only{os.DirFS(modelDir), []string{"tokenizer.json"}})
	if err != nil {
		t.Fatal(err)
	}
	for id := range int32(tok.VocabSize()) {
		got, _ := tok.Piece(id)
		want, _ := phi3(t).Piece(id)
		if want.Score == -1e9 { // runs of spaces: last of all merges there, last of all merges here
			got.Score = want.Score
		}
		if got.Type != want.Type || got.Text != want.Text || (want.Score < 0 && want.Score > -20000 && got.Score > 0) {
			t.Errorf("piece %d: %+v, want %+v", id, got, want)
		}
	}
	if a, b := score(t, tok, "▁t"), score(t, tok, "er"); a <= b {
		t.Errorf("scores %g and %g", a, b)
	}
	if a, b := score(t, tok, "▁▁"), score(t, tok, "弘"); a <= b {
		t.Errorf("scores %g and %g", a, b)
	}
}

func score(t *testing.T, tok *Tokenizer, piece string) float32 {
	t.Helper()
	id, ok := tok.ID(piece)
	if !ok {
		t.Fatalf("no piece %q", piece)
	}
	p, _ := tok.Piece(id)
	return p.Score
}

// TestDerivedMerges: tokenizer.model gives the very merge list of the
// tokenizer.json that transformers made from it.
func TestDerivedMerges(t *testing.T) {
	var d [2]*definition
	for i, name := range []string{"tokenizer.json", "tokenizer.model"} {
		data, err := os.ReadFile(modelDir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		read := []func([]byte) (*definition, error){readJSON, readModel}[i]
		if d[i], err = read(data); err != nil {
			t.Fatal(err)
		}
	}
	merges, err := d[1].deriveMerges()
	if err != nil {
		t.Fatal(err)
	}
	if len(merges) != 61249 || !slices.Equal(merges, d[0].merges) {
		t.Errorf("%d merges, %d in tokenizer.json, or another order", len(merges), len(d[0].merges))
	}
}
