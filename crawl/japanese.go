package crawl

import (
	"bytes"
	"unicode/utf8"
)

// DetectJapanese guesses the encoding of Japanese text without a declaration:
// "utf-8" (pure ASCII too), "iso-2022-jp", "shift_jis", "euc-jp", or "" where
// none of them fits. A character cut off at the end does not count against any.
func DetectJapanese(b []byte) string {
	ascii := isASCII(b)
	switch {
	case ascii && hasJISEscape(b):
		return "iso-2022-jp"
	case ascii || validUTF8Prefix(b):
		return "utf-8"
	}
	sjis, euc := scanShiftJIS(b), scanEUC(b)
	switch {
	case !sjis.plausible() && !euc.plausible():
		return ""
	case !euc.plausible() || sjis.plausible() && sjis.score() > euc.score():
		return "shift_jis"
	}
	return "euc-jp"
}

func isASCII(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 }) < 0
}

// hasJISEscape looks for the escape sequences of ISO-2022-JP (RFC 1468).
func hasJISEscape(b []byte) bool {
	for _, esc := range []string{"\x1b$B", "\x1b$@", "\x1b(J", "\x1b(I", "\x1b$(D"} {
		if bytes.Contains(b, []byte(esc)) {
			return true
		}
	}
	return false
}

func validUTF8Prefix(b []byte) bool {
	for cut := 0; cut < utf8.UTFMax && cut <= len(b); cut++ {
		if utf8.Valid(b[:len(b)-cut]) {
			return cut == 0 || !utf8.FullRune(b[len(b)-cut:])
		}
	}
	return false
}

// evidence is what a scan under one encoding found.
type evidence struct {
	bad     int // bytes that the encoding does not have
	half    int // half-width katakana: rare in prose, frequent when misread
	kana    int // hiragana and full-width katakana, "、" and "。"
	common  int // kanji of JIS level 1
	rare    int // everything else of two or more bytes
	unusual int // rows that hold no Japanese text
}

func (e evidence) chars() int { return e.half + e.kana + e.common + e.rare + e.unusual }

// plausible allows one bad byte in 50 characters, as a page may be damaged.
func (e evidence) plausible() bool { return e.bad*50 <= e.chars() }

// score weighs the kinds by how much more often Japanese prose has them than
// the same bytes misread in the other encoding; per character.
func (e evidence) score() float64 {
	n := e.chars() + e.bad
	if n == 0 {
		return 0
	}
	return (float64(3*e.kana+2*e.common) - float64(2*e.half+e.rare+4*e.unusual+10*e.bad)) / float64(n)
}

// count classes one character of JIS X 0208 by row (1 to 94) and cell.
func (e *evidence) count(row, cell int) {
	switch {
	case row == 4 || row == 5 || row == 1 && cell <= 3:
		e.kana++
	case row >= 16 && row <= 47:
		e.common++
	case row <= 3 || row >= 48 && row <= 84:
		e.rare++
	default:
		e.unusual++
	}
}

// scanEUC reads EUC-JP: two bytes A1-FE, half-width katakana after 8E, JIS X
// 0212 after 8F.
func scanEUC(b []byte) (e evidence) {
	high := func(i int) bool { return b[i] >= 0xa1 && b[i] <= 0xfe }
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c < 0x80:
			i++
		case i+1 >= len(b):
			return e // cut off
		case c == 0x8e && b[i+1] >= 0xa1 && b[i+1] <= 0xdf:
			e.half++
			i += 2
		case c == 0x8f && i+2 < len(b) && high(i+1) && high(i+2):
			e.unusual++
			i += 3
		case high(i) && high(i+1):
			e.count(int(c)-0xa0, int(b[i+1])-0xa0)
			i += 2
		default:
			e.bad++
			i++
		}
	}
	return e
}

// scanShiftJIS reads Shift_JIS with Microsoft's extensions: lead 81-9F or
// E0-FC, trail 40-7E or 80-FC, half-width katakana A1-DF.
func scanShiftJIS(b []byte) (e evidence) {
	for i := 0; i < len(b); {
		c := b[i]
		lead := c >= 0x81 && c <= 0x9f || c >= 0xe0 && c <= 0xfc
		switch {
		case c < 0x80:
			i++
		case c >= 0xa1 && c <= 0xdf:
			e.half++
			i++
		case lead && i+1 >= len(b):
			return e // cut off
		case lead && b[i+1] >= 0x40 && b[i+1] != 0x7f && b[i+1] <= 0xfc:
			e.count(jisCell(c, b[i+1]))
			i += 2
		default:
			e.bad++
			i++
		}
	}
	return e
}

// jisCell maps a Shift_JIS pair to row and cell of JIS X 0208 (JIS X 0208:1997,
// annex 1).
func jisCell(lead, trail byte) (row, cell int) {
	l, t := int(lead), int(trail)
	if l >= 0xe0 {
		l -= 0x40
	}
	if t >= 0x80 {
		t--
	}
	row, cell = (l-0x81)*2+1, t-0x40+1
	if cell > 94 {
		row, cell = row+1, cell-94
	}
	return row, cell
}
