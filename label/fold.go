package label

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// folded is text in the form that patterns are matched against, with a way back.
// Folding makes full-width ASCII half width, half-width katakana full width
// (voiced marks composed), upper case lower, and katakana hiragana.
type folded struct {
	text   []byte
	breaks []shift // where lengths differ, in order
}

// shift says that folded offset at corresponds to original offset from, and so
// on byte by byte until the next shift.
type shift struct{ at, from int }

// original maps a folded offset at a character boundary to the original's.
func (f *folded) original(at int) int {
	i := sort.Search(len(f.breaks), func(i int) bool { return f.breaks[i].at > at })
	if i == 0 {
		return at
	}
	return f.breaks[i-1].from + at - f.breaks[i-1].at
}

// fold makes f the folded form of text and keeps its memory.
func (f *folded) fold(text string) {
	f.text, f.breaks = slices.Grow(f.text[:0], len(text)), f.breaks[:0]
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			f.text = append(f.text, c)
			i++
			continue
		}
		if n := plainRun(text[i:]); n > 0 {
			f.text = append(f.text, text[i:i+n]...)
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		to := foldRune(r)
		if to == r && n > 1 {
			f.text = append(f.text, text[i:i+n]...)
			i += n
			continue
		}
		if v, more := compose(r, text[i+n:]); more > 0 {
			to, n = foldRune(v), n+more
		}
		f.text = utf8.AppendRune(f.text, to)
		i += n
		if f.original(len(f.text)) != i {
			f.breaks = append(f.breaks, shift{len(f.text), i})
		}
	}
}

// plainRun is the length of the run of kanji and hiragana that text begins with;
// folding leaves them alone, and they are most of a Japanese text. Their UTF-8
// begins with E4 to E9, or is E3 81 xx, or E3 82 80 to E3 82 A0.
func plainRun(text string) int {
	i := 0
	for i+2 < len(text) && text[i+1]&0xC0 == 0x80 && text[i+2]&0xC0 == 0x80 {
		c := text[i]
		if (c < 0xE4 || c > 0xE9) && (c != 0xE3 || text[i+1] != 0x81 && (text[i+1] != 0x82 || text[i+2] > 0xA0)) {
			break
		}
		i += 3
	}
	return i
}

func foldRune(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r >= 'Ａ' && r <= 'Ｚ':
		return r - 'Ａ' + 'a'
	case r >= '！' && r <= '～':
		return r - '！' + '!'
	case r == '\u3000':
		return ' '
	case r >= 0xFF66 && r <= 0xFF9D:
		return foldRune(halfKatakana[r-0xFF66])
	case r >= 'ァ' && r <= 'ヶ':
		return r - 0x60
	}
	return r
}

// halfKatakana holds the full-width forms of U+FF66 to U+FF9D.
var halfKatakana = [...]rune{
	'ヲ', 'ァ', 'ィ', 'ゥ', 'ェ', 'ォ', 'ャ', 'ュ', 'ョ', 'ッ', 'ー', 'ア', 'イ', 'ウ', 'エ', 'オ', 'カ', 'キ', 'ク', 'ケ',
	'コ', 'サ', 'シ', 'ス', 'セ', 'ソ', 'タ', 'チ', 'ツ', 'テ', 'ト', 'ナ', 'ニ', 'ヌ', 'ネ', 'ノ', 'ハ', 'ヒ', 'フ', 'ヘ',
	'ホ', 'マ', 'ミ', 'ム', 'メ', 'モ', 'ヤ', 'ユ', 'ヨ', 'ラ', 'リ', 'ル', 'レ', 'ロ', 'ワ', 'ン',
}

// compose joins half-width r with a following voiced or semi-voiced mark; more is
// the mark's length in bytes, 0 when there is none to join.
func compose(r rune, rest string) (full rune, more int) {
	if r < 0xFF66 || r > 0xFF9D {
		return r, 0
	}
	full = halfKatakana[r-0xFF66]
	switch mark, n := utf8.DecodeRuneInString(rest); {
	case mark == 0xFF9E && full == 'ウ':
		return 'ヴ', n
	case mark == 0xFF9E && (full >= 'カ' && full <= 'ト' && full != 'ッ' || full >= 'ハ' && full <= 'ホ'):
		return full + 1, n
	case mark == 0xFF9F && full >= 'ハ' && full <= 'ホ':
		return full + 2, n
	}
	return full, 0
}

// isKatakana reports whether r is written in katakana, either width, or prolongs.
func isKatakana(r rune) bool {
	return r >= 'ァ' && r <= 'ヺ' || r == 'ー' || r >= 0xFF66 && r <= 0xFF9F
}

// isWord reports whether r continues a word of the Latin alphabet or a number.
func isWord(r rune) bool {
	r = foldRune(r)
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r >= 0xC0 && r < 0x250
}
