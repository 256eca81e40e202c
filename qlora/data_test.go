package qlora

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/dataset/tokenizer"
)

func openTestTokenizer(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Open(os.DirFS(bundledModel))
	require.NoError(t, err)
	return tok
}

// scoredText decodes runs of tokens with loss, tags included, each closed by "|".
func scoredText(t *testing.T, tok *tokenizer.Tokenizer, ex Example) string {
	t.Helper()
	require.Len(t, ex.Weight, len(ex.IDs))
	var b strings.Builder
	for i, id := range ex.IDs {
		if ex.Weight[i] > 0 {
			piece, ok := tok.Piece(id)
			require.True(t, ok)
			b.WriteString(strings.ReplaceAll(piece.Text, "▁", " "))
		} else if i > 0 && ex.Weight[i-1] > 0 {
			b.WriteString("|")
		}
	}
	return b.String()
}

var chatSample = dataset.Sample{ID: "c", Messages: []dataset.Message{
	{Role: "user", Content: "one"}, {Role: "assistant", Content: "two"},
	{Role: "user", Content: "three"}, {Role: "assistant", Content: "four"},
}}

func TestEncodeResponsesOnly(t *testing.T) {
	tok := openTestTokenizer(t)
	out, rep, err := Encode(tok, []dataset.Sample{chatSample}, EncodeOptions{MaxLength: 100, ResponsesOnly: true})
	require.NoError(t, err)
	require.Len(t, out, 1)
	text := strings.ReplaceAll(scoredText(t, tok, out[0]), " ", "")
	require.Equal(t, "two<|end|>|four<|end|>|", text, "the answers with the tag that ends them")
	require.Equal(t, EncodeReport{Examples: 1, Tokens: len(out[0].IDs), Scored: countScored(out[0].Weight)}, rep)
	want := tok.Encode(tokenizer.ChatText(chatSample.Messages, false))
	require.Equal(t, want, out[0].IDs)

	out, rep, err = Encode(tok, []dataset.Sample{chatSample}, EncodeOptions{MaxLength: 100})
	require.NoError(t, err)
	require.Equal(t, len(want)-1, rep.Scored, "all but the first token")
	require.Equal(t, want, out[0].IDs)
}

func TestEncodeText(t *testing.T) {
	tok := openTestTokenizer(t)
	s := dataset.Sample{Text: "吾輩は猫である。<|end|>"}
	for _, only := range []bool{false, true} {
		out, rep, err := Encode(tok, []dataset.Sample{s}, EncodeOptions{MaxLength: 100, ResponsesOnly: only})
		require.NoError(t, err)
		ids := out[0].IDs
		require.Equal(t, int32(tokenizer.BOS), ids[0])
		require.Equal(t, int32(tokenizer.EndOfText), ids[len(ids)-1])
		require.NotContains(t, ids, int32(tokenizer.End), "a tag in the text stays text")
		require.Equal(t, s.Text, tok.Decode(ids))
		require.Equal(t, len(ids)-1, rep.Scored)
	}
}

func TestEncodeCutsAndCounts(t *testing.T) {
	tok := openTestTokenizer(t)
	samples := []dataset.Sample{
		{Text: strings.Repeat("猫", 50)}, chatSample, {Text: "短い"},
		{Messages: []dataset.Message{{Role: "user", Content: "no answer"}}},
	}
	out, rep, err := Encode(tok, samples, EncodeOptions{MaxLength: 4, ResponsesOnly: true})
	require.NoError(t, err)
	require.Equal(t, 2, rep.Examples)
	require.Equal(t, 2, rep.Empty, "a cut before the first answer, and no answer")
	require.GreaterOrEqual(t, rep.Cut, 2)
	for _, ex := range out {
		require.LessOrEqual(t, len(ex.IDs), 4)
		require.Len(t, ex.Weight, len(ex.IDs))
	}
}

func TestEncodeRefusals(t *testing.T) {
	tok := openTestTokenizer(t)
	_, _, err := Encode(nil, nil, EncodeOptions{MaxLength: 10})
	require.ErrorIs(t, err, ErrNoTokenizer)
	_, _, err = Encode(tok, nil, EncodeOptions{MaxLength: 1})
	requireOption(t, err, "max_length")
	_, _, err = Encode(tok, []dataset.Sample{chatSample, {ID: "x7", Messages: []dataset.Message{{Role: "tool"}}}}, EncodeOptions{MaxLength: 10})
	require.ErrorIs(t, err, tokenizer.ErrChat)
	require.ErrorContains(t, err, "sample 1 (x7)")
}

func TestTrainerRefusesBadExamples(t *testing.T) {
	m := loadModel(t, peftModel, "f32")
	o := smallTraining()
	tr, err := NewTrainer(m, o, Dirs{}, Env{})
	require.NoError(t, err)
	good := Example{IDs: []int32{1, 2, 3}, Weight: []float32{0, 0.5, 1}}
	for want, bad := range map[string]Example{
		"no tokens":              {},
		"3 tokens and 1 weights": {IDs: []int32{1, 2, 3}, Weight: []float32{1}},
		"weight NaN":             {IDs: []int32{1, 2}, Weight: []float32{0, float32(math.NaN())}},
		"weight -1":              {IDs: []int32{1, 2}, Weight: []float32{0, -1}},
		"weight +Inf":            {IDs: []int32{1, 2}, Weight: []float32{0, float32(math.Inf(1))}},
		"outside the vocabulary": {IDs: []int32{1, 256}},
	} {
		_, err := tr.Run(context.Background(), []Example{good, bad}, nil)
		require.ErrorContains(t, err, want)
		_, err = tr.Run(context.Background(), []Example{good}, []Example{good, bad})
		require.ErrorContains(t, err, want)
	}
	_, err = tr.Run(context.Background(), nil, nil)
	require.ErrorContains(t, err, "no training examples")
}
