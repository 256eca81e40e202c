package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// component is any of the typed objects of a tokenizer.json's normalizer,
// pre_tokenizer and decoder.
type component struct {
	Type          string            `json:"type"`
	Normalizers   []json.RawMessage `json:"normalizers"`
	Decoders      []json.RawMessage `json:"decoders"`
	Prepend       string            `json:"prepend"`
	Pattern       map[string]string `json:"pattern"`
	Content       string            `json:"content"`
	Start         int               `json:"start"`
	Stop          int               `json:"stop"`
	Replacement   string            `json:"replacement"`
	PrependScheme *string           `json:"prepend_scheme"`
	AddPrefix     *bool             `json:"add_prefix_space"`
	Split         *bool             `json:"split"`
}

func readComponent(raw json.RawMessage, where string) (*component, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	c := new(component)
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, jsonError(where, err)
	}
	return c, nil
}

const maxDepth = 4 // Sequences within Sequences

func readNormalizer(raw json.RawMessage, where string, depth int) (normalizer, error) {
	c, err := readComponent(raw, where)
	if c == nil {
		return nil, err
	}
	switch c.Type {
	case "Sequence":
		return readSequence(c.Normalizers, where, depth)
	case "Prepend":
		return normalizer{{kind: stepPrepend, to: c.Prepend}}, nil
	case "Replace":
		from, err := c.literal(where)
		return normalizer{{kind: stepReplace, from: from, to: c.Content}}, err
	}
	return nil, failf(ErrUnsupported, where, "type %.40q", c.Type)
}

func readSequence(parts []json.RawMessage, where string, depth int) (normalizer, error) {
	if depth >= maxDepth {
		return nil, failf(ErrLimit, where, "Sequence nested deeper than %d", maxDepth)
	}
	var all normalizer
	for i, raw := range parts {
		n, err := readNormalizer(raw, fmt.Sprintf("%s[%d]", where, i), depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, n...)
	}
	return all, nil
}

// literal returns the pattern of a Replace, which must be a plain string.
func (c *component) literal(where string) (string, error) {
	if re, ok := c.Pattern["Regex"]; ok {
		return "", failf(ErrUnsupported, where, "regular expression %.40q", re)
	}
	s := c.Pattern["String"]
	if s == "" {
		return "", failf(ErrFormat, where, "Replace without a pattern")
	}
	return s, nil
}

// readPreTokenizer reads Metaspace, the form in which newer files write what
// Prepend and Replace do.
func readPreTokenizer(raw json.RawMessage) (normalizer, error) {
	const where = "pre_tokenizer"
	c, err := readComponent(raw, where)
	if c == nil {
		return nil, err
	}
	if c.Type != "Metaspace" {
		return nil, failf(ErrUnsupported, where, "type %.40q", c.Type)
	}
	if _, ok := oneRune(c.Replacement); !ok {
		return nil, failf(ErrFormat, where, "replacement %.40q is not one character", c.Replacement)
	}
	steps := normalizer{{kind: stepReplace, from: " ", to: c.Replacement}}
	switch scheme := c.scheme(); scheme {
	case "always":
		steps = append(steps, normStep{kind: stepIfAbsent, to: c.Replacement})
	case "first":
		steps = append(steps, normStep{kind: stepFirst, to: c.Replacement})
	case "never":
	default:
		return nil, failf(ErrFormat, where, "prepend_scheme %.40q", scheme)
	}
	if c.Split == nil || *c.Split {
		steps = append(steps, normStep{kind: stepCutBefore, to: c.Replacement})
	}
	return steps, nil
}

func (c *component) scheme() string {
	switch {
	case c.PrependScheme != nil:
		return *c.PrependScheme
	case c.AddPrefix != nil && !*c.AddPrefix:
		return "never"
	}
	return "always"
}

// readDecoder accepts Replace steps, then ByteFallback, Fuse and Strip, each at
// most once and in that order.
func readDecoder(raw json.RawMessage) (decodePlan, error) {
	const where = "decoder"
	var plan decodePlan
	c, err := readComponent(raw, where)
	if err != nil {
		return plan, err
	}
	if c == nil {
		return plan, failf(ErrUnsupported, where, "none: pieces would be joined by spaces")
	}
	parts := []*component{c}
	if c.Type == "Sequence" {
		parts = make([]*component, len(c.Decoders))
		for i, raw := range c.Decoders {
			if parts[i], err = readComponent(raw, fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return plan, err
			}
		}
	}
	stage := 0
	for i, p := range parts {
		if err := plan.add(p, &stage, fmt.Sprintf("%s[%d]", where, i)); err != nil {
			return plan, err
		}
	}
	return plan, nil
}

func (d *decodePlan) add(c *component, stage *int, where string) error {
	if c == nil {
		return failf(ErrFormat, where, "is null")
	}
	order := map[string]int{"Replace": 0, "ByteFallback": 1, "Fuse": 2, "Strip": 3}
	at, known := order[c.Type]
	switch {
	case !known:
		return failf(ErrUnsupported, where, "type %.40q", c.Type)
	case at < *stage, at == *stage && at > 0, c.Type == "Strip" && *stage != 2:
		return failf(ErrUnsupported, where, "%s in this place", c.Type)
	}
	*stage = at
	switch c.Type {
	case "Replace":
		from, err := c.literal(where)
		d.replace = append(d.replace, [2]string{from, c.Content})
		return err
	case "ByteFallback":
		d.bytes = true
	case "Strip":
		return d.addStrip(c, where)
	}
	return nil
}

func (d *decodePlan) check(where string) error {
	var n normalizer
	for _, r := range d.replace {
		n = append(n, normStep{kind: stepReplace, from: r[0], to: r[1]})
	}
	return n.check(where)
}

func (d *decodePlan) addStrip(c *component, where string) error {
	r, n := utf8.DecodeRuneInString(c.Content)
	switch {
	case n == 0 || n != len(c.Content) || c.Start < 0 || c.Stop < 0:
		return failf(ErrFormat, where, "Strip of %.40q, %d and %d", c.Content, c.Start, c.Stop)
	case c.Stop > 0:
		return failf(ErrUnsupported, where, "Strip at the end")
	}
	d.strip, d.front = r, c.Start
	return nil
}
