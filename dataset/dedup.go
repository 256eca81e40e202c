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
	if !norm.NFKC.IsNormalString(text) {
		text = norm.NFKC.String(text)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

// duplicate reports whether the text was met before, and remembers it.
func (c *cleaner) duplicate(text string) bool {
	switch c.opts.Dedup {
	case DedupOff:
		return false
	case DedupNormalised:
		text = Normalise(text)
	case DedupLegacy:
		if utf8.RuneCountInString(text) < 50 {
			return false
		}
	}
	sum := sha256.Sum256([]byte(text))
	key := [16]byte(sum[:16])
	_, met := c.seen[key]
	c.seen[key] = struct{}{}
	return met
}
