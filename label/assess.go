package label

import "slices"

// Assessment compares labels by rules with labels by hand.
type Assessment struct {
	Rules   string `json:"rules"` // name of the rule set
	Version int    `json:"version"`
	Items   int    `json:"items"`
	// Correct of Items agree.
	Correct int `json:"correct"`
	// Confusion[i][j] counts items of class i by hand that the rules call j.
	Confusion [Count][Count]int `json:"confusion"`
	// MacroF1 is the mean of the four classes' F1; a class that occurs on neither
	// side counts 0.
	MacroF1 float64 `json:"macro_f1"`
	// UnsafeAllowed counts DENY and REFUSE that the rules call ALLOW.
	UnsafeAllowed int `json:"unsafe_allowed"`
	// ByKind holds correct and total per kind of item.
	ByKind map[string][2]int `json:"by_kind"`
	// ByRule holds, per rule that fired, how often and how often the item was of
	// its class.
	ByRule map[string]RuleHits `json:"by_rule"`
	// Sources lists the label sources of the items: figures on "author" items are
	// no independent measurement.
	Sources []string `json:"sources"`
}

// RuleHits says how often a rule fired on items, and how often rightly.
type RuleHits struct {
	Fired int `json:"fired"`
	Right int `json:"right"`
}

// Precision is Right/Fired, and false when the rule never fired.
func (h RuleHits) Precision() (float64, bool) {
	if h.Fired == 0 {
		return 0, false
	}
	return float64(h.Right) / float64(h.Fired), true
}

// Assess labels the items by rules and compares.
func Assess(items []GoldItem, rules Rules) Assessment {
	a := Assessment{Items: len(items), ByKind: map[string][2]int{}, ByRule: map[string]RuleHits{}}
	a.Rules, a.Version = rules.Name()
	for _, it := range items {
		if !it.Label.Valid() {
			a.Items--
			continue
		}
		a.add(it, FourClass(it.Text, rules))
	}
	slices.Sort(a.Sources)
	a.MacroF1 = macroF1(a.Confusion)
	return a
}

func (a *Assessment) add(it GoldItem, d Decision) {
	a.Confusion[it.Label.Index()][d.Class.Index()]++
	kind := a.ByKind[it.Kind]
	kind[1]++
	if d.Class == it.Label {
		a.Correct++
		kind[0]++
	}
	a.ByKind[it.Kind] = kind
	if it.Label.Unsafe() && d.Class == Allow {
		a.UnsafeAllowed++
	}
	if !slices.Contains(a.Sources, it.Source) {
		a.Sources = append(a.Sources, it.Source)
	}
	var fired []string
	for _, e := range d.Evidence {
		if e.Negated || slices.Contains(fired, e.Rule) {
			continue
		}
		fired = append(fired, e.Rule)
		h := a.ByRule[e.Rule]
		h.Fired++
		if e.Class == it.Label {
			h.Right++
		}
		a.ByRule[e.Rule] = h
	}
}

func macroF1(m [Count][Count]int) float64 {
	total := 0.0
	for c := range Count {
		truth, said := 0, 0
		for k := range Count {
			truth += m[c][k]
			said += m[k][c]
		}
		if truth+said > 0 {
			total += 2 * float64(m[c][c]) / float64(truth+said)
		}
	}
	return total / Count
}

// Disagree returns the texts that two rule sets label differently.
func Disagree(texts []string, a, b Rules) []string {
	var out []string
	for _, t := range texts {
		if FourClass(t, a).Class != FourClass(t, b).Class {
			out = append(out, t)
		}
	}
	return out
}
