package dataset

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Quality scores Japanese prose from 0 to 1 by rates that do not depend on the
// length of a text: the product of six factors, each 1 over the range where
// ordinary prose lies and falling linearly outside it.
//
//	noise        (symbols + 10·unprintable + digits beyond 20 %) / characters:  1 to .12, 0 at .40
//	script       hiragana / Japanese letters:                                   1 from .18 to .95, 0 at .04, .89 at 1
//	sentences    characters up to the last sentence end of a line / characters: 1 from .50, .75 at 0
//	             characters a sentence:                                         1 to 300, .5 at 1,500
//	repetition   10-grams seen before in the same 1,000 characters:             1 to .15, 0 at .50
//	             distinct characters in 50:                                     1 from 22, 0 at 12
//	grammar      (frequent pairs of hiragana + 1.5) / (pairs + 10):             1 from .07, 0 at .015
//	boilerplate  characters in navigation and notice phrases / characters:      1 to .06, 0 at .30
//
// Characters do not include white space. Ranges were set on Japanese literature
// and on our own synthetic texts cut to 50 to 5,000 characters. Below ten
// characters the score is 0. The score is meant for Japanese; text in other
// languages is judged by noise, sentences, repetition and boilerplate alone.
func Quality(text string) float64 {
	p := profileOf(text)
	if p.chars < 10 {
		return 0
	}
	return p.noise() * p.scripts() * p.sentences() * p.repetition() * p.grammar() * p.boilerplate()
}

// profile holds the counts of one pass over a text.
type profile struct {
	chars    int // without white space
	count    [bad + 1]int
	runes    []rune // without white space
	closed   int    // characters up to the last sentence end of each line
	stops    int    // sentence ends, runs counted once
	pairs    int    // hiragana after hiragana
	frequent int    // of them, in frequentPairs
	plate    int    // characters in boilerplate
}

func profileOf(text string) *profile {
	p := &profile{runes: make([]rune, 0, len(text)/3+1)}
	for line := range strings.SplitSeq(text, "\n") {
		p.addLine(line)
	}
	p.plate = boilerplateRunes(text)
	return p
}

func (p *profile) addLine(line string) {
	start, closed, last := p.chars, p.chars, space
	var before rune
	for _, r := range line {
		s := scriptOf(r)
		p.count[s]++
		if s == space {
			continue
		}
		p.chars++
		p.runes = append(p.runes, r)
		if s == stop {
			closed = p.chars
			if last != stop {
				p.stops++
			}
		}
		if s == hiragana && last == hiragana {
			p.pairs++
			if isFrequentPair(before, r) {
				p.frequent++
			}
		}
		before, last = r, s
	}
	p.closed += closed - start
}

// ramp is 0 at zero, 1 at one, linear between and flat outside; zero may be the
// larger.
func ramp(x, zero, one float64) float64 {
	return max(0, min(1, (x-zero)/(one-zero)))
}

func (p *profile) noise() float64 {
	n := float64(p.count[other]) + 10*float64(p.count[bad]) + max(0, float64(p.count[digit])-0.2*float64(p.chars))
	return ramp(n/float64(p.chars), 0.40, 0.12)
}

func (p *profile) letters() int { return p.count[hiragana] + p.count[katakana] + p.count[kanji] }

func (p *profile) scripts() float64 {
	if ratio(p.letters(), p.chars) < 0.2 {
		return 1
	}
	h := ratio(p.count[hiragana], p.letters())
	return min(ramp(h, 0.04, 0.18), ramp(h, 1.4, 0.95))
}

func (p *profile) sentences() float64 {
	closed := 0.75 + 0.25*ramp(ratio(p.closed, p.chars), 0, 0.5)
	length := float64(p.chars) / float64(max(1, p.stops))
	return closed * (0.5 + 0.5*ramp(length, 1500, 300))
}

const (
	gramSize   = 10
	gramWindow = 1000
	charWindow = 50
)

func (p *profile) repetition() float64 {
	return ramp(p.repeatedGrams(), 0.50, 0.15) * ramp(p.distinctIn50(), 12, 22)
}

// repeatedGrams is the share of 10-grams that occurred before in their window. A
// gram is known by a 64-bit polynomial hash that rolls along the text.
func (p *profile) repeatedGrams() float64 {
	var seen gramSet
	hash, out, again, total := uint64(0), uint64(1), 0, 0
	for range gramSize {
		out *= gramBase
	}
	for i, r := range p.runes {
		hash = hash*gramBase + uint64(r) + 1
		if i < gramSize-1 {
			continue
		}
		if i >= gramSize {
			hash -= out * (uint64(p.runes[i-gramSize]) + 1)
		}
		if (i-gramSize+1)%gramWindow == 0 {
			seen = gramSet{}
		}
		if seen.add(hash) {
			again++
		}
		total++
	}
	return ratio(again, total)
}

const gramBase = 0x9e3779b97f4a7c15

// gramSet is an open hash table for the grams of one window; 0 marks a free slot.
type gramSet [2 * 1024]uint64

// add reports whether h was there, and puts it there.
func (s *gramSet) add(h uint64) bool {
	h |= 1 << 63
	for i := h * 0xbf58476d1ce4e5b9 >> 53; ; i = (i + 1) % uint64(len(s)) {
		switch s[i] {
		case h:
			return true
		case 0:
			s[i] = h
			return false
		}
	}
}

// distinctIn50 is the mean number of distinct characters in windows of 50; a text
// shorter than that is scaled up.
func (p *profile) distinctIn50() float64 {
	if len(p.runes) < charWindow {
		return float64(distinct(p.runes)) * charWindow / float64(len(p.runes))
	}
	sum, n := 0, 0
	for i := 0; i+charWindow <= len(p.runes); i += charWindow {
		sum += distinct(p.runes[i : i+charWindow])
		n++
	}
	return ratio(sum, n)
}

func distinct(runes []rune) int {
	n := 0
	for i, r := range runes {
		first := true
		for _, q := range runes[:i] {
			if q == r {
				first = false
				break
			}
		}
		if first {
			n++
		}
	}
	return n
}

func (p *profile) grammar() float64 {
	if p.pairs < 15 {
		return 1
	}
	// Counts added to both sides keep a short text from failing by chance.
	return ramp((float64(p.frequent)+1.5)/(float64(p.pairs)+10), 0.015, 0.07)
}

func (p *profile) boilerplate() float64 {
	return ramp(ratio(p.plate, p.chars), 0.30, 0.06)
}

// frequentPairs are pairs of hiragana that grammar makes frequent: endings,
// particles, auxiliaries.
const frequentPairs = "して った てい いる から こと もの です ます ある ない とい いう した され には では とし れた その この よう なっ なる ため まし ませ りま しま いま てき きた かっ って れる らな ので ても でも まで など する うに によ より られ んで とを のは のが とが にな にし をし れば けれ せん たり だけ ほど いた でき きる くだ ださ さい また"

func isFrequentPair(a, b rune) bool {
	if a < 0x3041 || a > 0x3096 || b < 0x3041 || b > 0x3096 {
		return false
	}
	return pairTable()[(a-0x3041)*86+(b-0x3041)]
}

// pairTable is frequentPairs as a table over two kana.
var pairTable = sync.OnceValue(func() *[86 * 86]bool {
	var t [86 * 86]bool
	for f := range strings.FieldsSeq(frequentPairs) {
		a, n := utf8.DecodeRuneInString(f)
		b, _ := utf8.DecodeRuneInString(f[n:])
		t[(a-0x3041)*86+(b-0x3041)] = true
	}
	return &t
})
