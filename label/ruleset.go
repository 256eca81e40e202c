package label

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

//go:embed presets/*.json
var presetFS embed.FS

// ErrNoPreset means an unknown preset name.
var ErrNoPreset = errors.New("label: no such preset")

// RuleError says which part of a rule set is wrong.
type RuleError struct {
	Set  string // name of the rule set
	Rule string // rule or term id, "" for the set
	Why  string
}

// Error implements error.
func (e *RuleError) Error() string {
	return fmt.Sprintf("label: rules %q, %q: %s", e.Set, e.Rule, e.Why)
}

// Mode says how rules decide.
type Mode string

// Modes.
const (
	// ScoreMode sums the weights of the rules that fire, each once; the class with
	// the largest sum wins, ties by Order.
	ScoreMode Mode = "score"
	// FirstMode takes the first class of Order of which any rule fires.
	FirstMode Mode = "first"
)

// RuleSet is the JSON form of rules.
type RuleSet struct {
	Name    string `json:"name"`
	Version int    `json:"version"` // ≥ 1
	Mode    Mode   `json:"mode"`
	// Fold matches over folded text (width, case, kana); without it, bytes must agree.
	Fold bool `json:"fold"`
	// Order lists all four classes: precedence in FirstMode, ties in ScoreMode.
	Order []Class `json:"order"`
	// None is the class when no rule fires; Fallbacks are tried before it.
	None      Class      `json:"none"`
	Fallbacks []Fallback `json:"fallbacks,omitempty"`
	// Terms are word lists that rules refer to; they give no class themselves.
	Terms    map[string]Term `json:"terms,omitempty"`
	Negation Negation        `json:"negation"`
	Rules    []Rule          `json:"rules"`
}

// Fallback gives a class to a text in which no rule fires, by its length.
type Fallback struct {
	MinRunes int   `json:"min_runes,omitempty"` // at least so many characters
	MaxRunes int   `json:"max_runes,omitempty"` // at most so many; 0 is no bound
	Class    Class `json:"class"`
}

// Term is a named list of words.
type Term struct {
	Words  []string `json:"words"`
	Except []string `json:"except,omitempty"` // longer strings in which a word does not count
}

// Negation lists what turns a match into its opposite within the same clause.
type Negation struct {
	After  []string `json:"after,omitempty"`  // follows the match (ではなく)
	Before []string `json:"before,omitempty"` // precedes it (not, without)
	Window int      `json:"window"`           // at most so many bytes between the two
}

// Rule gives weight to a class where a pattern occurs.
type Rule struct {
	ID     string   `json:"id"`
	Class  Class    `json:"class"`
	Weight float64  `json:"weight"` // > 0
	Any    []string `json:"any,omitempty"`
	// AnyTerms are terms whose words are patterns too.
	AnyTerms []string `json:"any_terms,omitempty"`
	// Except lists longer strings in which a pattern does not count (不可欠 for 不可).
	Except []string `json:"except,omitempty"`
	// With are terms that must all, Without terms that must not, occur in the same
	// sentence, or text when Scope is "text".
	With    []string `json:"with,omitempty"`
	Without []string `json:"without,omitempty"`
	Scope   string   `json:"scope,omitempty"` // "" (sentence) or "text"
	// Loose drops the word boundaries that patterns in Latin letters or katakana
	// have by default.
	Loose bool `json:"loose,omitempty"`
	// Firm ignores negation.
	Firm bool `json:"firm,omitempty"`
	// Why explains the rule to a reader.
	Why string `json:"why,omitempty"`
}

// Presets lists the names of the embedded rule sets.
func Presets() []string { return []string{"default", "legacy"} }

// Preset compiles an embedded rule set: "default", or "legacy", the substring
// rules of the pipeline that this one succeeds: first hit in the order DENY,
// REFUSE, ESCALATION, ALLOW; without one, DENY below 50 characters, else ALLOW.
func Preset(name string) (Rules, error) {
	if !slices.Contains(Presets(), name) {
		return Rules{}, fmt.Errorf("%w: %q (have %v)", ErrNoPreset, name, Presets())
	}
	b, err := presetFS.ReadFile("presets/" + name + ".json")
	if err != nil {
		return Rules{}, fmt.Errorf("label: %w", err)
	}
	return ParseRules(b)
}

// ParseRules reads and compiles a rule set; unknown keys are errors.
func ParseRules(b []byte) (Rules, error) {
	var set RuleSet
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&set); err != nil {
		return Rules{}, fmt.Errorf("label: rules, byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Rules{}, fmt.Errorf("label: rules, byte %d: more than one value", dec.InputOffset())
	}
	return Compile(set)
}

// Validate reports the first fault as a *RuleError.
func (s *RuleSet) Validate() error {
	bad := func(rule, format string, a ...any) error {
		return &RuleError{s.Name, rule, fmt.Sprintf(format, a...)}
	}
	order := slices.Clone(s.Order)
	slices.Sort(order)
	all := Classes()
	switch {
	case s.Version < 1:
		return bad("", "version %d, want 1 or more", s.Version)
	case s.Mode != ScoreMode && s.Mode != FirstMode:
		return bad("", "mode %q, want score or first", s.Mode)
	case !slices.Equal(order, all[:]):
		return bad("", "order %v must hold each class once", s.Order)
	case !s.None.Valid():
		return bad("", "none must be a class")
	case len(s.Terms) > 64:
		return bad("", "%d terms, at most 64", len(s.Terms))
	}
	for _, f := range s.Fallbacks {
		if !f.Class.Valid() {
			return bad("", "a fallback without a class")
		}
	}
	seen := map[string]bool{}
	for _, r := range s.Rules {
		if err := s.validateRule(r, seen[r.ID]); err != nil {
			return err
		}
		seen[r.ID] = true
	}
	return nil
}

func (s *RuleSet) validateRule(r Rule, twice bool) error {
	bad := func(format string, a ...any) error {
		return &RuleError{s.Name, r.ID, fmt.Sprintf(format, a...)}
	}
	switch {
	case r.ID == "" || twice:
		return bad("an id is missing or used twice")
	case !r.Class.Valid():
		return bad("no class")
	case !(r.Weight > 0 && r.Weight <= 1e6):
		return bad("weight %v, want above 0", r.Weight)
	case len(r.Any)+len(r.AnyTerms) == 0 || slices.Contains(r.Any, ""):
		return bad("no pattern, or an empty one")
	case r.Scope != "" && r.Scope != "text":
		return bad("scope %q, want text or none", r.Scope)
	}
	for _, t := range slices.Concat(r.AnyTerms, r.With, r.Without) {
		if _, ok := s.Terms[t]; !ok {
			return bad("unknown term %q", t)
		}
	}
	return nil
}
