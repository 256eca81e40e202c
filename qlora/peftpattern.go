package qlora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// patterns is PEFT's alpha_pattern: an object whose order counts, because the
// first expression that matches the end of a linear's name decides
// (get_pattern_key in peft/utils/other.py).
type patterns []pattern

type pattern struct {
	name  string
	re    *regexp.Regexp
	value float64
}

// find returns the value of the first pattern that matches, or fallback.
func (p patterns) find(linear string, fallback float64) float64 {
	for _, x := range p {
		if x.re.MatchString(linear) {
			return x.value
		}
	}
	return fallback
}

// UnmarshalJSON keeps the order that a map would lose.
func (p *patterns) UnmarshalJSON(b []byte) error {
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
		*p = append(*p, pattern{name, re, values[name]})
	}
}

// MarshalJSON writes the object in order.
func (p patterns) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range p {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(x.name)
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(append(b, name...), ":%g", x.value)
	}
	return append(b, '}'), nil
}
