package dataset

import (
	"crypto/sha256"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Normalise is the form in which exact duplicates are sought: Unicode NFKC (full
// and half width agree), lower case, without white space, controls and
// zero-width characters.
func Normalise(text string) string {
	if !plainForm(text) {
		text = norm.NFKC.String(text)
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x3041 && r <= 0x9FFF { // nearly all of a Japanese text
			return r
		}
		if unicode.IsSpace(r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

// plainForm reports whether text holds only characters that NFKC leaves alone and
// that join with no neighbour: ASCII, kana without combining marks, common
// punctuation, unified kanji. It saves the general check, which costs more than
// all else, for nearly every Japanese text.
func plainForm(text string) bool {
	for _, r := range text {
		switch {
		case r < 0x80, r >= 0x4E00 && r <= 0x9FFF, r >= 0x3041 && r <= 0x3096, r >= 0x30A1 && r <= 0x30FE:
		case r >= 0x3001 && r <= 0x3003, r >= 0x3005 && r <= 0x3011:
		default:
			return false
		}
	}
	return true
}

// Key is what exact duplicates have in common: the first 128 bits of SHA-256 of the
// text in the form that d compares. sought is false for a text that is no one's
// duplicate under d.
func (d Dedup) Key(text string) (key [16]byte, sought bool) {
	switch d {
	case DedupOff:
		return key, false
	case DedupNormalised:
		text = Normalise(text)
	case DedupLegacy:
		if utf8.RuneCountInString(text) < 50 {
			return key, false
		}
	}
	sum := sha256.Sum256([]byte(text))
	return [16]byte(sum[:16]), true
}

// duplicate reports whether the text was met before, and remembers it.
func (c *cleaner) duplicate(text string) bool {
	key, sought := c.opts.Dedup.Key(text)
	if !sought {
		return false
	}
	_, met := c.seen[key]
	c.seen[key] = struct{}{}
	return met
}
