package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AddedToken is a token matched in the text before any merge, with the fields of
// tokenizer.json's added_tokens.
type AddedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character touches it
	LStrip     bool   `json:"lstrip"`      // swallows white space before it
	RStrip     bool   `json:"rstrip"`      // swallows white space after it
	Normalized bool   `json:"normalized"`  // matched after normalizing
	Special    bool   `json:"special"`     // left out by Decode
}

// addedScore is what GGUF files of this family give to added tokens.
const addedScore = -1000

func (t *Tokenizer) addTokens(added []AddedToken) error {
	t.added = added
	seen := make(map[string]bool, len(added))
	var plain, normalized []pattern
	for i, a := range added {
		if seen[a.Content] {
			return failf(ErrFormat, placeOf(a.Content), "is added twice")
		}
		seen[a.Content] = true
		if err := t.addToken(a); err != nil {
			return err
		}
		p := pattern{a.Content, int32(i), a.SingleWord}
		if a.Normalized {
			// The reference normalizes the pattern like a text of its own.
			p.text = t.norm.apply(a.Content, true)
			normalized = append(normalized, p)
			continue
		}
		plain = append(plain, p)
	}
	t.plain, t.normalized = newMatcher(plain), newMatcher(normalized)
	return nil
}

func (t *Tokenizer) addToken(a AddedToken) error {
	if err := checkPiece(a.Content, int64(a.ID)); err != nil {
		return err
	}
	if id, ok := t.ids[a.Content]; ok && id != a.ID {
		return failf(ErrFormat, placeOf(a.Content), "is added with id %d but has %d in the vocabulary", a.ID, id)
	}
	for int(a.ID) >= len(t.pieces) {
		t.pieces = append(t.pieces, Piece{})
	}
	p := &t.pieces[a.ID]
	if p.Type != 0 && p.Text != a.Content {
		return failf(ErrFormat, placeOf(a.Content), "id %d already belongs to %.40q", a.ID, p.Text)
	}
	if p.Type == 0 {
		p.Score = addedScore
	}
	if p.Type != Unknown {
		p.Type = UserDefined
		if a.Special {
			p.Type = Control
		}
	}
	p.Text, p.Added, p.Special, p.LStrip, p.RStrip = a.Content, true, a.Special, a.LStrip, a.RStrip
	t.ids[a.Content] = a.ID
	return nil
}

// A mark is one added token found in a text: bytes start to end.
type mark struct {
	start, end int
	token      int32 // index in Tokenizer.added
}

// extend widens a mark by the white space that the token swallows; done is where
// the token before ended. White space is Unicode's White_Space property.
func (a *AddedToken) extend(text string, m mark, done int) (start, stop int) {
	start, stop = m.start, m.end
	if a.LStrip {
		start = max(done, len(strings.TrimRightFunc(text[:start], unicode.IsSpace)))
	}
	if a.RStrip {
		stop = len(text) - len(strings.TrimLeftFunc(text[stop:], unicode.IsSpace))
	}
	return start, stop
}

// alone reports whether no word character touches the mark.
func alone(text string, m mark) bool {
	before, n := utf8.DecodeLastRuneInString(text[:m.start])
	after, k := utf8.DecodeRuneInString(text[m.end:])
	return (n == 0 || !isWord(before)) && (k == 0 || !isWord(after))
}

// isWord is Unicode's \w (UTS 18, annex C): alphabetic, mark, decimal number,
// connector punctuation, join control.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}

type pattern struct {
	text  string
	token int32
	alone bool // only as a single word
}

// matcher finds patterns, leftmost first and longest among those that start at
// one place, without overlaps.
type matcher struct {
	nodes  []trieNode
	first  [256]bool
	single int // the only first byte, or -1
	alone  map[int32]bool
}

type trieNode struct {
	edges []trieEdge
	token int32 // -1: no pattern ends here
}

type trieEdge struct {
	b  byte
	to int32
}

func newMatcher(patterns []pattern) matcher {
	m := matcher{nodes: []trieNode{{token: -1}}, single: -1, alone: map[int32]bool{}}
	for _, p := range patterns {
		at := int32(0)
		for i := range len(p.text) {
			at = m.grow(at, p.text[i])
		}
		if m.nodes[at].token < 0 {
			m.nodes[at].token = p.token
		}
		m.first[p.text[0]] = true
		m.alone[p.token] = p.alone
	}
	if root := m.nodes[0].edges; len(root) == 1 {
		m.single = int(root[0].b)
	}
	return m
}

func (m *matcher) grow(at int32, b byte) int32 {
	if to := m.step(at, b); to >= 0 {
		return to
	}
	to := int32(len(m.nodes))
	m.nodes = append(m.nodes, trieNode{token: -1})
	edges := append(m.nodes[at].edges, trieEdge{b, to})
	slices.SortFunc(edges, func(x, y trieEdge) int { return cmp.Compare(x.b, y.b) })
	m.nodes[at].edges = edges
	return to
}

func (m *matcher) step(at int32, b byte) int32 {
	for _, e := range m.nodes[at].edges {
		if e.b == b {
			return e.to
		}
	}
	return -1
}

func (m *matcher) empty() bool { return len(m.nodes) == 1 }

// find appends all matches in text to marks.
func (m *matcher) find(marks []mark, text string) []mark {
	if m.empty() {
		return marks
	}
	for i := 0; i < len(text); {
		i = m.skip(text, i)
		if i >= len(text) {
			break
		}
		token, end := m.longest(text, i)
		if token < 0 {
			i++
			continue
		}
		if found := (mark{i, end, token}); !m.alone[token] || alone(text, found) {
			marks = append(marks, found)
		}
		i = end
	}
	return marks
}

// skip returns the first place from i on where a pattern can start.
func (m *matcher) skip(text string, i int) int {
	if m.single >= 0 {
		n := strings.IndexByte(text[i:], byte(m.single))
		if n < 0 {
			return len(text)
		}
		return i + n
	}
	for i < len(text) && !m.first[text[i]] {
		i++
	}
	return i
}

func (m *matcher) longest(text string, i int) (token int32, end int) {
	token, end = -1, i
	for at := int32(0); i < len(text); i++ {
		if at = m.step(at, text[i]); at < 0 {
			break
		}
		if m.nodes[at].token >= 0 {
			token, end = m.nodes[at].token, i+1
		}
	}
	return token, end
}
