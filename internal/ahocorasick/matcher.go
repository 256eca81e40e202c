package ahocorasick

import "fmt"

// MaxTable is the largest transition table in bytes that New builds, reckoned
// before common prefixes are merged.
const MaxTable = 256 << 20

// SizeError means patterns whose table would exceed MaxTable.
type SizeError struct{ States, Classes int }

// Error implements error.
func (e *SizeError) Error() string {
	return fmt.Sprintf("ahocorasick: %d states × %d byte classes need more than %d bytes", e.States, e.Classes, MaxTable)
}

// Match is one occurrence: pattern index, and text[Start:End].
type Match struct{ Pattern, Start, End int }

// found marks a state whose path ends at least one pattern.
const found = 1 << 31

// Matcher is immutable and may be used by many goroutines.
type Matcher struct {
	class [256]uint8
	shift uint
	// next[state<<shift|class] is the following state, shifted, with the found bit.
	next    []uint32
	outputs [][]int32 // per state: patterns that end here, longest first
	length  []int32   // per pattern
}

// New builds a matcher. Empty patterns never match; equal patterns all match.
func New(patterns []string) (*Matcher, error) {
	m := &Matcher{length: make([]int32, len(patterns))}
	classes := m.classify(patterns)
	for 1<<m.shift < classes {
		m.shift++
	}
	states := 1
	for _, p := range patterns {
		states += len(p)
	}
	if states > MaxTable>>2>>m.shift {
		return nil, &SizeError{states, 1 << m.shift}
	}
	t := &trie{m: m}
	t.add()
	for i, p := range patterns {
		m.length[i] = int32(len(p))
		t.insert(int32(i), p)
	}
	t.link()
	return m, nil
}

// classify gives each byte that a pattern uses a number; the others share 0.
func (m *Matcher) classify(patterns []string) int {
	n := 1
	for _, p := range patterns {
		for i := 0; i < len(p); i++ {
			if m.class[p[i]] == 0 && n < 256 {
				m.class[p[i]] = uint8(n)
				n++
			}
		}
	}
	return n
}

type trie struct {
	m    *Matcher
	fail []uint32
}

func (t *trie) add() uint32 {
	s := uint32(len(t.m.outputs))
	t.m.next = append(t.m.next, make([]uint32, 1<<t.m.shift)...)
	t.m.outputs = append(t.m.outputs, nil)
	return s
}

func (t *trie) insert(id int32, p string) {
	m, s := t.m, uint32(0)
	for i := 0; i < len(p); i++ {
		at := s<<m.shift | uint32(m.class[p[i]])
		if m.next[at] == 0 {
			m.next[at] = t.add()
		}
		s = m.next[at]
	}
	if p != "" {
		m.outputs[s] = append(m.outputs[s], id)
	}
}

// link turns the trie into an automaton, breadth first: a missing edge becomes
// that of the longest proper suffix, and outputs include the suffix's. Edges then
// hold shifted states with the found bit.
func (t *trie) link() {
	m, width := t.m, uint32(1)<<t.m.shift
	t.fail = make([]uint32, len(m.outputs))
	queue := []uint32{0}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for c := uint32(0); c < width; c++ {
			at := s<<m.shift | c
			child := m.next[at]
			if child == 0 {
				if s != 0 {
					m.next[at] = m.next[t.fail[s]<<m.shift|c]
				}
				continue
			}
			if s != 0 {
				t.fail[child] = m.next[t.fail[s]<<m.shift|c]
			}
			m.outputs[child] = append(m.outputs[child], m.outputs[t.fail[child]]...)
			queue = append(queue, child)
		}
	}
	for i, s := range m.next {
		m.next[i] = s << m.shift
		if len(m.outputs[s]) > 0 {
			m.next[i] |= found
		}
	}
}

// Scan calls f for every occurrence, overlapping ones too, in order of their ends
// and, at one end, longest first. It stops when f returns false.
func (m *Matcher) Scan(text []byte, f func(Match) bool) {
	s := uint32(0)
	for i := 0; i < len(text); i++ {
		s = m.next[s|uint32(m.class[text[i]])]
		if s&found == 0 {
			continue
		}
		s &^= found
		for _, p := range m.outputs[s>>m.shift] {
			if !f(Match{int(p), i + 1 - int(m.length[p]), i + 1}) {
				return
			}
		}
	}
}
