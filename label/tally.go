package label

// Tally counts decisions; add them one by one.
type Tally struct {
	Items   int            `json:"items"`
	Classes map[string]int `json:"classes"`
	// Rules counts the items in which each rule fired.
	Rules map[string]int `json:"rules"`
	None  int            `json:"none"` // no rule fired
	Ties  int            `json:"ties"`
	// Negated counts items with a negated match.
	Negated int `json:"negated"`
}

// Add counts one decision.
func (t *Tally) Add(d Decision) {
	if t.Classes == nil {
		t.Classes, t.Rules = map[string]int{}, map[string]int{}
	}
	t.Items++
	t.Classes[d.Class.String()]++
	if d.None {
		t.None++
	}
	if d.Tie {
		t.Ties++
	}
	seen, negated := map[string]bool{}, false
	for _, e := range d.Evidence {
		negated = negated || e.Negated
		if !e.Negated && !seen[e.Rule] {
			seen[e.Rule] = true
			t.Rules[e.Rule]++
		}
	}
	if negated {
		t.Negated++
	}
}
