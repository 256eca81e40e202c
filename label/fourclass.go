package label

import (
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/borea-go/borea/internal/ahocorasick"
)

// Decision is the class of a text and why.
type Decision struct {
	Class Class `json:"class"`
	// Scores per class, in index order: the summed weights of rules that fired.
	Scores [Count]float64 `json:"scores"`
	// Evidence lists every match of every rule that fired, or that would have but
	// for a negation, in order of its end.
	Evidence []Evidence `json:"evidence,omitempty"`
	// Tie reports that Order chose between equal scores.
	Tie bool `json:"tie,omitempty"`
	// None reports that no rule fired, so that a fallback decided.
	None bool `json:"none,omitempty"`
}

// Evidence is one match of one rule.
type Evidence struct {
	Rule    string  `json:"rule"`
	Class   Class   `json:"class"`
	Weight  float64 `json:"weight"`
	Start   int     `json:"start"` // byte offsets in the text as given
	End     int     `json:"end"`
	Text    string  `json:"text"`
	Negated bool    `json:"negated,omitempty"` // then it has no weight
}

// RuleIDs lists the rules that decided: those of the class that fired, each once.
func (d Decision) RuleIDs() []string {
	var out []string
	for _, e := range d.Evidence {
		if e.Class == d.Class && !e.Negated && !slices.Contains(out, e.Rule) {
			out = append(out, e.Rule)
		}
	}
	return out
}

// FourClass labels a text. It is safe for concurrent use. Time is linear in the
// text but for a logarithm per match.
func FourClass(text string, rules Rules) Decision {
	if rules.c == nil {
		return Decision{Class: Escalation, None: true}
	}
	m := scan(text, rules.c)
	d := m.evidence()
	m.release()
	rules.c.decide(&d, text)
	return d
}

// span is an occurrence in the folded text.
type span struct {
	start, end       int
	owner            owner
	sentence, clause int32
}

// matches sorts the occurrences of one text by what they mean. All lists are in
// order of their ends.
type matches struct {
	c                          *compiled
	text                       string
	f                          folded
	patterns, terms            []span
	exceptions, termExceptions []span
	after, before              []span
	sentence, clause           int32
	inSentence                 []uint64 // terms per sentence
	inText                     uint64
}

// scan finds all occurrences; the caller releases the result.
func scan(text string, c *compiled) *matches {
	m, _ := c.spare.Get().(*matches)
	if m == nil {
		m = &matches{}
	}
	m.c, m.text = c, text
	if c.set.Fold {
		m.f.fold(text)
	} else {
		m.f.text = append(m.f.text, text...)
	}
	c.matcher.Scan(m.f.text, func(x ahocorasick.Match) bool {
		for _, o := range c.owners[x.Pattern] {
			m.add(span{x.Start, x.End, o, m.sentence, m.clause})
		}
		return true
	})
	m.collectTerms()
	return m
}

// release empties the lists and keeps their memory for the next text. Nothing that
// was handed out refers to them.
func (m *matches) release() {
	c := m.c
	*m = matches{
		f:        folded{m.f.text[:0], m.f.breaks[:0]},
		patterns: m.patterns[:0], terms: m.terms[:0], after: m.after[:0], before: m.before[:0],
		exceptions: m.exceptions[:0], termExceptions: m.termExceptions[:0], inSentence: m.inSentence[:0],
	}
	c.spare.Put(m)
}

func (m *matches) add(s span) {
	if (s.owner.bounded || s.owner.katakana) && !m.bounded(s) {
		return
	}
	switch s.owner.role {
	case rolePattern:
		m.patterns = append(m.patterns, s)
	case roleException:
		m.exceptions = append(m.exceptions, s)
	case roleTerm:
		m.terms = append(m.terms, s)
	case roleTermException:
		m.termExceptions = append(m.termExceptions, s)
	case roleNegAfter:
		m.after = append(m.after, s)
	case roleNegBefore:
		m.before = append(m.before, s)
	case roleClause:
		m.clause++
	case roleSentence:
		m.sentence++
		m.clause++
	}
}

