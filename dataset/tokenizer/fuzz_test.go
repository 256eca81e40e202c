package tokenizer

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func typedError(t *testing.T, err error) {
	t.Helper()
	for _, kind := range []error{ErrFormat, ErrUnsupported, ErrLimit} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("error of no kind: %v", err)
}

// exercise runs a tokenizer that parsed.
func exercise(t *testing.T, tok *Tokenizer) {
	t.Helper()
	for _, s := range []string{"", "a ab b", "<s>abab\xff 日本 ▁", strings.Repeat("ab ", 20)} {
		for _, ids := range [][]int32{tok.Encode(s), tok.EncodePlain(s)} {
			for _, id := range ids {
				if _, ok := tok.Piece(id); !ok {
					t.Fatalf("Encode(%q) gives id %d, which is not in use", s, id)
				}
			}
			tok.Decode(ids)
			stream(t, tok.NewDecoder(), ids)
		}
	}
	tok.EncodeChat([]Message{{"user", "ab"}}, true)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(tinyJSON))
	for _, v := range readVectors(f).Variants {
		f.Add([]byte(v.Tokenizer))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			typedError(t, err)
			return
		}
		exercise(t, tok)
	})
}

func FuzzParseModel(f *testing.F) {
	f.Add(tinyModel(nil, nil))
	f.Add(tinyModel(protoField(35, 1), protoField(3, 0), protoPiece("<0x41>", 0, 6), protoPiece("aba", -5, 4)))
	if data, err := os.ReadFile(modelDir + "/tokenizer.model"); err == nil {
		f.Add(data[:2000])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := ParseModel(data)
		if err != nil {
			typedError(t, err)
			return
		}
		exercise(t, tok)
	})
}

// FuzzEncode: decoding gives the text back, except that U+2581 and the space are
// one; the short ones equal the definition.
func FuzzEncode(f *testing.F) {
	for _, c := range readVectors(f).Texts[:60] {
		f.Add(c.Text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tok := phi3(t)
		ids := tok.EncodePlain(s)
		want := strings.ReplaceAll(strings.ToValidUTF8(strings.Map(func(r rune) rune { return r }, s), "\ufffd"), "▁", " ")
		if got := tok.Decode(ids); got != want {
			t.Fatalf("Decode(EncodePlain(%q)) = %q", s, got)
		}
		if s != "" && len(s) < 200 && !slices.Equal(ids, naive(tok, want)) {
			t.Fatalf("EncodePlain(%q) = %v", s, ids)
		}
		tok.Decode(tok.Encode(s))
		chat, _, err := tok.EncodeChat([]Message{{"user", s}}, true)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s, "<") && !slices.Equal(chat, tok.Encode(ChatText([]Message{{"user", s}}, true))) {
			t.Fatalf("EncodeChat(%q) = %v", s, chat)
		}
	})
}
