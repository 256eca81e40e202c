package label

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Masked stands for each character that Mask hides, as in a printed text with
// words left out.
const Masked = '〇'

// Mask hides every pattern and term of the rules in a text, whether or not its
// rule fires there: what is left is all that a labeller has to go by once the
// keywords are gone. Characters keep their number. Negations and the ends of
// sentences stay.
func Mask(text string, rules Rules) string {
	if rules.c == nil {
		return text
	}
	m := scan(text, rules.c)
	defer m.release()
	var b strings.Builder
	at := 0
	for _, s := range m.keywords() {
		if s.end <= at {
			continue
		}
		start := max(s.start, at)
		b.WriteString(text[at:start])
		b.WriteString(strings.Repeat(string(Masked), utf8.RuneCountInString(text[start:s.end])))
		at = s.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// keywords are the places of patterns and terms in the original text, by start.
func (m *matches) keywords() (out []span) {
	for _, list := range [][]span{m.patterns, m.terms} {
		for _, s := range list {
			out = append(out, span{start: m.f.original(s.start), end: m.f.original(s.end)})
		}
	}
	slices.SortFunc(out, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	return out
}

// Keywords lists the patterns and terms that occur in a text, in the form they are
// matched in, each once: first patterns, then terms, in order of their ends.
func (r Rules) Keywords(text string) (out []string) {
	if r.c == nil {
		return nil
	}
	m := scan(text, r.c)
	defer m.release()
	for _, list := range [][]span{m.patterns, m.terms} {
		for _, s := range list {
			if w := string(m.f.text[s.start:s.end]); !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}