// bounded looks at the original text: a word must not touch its own script.
func (m *matches) bounded(s span) bool {
	start, end := m.f.original(s.start), m.f.original(s.end)
	prev, _ := utf8.DecodeLastRuneInString(m.text[:start])
	next, _ := utf8.DecodeRuneInString(m.text[end:])
	if s.owner.katakana {
		first, _ := utf8.DecodeRuneInString(m.text[start:end])
		return isKatakana(first) && !isKatakana(prev) && !isKatakana(next)
	}
	first, _ := utf8.DecodeRuneInString(m.text[start:end])
	last, _ := utf8.DecodeLastRuneInString(m.text[start:end])
	return !(isWord(first) && isWord(prev)) && !(isWord(last) && isWord(next))
}

func (m *matches) collectTerms() {
	m.inSentence = slices.Grow(m.inSentence, int(m.sentence)+1)[:m.sentence+1]
	clear(m.inSentence)
	for _, t := range m.terms {
		if !m.excepted(t, m.termExceptions) {
			m.inSentence[t.sentence] |= 1 << t.owner.index
			m.inText |= 1 << t.owner.index
		}
	}
}

// excepted reports whether an exception of the same rule or term covers s.
func (m *matches) excepted(s span, list []span) bool {
	i := sort.Search(len(list), func(i int) bool { return list[i].end >= s.end })
	for ; i < len(list) && list[i].end <= s.end+m.c.longest; i++ {
		if list[i].owner.index == s.owner.index && list[i].start <= s.start {
			return true
		}
	}
	return false
}

// evidence applies context, exceptions and negation to the patterns.
func (m *matches) evidence() (d Decision) {
	counted := make([]bool, len(m.c.rules))
	for _, s := range m.patterns {
		if !m.inContext(s) || m.excepted(s, m.exceptions) {
			continue
		}
		r := &m.c.set.Rules[s.owner.index]
		e := Evidence{Rule: r.ID, Class: r.Class, Weight: r.Weight, Start: m.f.original(s.start), End: m.f.original(s.end)}
		e.Text = m.text[e.Start:e.End]
		e.Negated = !r.Firm && m.negated(s)
		d.Evidence = append(d.Evidence, e)
		if !e.Negated && !counted[s.owner.index] {
			counted[s.owner.index] = true
			d.Scores[r.Class.Index()] += r.Weight
		}
	}
	return d
}

func (m *matches) inContext(s span) bool {
	terms := m.inSentence[s.sentence]
	if m.c.set.Rules[s.owner.index].Scope == "text" {
		terms = m.inText
	}
	r := m.c.rules[s.owner.index]
	return terms&r.with == r.with && terms&r.without == 0
}

// negated looks for a negation in the same clause, within the window.
func (m *matches) negated(s span) bool {
	window := m.c.set.Negation.Window
	i := sort.Search(len(m.after), func(i int) bool { return m.after[i].end > s.end })
	for ; i < len(m.after) && m.after[i].start <= s.end+window; i++ {
		if m.after[i].start >= s.end && m.after[i].clause == s.clause {
			return true
		}
	}
	i = sort.Search(len(m.before), func(i int) bool { return m.before[i].end > s.start }) - 1
	return i >= 0 && m.before[i].clause == s.clause && s.start-m.before[i].end <= window
}

// decide turns scores into a class.
func (c *compiled) decide(d *Decision, text string) {
	best := 0.0
	for _, class := range c.set.Order {
		score := d.Scores[class.Index()]
		switch {
		case score > best:
			best, d.Class, d.Tie = score, class, false
		case score == best && score > 0:
			d.Tie = true
		}
		if c.set.Mode == FirstMode && score > 0 {
			return
		}
	}
	if best == 0 {
		d.None, d.Class = true, c.fallback(utf8.RuneCountInString(text))
	}
}

func (c *compiled) fallback(runes int) Class {
	for _, f := range c.set.Fallbacks {
		if runes >= f.MinRunes && (f.MaxRunes == 0 || runes <= f.MaxRunes) {
			return f.Class
		}
	}
	return c.set.None
}
