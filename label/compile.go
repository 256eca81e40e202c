package label

import (
	"maps"
	"slices"
	"sync"

	"github.com/borea-go/borea/internal/ahocorasick"
)

// Rules is a compiled rule set, immutable. The zero value has no rules: FourClass
// answers ESCALATION.
type Rules struct{ c *compiled }

// Name and version of the rule set, "" and 0 for the zero value.
func (r Rules) Name() (name string, version int) {
	if r.c == nil {
		return "", 0
	}
	return r.c.set.Name, r.c.set.Version
}

// Set returns the rule set that r was compiled from.
func (r Rules) Set() RuleSet {
	if r.c == nil {
		return RuleSet{}
	}
	return r.c.set
}

type compiled struct {
	set     RuleSet
	matcher *ahocorasick.Matcher
	owners  [][]owner // per pattern
	rules   []compiledRule
	longest int       // bytes of the longest exception
	spare   sync.Pool // of *matches: their lists are most of what a text would allocate
}

type compiledRule struct {
	with, without uint64 // sets of terms
}

type role uint8

const (
	rolePattern   role = iota // a rule's pattern
	roleException             // of a rule
	roleTerm
	roleTermException
	roleNegAfter
	roleNegBefore
	roleClause   // ends a clause
	roleSentence // ends a sentence
)

// owner is what an occurrence of a pattern means.
type owner struct {
	index    int32 // rule or term
	role     role
	bounded  bool
	katakana bool // must be written in katakana, alone
}

// Compile validates and compiles a rule set.
func Compile(set RuleSet) (Rules, error) {
	if err := set.Validate(); err != nil {
		return Rules{}, err
	}
	b := builder{c: &compiled{set: set}, ids: map[string]int{}, terms: map[string]int{}}
	for i, name := range slices.Sorted(maps.Keys(set.Terms)) {
		b.terms[name] = i
		b.addAll(set.Terms[name].Words, owner{role: roleTerm, index: int32(i)}, false)
		b.addAll(set.Terms[name].Except, owner{role: roleTermException, index: int32(i)}, true)
	}
	for i, r := range set.Rules {
		b.addRule(i, r)
	}
	b.addAll(set.Negation.After, owner{role: roleNegAfter}, true)
	b.addAll(set.Negation.Before, owner{role: roleNegBefore}, false)
	b.addAll([]string{"、", "，", ", "}, owner{role: roleClause}, true)
	b.addAll([]string{"。", "！", "？", "!", "?", "\n", ". "}, owner{role: roleSentence}, true)
	m, err := ahocorasick.New(b.patterns)
	if err != nil {
		return Rules{}, &RuleError{set.Name, "", err.Error()}
	}
	b.c.matcher, b.c.owners = m, b.owners
	return Rules{b.c}, nil
}

type builder struct {
	c        *compiled
	patterns []string
	owners   [][]owner
	ids      map[string]int // by folded pattern
	terms    map[string]int
}

func (b *builder) addRule(i int, r Rule) {
	b.addAll(r.Any, owner{role: rolePattern, index: int32(i)}, r.Loose)
	for _, t := range r.AnyTerms {
		b.addAll(b.c.set.Terms[t].Words, owner{role: rolePattern, index: int32(i)}, r.Loose)
		b.addAll(b.c.set.Terms[t].Except, owner{role: roleException, index: int32(i)}, true)
	}
	b.addAll(r.Except, owner{role: roleException, index: int32(i)}, true)
	cr := compiledRule{}
	for _, t := range r.With {
		cr.with |= 1 << b.terms[t]
	}
	for _, t := range r.Without {
		cr.without |= 1 << b.terms[t]
	}
	b.c.rules = append(b.c.rules, cr)
}

func (b *builder) addAll(words []string, o owner, loose bool) {
	for _, w := range words {
		if w == "" {
			continue
		}
		key := w
		if b.c.set.Fold {
			var f folded
			f.fold(w)
			key = string(f.text)
		}
		o := o
		if !loose {
			o.bounded, o.katakana = boundaries(w)
		}
		if o.role == roleException || o.role == roleTermException {
			b.c.longest = max(b.c.longest, len(key))
		}
		id, known := b.ids[key]
		if !known {
			id = len(b.patterns)
			b.ids[key] = id
			b.patterns, b.owners = append(b.patterns, key), append(b.owners, nil)
		}
		if !slices.Contains(b.owners[id], o) {
			b.owners[id] = append(b.owners[id], o)
		}
	}
}

// boundaries says whether a pattern must not touch more of its own script: words
// of Latin letters, and words of nothing but katakana.
func boundaries(w string) (latin, katakana bool) {
	katakana = true
	for _, r := range w {
		katakana = katakana && isKatakana(r)
	}
	runes := []rune(w)
	return isWord(runes[0]) || isWord(runes[len(runes)-1]), katakana
}
