package peftpattern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// Patterns is PEFT's alpha_pattern: an object whose order counts, because the
// first expression that matches the end of a linear's name decides
// (get_pattern_key in peft/utils/other.py).
type Patterns []Pattern

// Pattern is one entry.
type Pattern struct {
	Name  string // the expression as it is written
	Value float64
	re    *regexp.Regexp
}

// Find returns the value of the first pattern that matches, or fallback.
func (p Patterns) Find(linear string, fallback float64) float64 {
	for _, x := range p {
		if x.re.MatchString(linear) {
			return x.Value
		}
	}
	return fallback
}

// UnmarshalJSON keeps the order that a map would lose. Values that are no numbers
// and expressions that do not compile are errors.
func (p *Patterns) UnmarshalJSON(b []byte) error {
	var values map[string]float64
	if err := json.Unmarshal(b, &values); err != nil || values == nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := dec.Token()
		if err != nil {
			return nil // the end: Unmarshal has accepted the object
		}
		name, ok := tok.(string)
		if !ok {
			continue
		}
		re, err := regexp.Compile(`^(?:.*\.)?(?:` + name + `)$`)
		if err != nil {
			return fmt.Errorf("alpha_pattern %q: %w", name, err)
		}
		*p = append(*p, Pattern{name, values[name], re})
	}
}

// MarshalJSON writes the object in order.
func (p Patterns) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range p {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(append(b, name...), ":%g", x.Value)
	}
	return append(b, '}'), nil
}
