package dataset

import "unicode"

// script is the kind of a character, as far as cleaning cares.
type script uint8

const (
	other script = iota // symbols, box drawing, emoji
	space
	hiragana
	katakana
	kanji
	latin // letters of any other alphabet
	digit
	mark // ordinary punctuation
	stop // punctuation that ends a sentence
	bad  // controls, private use, unassigned, U+FFFD
)

// scriptOf classifies r. Half-width katakana count as katakana, iteration marks
// and the long-vowel sign as what they repeat or lengthen.
func scriptOf(r rune) script {
	switch {
	case r < 0x80:
		return asciiScript(r)
	case r >= 0x3041 && r <= 0x309F:
		return hiragana
	case r >= 0x30A1 && r <= 0x30FF && r != '・', r >= 0xFF66 && r <= 0xFF9F, r >= 0x31F0 && r <= 0x31FF:
		return katakana
	case r >= 0x4E00 && r <= 0x9FFF, r >= 0x3400 && r <= 0x4DBF, r >= 0xF900 && r <= 0xFAFF, r >= 0x20000 && r <= 0x3134F, r == '々', r == '〆', r == '〇':
		return kanji
	case r == '。', r == '．', r == '！', r == '？', r == '…', r == '‥', r == '」', r == '』', r == '）', r == '】':
		return stop
	case r == '、', r == '，', r == '・', r == '「', r == '『', r == '（', r == '【', r == '：', r == '；', r == '〜', r == '～', r == '―', r == '—', r == '–', r == '％', r == '／', r == '“', r == '”', r == '’', r == '‘', r == '〈', r == '〉', r == '《', r == '》':
		return mark
	}
	return rareScript(r)
}

func asciiScript(r rune) script {
	switch {
	case r == ' ', r == '\n', r == '\t', r == '\r':
		return space
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		return latin
	case r >= '0' && r <= '9':
		return digit
	case r == '.', r == '!', r == '?', r == ')':
		return stop
	case r == ',', r == ';', r == ':', r == '\'', r == '"', r == '(', r == '-', r == '/', r == '%':
		return mark
	case r < 0x20 || r == 0x7F:
		return bad
	}
	return other
}

func rareScript(r rune) script {
	switch {
	case r >= '０' && r <= '９':
		return digit
	case r == '\uFFFD', r >= 0xE000 && r <= 0xF8FF, r >= 0x80 && r < 0xA0 && r != 0x85:
		return bad
	case unicode.IsSpace(r):
		return space
	case unicode.IsLetter(r):
		return latin
	case unicode.IsDigit(r):
		return digit
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r):
		return mark
	case !unicode.IsPrint(r):
		return bad
	}
	return other
}

func (s script) japanese() bool { return s == hiragana || s == katakana || s == kanji }

// JapaneseRatio is the share of kana and kanji among the characters that are not
// white space, 0 to 1; 0 for empty text.
func JapaneseRatio(text string) float64 {
	var n, ja int
	for _, r := range text {
		switch s := scriptOf(r); {
		case s == space:
		case s.japanese():
			ja++
			n++
		default:
			n++
		}
	}
	return ratio(ja, n)
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
