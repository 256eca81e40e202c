package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// stream decodes through a Decoder, checking that every part is whole UTF-8.
func stream(t *testing.T, d *Decoder, ids []int32) string {
	t.Helper()
	var b strings.Builder
	for _, id := range ids {
		s := d.Push(id)
		if !utf8.ValidString(s) {
			t.Errorf("Push(%d) = %q", id, s)
		}
		b.WriteString(s)
	}
	return b.String() + d.Flush()
}

func TestStreamEqualsDecode(t *testing.T) {
	tok := phi3(t)
	plain, kept := tok.NewDecoder(), tok.NewDecoderWith(DecodeOptions{KeepSpecial: true})
	for _, c := range readVectors(t).Texts {
		if got := stream(t, plain, c.IDs); got != c.Decoded {
			t.Errorf("stream of %v = %q, want %q", c.IDs, got, c.Decoded)
		}
		if got := stream(t, kept, c.IDs); got != c.Kept {
			t.Errorf("stream of %v = %q, want %q", c.IDs, got, c.Kept)
		}
	}
}

func TestStreamHoldsBack(t *testing.T) {
	tok := phi3(t)
	b := func(v int32) int32 { return v + 3 } // id of a byte piece
	d := tok.NewDecoder()
	for i, step := range []struct {
		id   int32
		want string
	}{
		{b(0xE8), ""}, {b(0xA9), ""}, {b(0x95), "評"}, // a character in three parts
		{b(0xE4), ""}, {b(0xBE), ""}, {End, ""}, {b(0xA1), "価"}, // a hidden special in between
		{b(0xE4), ""}, {b(0x41), "\ufffdA"}, // broken, then sound
		{b(0xFF), "\ufffd"},               // never the start of a character
		{b(0xF0), ""}, {29871, "\ufffd "}, // broken by a piece
		{b(0xE8), ""},
	} {
		if got := d.Push(step.id); got != step.want {
			t.Errorf("step %d: Push(%d) = %q, want %q", i, step.id, got, step.want)
		}
	}
	if got := d.Flush(); got != "\ufffd" {
		t.Errorf("Flush = %q", got)
	}
	if got := d.Push(29871) + d.Push(29871); got != " " {
		t.Errorf("after Flush: %q, want one space of two", got)
	}
}

// TestNormalizedSpecial: a special token matched after normalizing is left out.
func TestNormalizedSpecial(t *testing.T) {
	text := strings.Replace(tinyJSON, `"special":true`, `"special":true,"normalized":true`, 1)
	text = strings.Replace(text, `"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"▁"}`, 1)
	tok, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sameIDs(t, "Encode", "<s>ab", tok.Encode("<s>ab"), []int32{3, 2})
	if got := tok.Decode([]int32{3, 2}); got != "ab" {
		t.Errorf("Decode = %q", got)
	}
	if got := tok.DecodeWith([]int32{2, 3}, DecodeOptions{KeepSpecial: true}); got != "ab <s>" {
		t.Errorf("kept = %q", got)
	}
}
