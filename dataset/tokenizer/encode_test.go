package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// naive merges the whole text as one run by the definition: again and again the
// pair of lowest rank, leftmost first. It knows nothing of boundaries.
func naive(t *Tokenizer, text string) []int32 {
	var ids []int32
	for _, r := range "▁" + strings.ReplaceAll(text, " ", "▁") {
		if c := t.chars.get(r); c.id >= 0 {
			ids = append(ids, c.id)
			continue
		}
		for _, b := range []byte(string(r)) {
			ids = append(ids, t.byteID[b])
		}
	}
	for {
		at, best := -1, noMerge
		for i := 0; i+1 < len(ids); i++ {
			if v := t.merges.get(ids[i], ids[i+1]); v < best {
				at, best = i, v
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = int32(uint32(best))
		ids = slices.Delete(ids, at+1, at+2)
	}
}

// TestBoundaries compares boundaries, cache, scan and heap with the definition.
func TestBoundaries(t *testing.T) {
	tok := phi3(t)
	rng := rand.New(rand.NewPCG(1, 2))
	alphabets := []string{"a", "ab", "▁ ", "aeinorst ", "qxjzvkw ", "=-_*", "0123", "のてにをは", "日本語の訳評価 a", "àéîñ", "<|end|>"}
	for i := range 3000 {
		chars := []rune(alphabets[i%len(alphabets)])
		var b strings.Builder
		for range 1 + rng.IntN(90) {
			b.WriteRune(chars[rng.IntN(len(chars))])
		}
		text := b.String()
		want := naive(tok, text)
		sameIDs(t, "EncodePlain", text, tok.EncodePlain(text), want)
		sameIDs(t, "EncodePlain again", text, tok.EncodePlain(text), want) // from the cache
	}
	for _, c := range readVectors(t).Texts {
		if len(c.Text) < 300 && c.Text != "" && !strings.Contains(c.Text, "\xff") {
			sameIDs(t, "EncodePlain", c.Text, tok.EncodePlain(c.Text), naive(tok, c.Text))
		}
	}
}

// TestPlainHasNoSpecials: whatever is written, no special token comes out.
func TestPlainHasNoSpecials(t *testing.T) {
	tok := phi3(t)
	for id := range int32(tok.VocabSize()) {
		p, _ := tok.Piece(id)
		if !p.Added {
			continue
		}
		for _, got := range tok.EncodePlain(p.Text + "\n" + p.Text) {
			if q, _ := tok.Piece(got); q.Special || q.Added {
				t.Errorf("EncodePlain of %q gives %d", p.Text, got)
			}
		}
	}
}

// TestPlainSpelling: merges and single characters that reach a special token.
func TestPlainSpelling(t *testing.T) {
	text := strings.Replace(tinyJSON, `{"id":3,"content":"<s>","special":true}`, `{"id":2,"content":"ab","special":true},{"id":1,"content":"b","special":true}`, 1)
	text = strings.Replace(text, `"unk_token":null`, `"unk_token":"u"`, 1)
	text = strings.Replace(text, `"ab":2`, `"ab":2,"u":3`, 1)
	tok, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sameIDs(t, "Encode", "aab", tok.Encode("aab"), []int32{0, 2})
	sameIDs(t, "EncodePlain", "aab", tok.EncodePlain("aab"), []int32{0, 0, 3})
	if id, ok := tok.ID("ab"); id != 2 || !ok {
		t.Error(id, ok)
	}
}

func TestInvalidUTF8(t *testing.T) {
	tok := phi3(t)
	for _, s := range []string{"\xff", "a\xe3\x81", "\xe3\x81<|end|>\xff x", "\xed\xa0\x80"} {
		valid := strings.Map(func(r rune) rune { return r }, s)
		sameIDs(t, "Encode", s, tok.Encode(s), tok.Encode(valid))
	}
}

func TestPieceOutside(t *testing.T) {
	tok := phi3(t)
	for _, id := range []int32{-1, int32(tok.VocabSize()), 1 << 30} {
		if p, ok := tok.Piece(id); ok {
			t.Errorf("Piece(%d) = %+v", id, p)
		}
		if s := tok.Decode([]int32{id}); s != "" {
			t.Errorf("Decode(%d) = %q", id, s)
		}
	}
	if tok.VocabSize() != 32011 {
		t.Errorf("VocabSize = %d", tok.VocabSize())
	}
}

func TestNamedIDs(t *testing.T) {
	for text, want := range map[string]int32{"<s>": BOS, "<|endoftext|>": EndOfText, "<|assistant|>": Assistant,
		"<|system|>": System, "<|end|>": End, "<|user|>": User} {
		if id, ok := phi3(t).ID(text); !ok || id != want {
			t.Errorf("ID(%q) = %d, %v, want %d", text, id, ok, want)
		}
	}
}

func TestAppendKeepsFront(t *testing.T) {
	tok := phi3(t)
	want := append([]int32{7, 8}, tok.Encode("ab ab")...)
	sameIDs(t, "Append", "ab ab", tok.Append([]int32{7, 8}, "ab ab"), want)
}

func TestConcurrent(t *testing.T) {
	tok, cases := phi3(t), readVectors(t).Texts
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, c := range cases {
				if !slices.Equal(tok.Encode(c.Text), c.IDs) {
					t.Errorf("Encode of %.100q differs", c.Text)
				}
			}
		})
	}
	wg.Wait()
}

// TestLongLine: one run of a megabyte, whose ids are known.
func TestLongLine(t *testing.T) {
	tok := phi3(t)
	ids := tok.Encode(strings.Repeat(" ", 1<<20))
	total := 0
	for _, id := range ids {
		p, _ := tok.Piece(id)
		total += strings.Count(p.Text, "▁")
	}
	if total != 1<<20+1 || len(ids) > 1<<20/15 {
		t.Errorf("%d spaces in %d tokens", total, len(ids))
	}
}
