package tokenizer

import (
	"strings"
	"unicode/utf8"
)

type stepKind uint8

const (
	stepPrepend   stepKind = iota // put to in front of a text that is not empty
	stepReplace                   // every from becomes to
	stepFirst                     // as stepIfAbsent, only at the start of the whole text
	stepIfAbsent                  // put to in front unless it is there
	stepCutBefore                 // no merge reaches over the front of to
)

type normStep struct {
	kind     stepKind
	from, to string
}

// normalizer holds the steps of a normalizer or of a Metaspace pre-tokenizer.
type normalizer []normStep

func (n normalizer) apply(text string, first bool) string {
	for _, s := range n {
		switch s.kind {
		case stepReplace:
			text = strings.ReplaceAll(text, s.from, s.to)
		case stepPrepend:
			if text != "" {
				text = s.to + text
			}
		case stepFirst, stepIfAbsent:
			if text != "" && (first || s.kind == stepIfAbsent) && !strings.HasPrefix(text, s.to) {
				text = s.to + text
			}
		}
	}
	return text
}

// maxGrowth bounds how many times longer than its text all replacements together
// can make it, so that no file turns a short text into gigabytes.
const maxGrowth = 64

// growth returns by how much replacing from by to can lengthen a text, at least 1.
func growth(from, to string) int { return max(1, (len(to)+len(from)-1)/len(from)) }

func (n normalizer) check(where string) error {
	factor := 1
	for _, s := range n {
		if len(s.to) > MaxPiece {
			return failf(ErrLimit, where, "%d bytes, over %d", len(s.to), MaxPiece)
		}
		if s.kind == stepReplace {
			factor *= growth(s.from, s.to)
		}
		if factor > maxGrowth {
			return failf(ErrLimit, where, "replacements can make a text over %d times longer", maxGrowth)
		}
	}
	return nil
}

// foldNormalizer recognises Phi-3's own normalizer, one character in front and
// one replaced by another, and folds it into the tables: the space is looked up
// as U+2581 is, and the prefix is the first character of the first run.
func (t *Tokenizer) foldNormalizer() {
	t.prefix = noChar
	for _, s := range t.pre {
		if r, n := utf8.DecodeRuneInString(s.to); s.kind == stepCutBefore && n == len(s.to) {
			info := t.chars.get(r)
			info.right = 0
			t.chars.set(r, info)
		}
	}
	if !t.normalized.empty() || len(t.pre) > 0 {
		return
	}
	t.quick = len(t.norm) == 0 || t.foldPrefix()
}

func (t *Tokenizer) foldPrefix() bool {
	if len(t.norm) != 2 || t.norm[0].kind != stepPrepend || t.norm[1].kind != stepReplace {
		return false
	}
	front, ok1 := oneRune(t.norm[0].to)
	from, ok2 := oneRune(t.norm[1].from)
	to, ok3 := oneRune(t.norm[1].to)
	if !ok1 || !ok2 || !ok3 || t.chars.get(front).id < 0 || t.chars.get(to).id < 0 || front == from {
		return false
	}
	t.chars.set(from, t.chars.get(to))
	t.prefix = t.chars.get(front)
	return true
}

func oneRune(s string) (rune, bool) {
	r, n := utf8.DecodeRuneInString(s)
	return r, n > 0 && n == len(s)
}
