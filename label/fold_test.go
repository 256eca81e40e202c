package label

import (
	"testing"
	"unicode/utf8"
)

func foldOf(text string) (f folded) {
	f.fold(text)
	return f
}

// TestFoldEveryCharacter compares fold with foldRune, character by character, and
// checks that offsets lead back.
func TestFoldEveryCharacter(t *testing.T) {
	for r := rune(0x20); r < 0x20000; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		text := "港" + string(r) + "ア" + string(r) + "z"
		f := foldOf(text)
		to := string(foldRune(r))
		if r >= 0xFF9E && r <= 0xFF9F {
			to = string(r) // a lone mark stays
		}
		want := "港" + to + "あ" + to + "z"
		if string(f.text) != want {
			t.Fatalf("%U: %q, want %q", r, f.text, want)
		}
		if at := f.original(len(f.text) - 1); at != len(text)-1 {
			t.Fatalf("%U: z found at %d of %q", r, at, text)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"ｶﾞｷﾞﾊﾟﾊﾞｳﾞ": "がぎぱばゔ",
		"ｯﾞ":         "っﾞ",
		"ＡＢＣ　１！":     "abc 1!",
		"ヴァイオリン":     "ゔぁいおりん",
		"コード":        "こーど",
		"":           "",
		"\xe4\xb8":   "\ufffd\ufffd",
	} {
		if got := string(foldOf(in).text); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzFoldOffsets(f *testing.F) {
	f.Add("ｶﾞ港ＡB\xffあ")
	f.Fuzz(func(t *testing.T, text string) {
		x := foldOf(text)
		last := -1
		for at := 0; at <= len(x.text); {
			o := x.original(at)
			if o <= last || o > len(text) {
				t.Fatalf("offset %d leads to %d after %d", at, o, last)
			}
			last = o
			if at == len(x.text) {
				break
			}
			_, n := utf8.DecodeRune(x.text[at:])
			at += n
		}
		if last != len(text) {
			t.Fatalf("the end leads to %d of %d", last, len(text))
		}
	})
}
