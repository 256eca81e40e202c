package harness

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Prompt is one item of a generation task.
type Prompt struct {
	// ID names the item.
	ID string `json:"id"`
	// Text is the prompt.
	Text string `json:"text"`
	// Targets are the accepted answers, at least one.
	Targets []string `json:"targets"`
}

// GenerationOptions says how answers are made and compared.
type GenerationOptions struct {
	// MaxNewTokens of an answer, at least 1; default 256.
	MaxNewTokens int `json:"max_new_tokens" yaml:"max_new_tokens"`
	// Stop strings end an answer, each cutting in turn; default "\n\n".
	Stop []string `json:"stop" yaml:"stop"`
	// IgnoreRegexes are removed from answer and target first; default none.
	IgnoreRegexes []string `json:"ignore_regexes" yaml:"ignore_regexes"`
	// IgnoreCase, IgnorePunctuation (ASCII) and IgnoreDigits (ASCII); default false.
	IgnoreCase        bool `json:"ignore_case" yaml:"ignore_case"`
	IgnorePunctuation bool `json:"ignore_punctuation" yaml:"ignore_punctuation"`
	IgnoreDigits      bool `json:"ignore_digits" yaml:"ignore_digits"`
	// Trim removes white space around the answer; default true.
	Trim bool `json:"trim" yaml:"trim"`
	// Encoding of prompts. With a MaxLength the front of a long prompt is cut, so that
	// MaxNewTokens fit.
	Encoding EncodingOptions `json:"encoding" yaml:"encoding"`
}

// DefaultGenerationOptions are 256 tokens, stopped by an empty line.
func DefaultGenerationOptions() GenerationOptions {
	return GenerationOptions{MaxNewTokens: 256, Stop: []string{"\n\n"}, Trim: true, Encoding: DefaultEncodingOptions()}
}

// Validate reports an option outside its range.
func (o GenerationOptions) Validate() error {
	if o.MaxNewTokens < 1 {
		return &OptionError{"max_new_tokens", o.MaxNewTokens, "at least 1"}
	}
	if l := o.Encoding.MaxLength; l != 0 && l <= o.MaxNewTokens {
		return &OptionError{"max_length", l, "0 or more than max_new_tokens"}
	}
	if slices.Contains(o.Stop, "") {
		return &OptionError{"stop", o.Stop, "no empty string"}
	}
	if _, err := o.normaliser(); err != nil {
		return err
	}
	return o.Encoding.Validate()
}

// GenerationResult is the outcome of a generation task.
type GenerationResult struct {
	// ExactMatch is the share of answers equal to one of their targets.
	ExactMatch Estimate `json:"exact_match"`
	// Truncated counts prompts that were cut.
	Truncated int `json:"truncated"`
	// Items is the hash of the items.
	Items string `json:"items_sha256"`
	// Answers is what was generated, item by item, after stop strings.
	Answers []GenerationAnswer `json:"answers"`
}

// GenerationAnswer is one item's outcome.
type GenerationAnswer struct {
	ID    string `json:"id"`
	Text  string `json:"text"`
	Match bool   `json:"match"`
}

// TextModel is what a generation task needs.
type TextModel interface {
	Generator
	// Encode returns the ids of text, without a begin-of-sequence token.
	Encode(text string) []int32
}

// ExactMatch generates an answer to every prompt and compares it with the targets, as
// the metric exact_match of huggingface/evaluate does.
func ExactMatch(ctx context.Context, m TextModel, items []Prompt, o GenerationOptions) (GenerationResult, error) {
	if err := o.Validate(); err != nil {
		return GenerationResult{}, err
	}
	normal, err := o.normaliser()
	if err != nil {
		return GenerationResult{}, err
	}
	r := GenerationResult{Answers: []GenerationAnswer{}}
	var hits []float64
	for i, item := range items {
		if len(item.Targets) == 0 {
			return r, &ItemError{i, item.ID, "no targets"}
		}
		prompt, cut := o.prompt(m.Encode(item.Text))
		text, err := m.GenerateText(ctx, prompt, o.MaxNewTokens)
		if err != nil {
			return r, fmt.Errorf("harness: item %d (%q): %w", i, item.ID, err)
		}
		text = o.stopped(text)
		match := slices.ContainsFunc(item.Targets, func(t string) bool { return normal(t) == normal(text) })
		r.Answers, hits = append(r.Answers, GenerationAnswer{item.ID, text, match}), append(hits, hit(match))
		r.Truncated += int(hit(cut))
	}
	r.ExactMatch = estimate(hits)
	r.Items, err = hash(items)
	return r, err
}

// prompt adds BOS and cuts the front of a prompt that leaves no room for the answer.
func (o GenerationOptions) prompt(ids []int32) (prompt []int32, cut bool) {
	if (o.Encoding.AddBOS || len(ids) == 0) && (len(ids) == 0 || ids[0] != o.Encoding.BOS) {
		ids = append([]int32{o.Encoding.BOS}, ids...)
	}
	if l := o.Encoding.MaxLength; l > 0 && len(ids) > l-o.MaxNewTokens {
		return ids[len(ids)-(l-o.MaxNewTokens):], true
	}
	return ids, false
}

func (o GenerationOptions) stopped(text string) string {
	for _, stop := range o.Stop {
		text, _, _ = strings.Cut(text, stop)
	}
	if o.Trim {
		text = strings.TrimFunc(text, pythonSpace)
	}
	return text
}

const asciiPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// normaliser returns what is applied to answer and target: expressions, case,
// punctuation, digits, in this order.
func (o GenerationOptions) normaliser() (func(string) string, error) {
	var ignored []*regexp.Regexp
	for _, expr := range o.IgnoreRegexes {
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, &OptionError{"ignore_regexes", expr, "a regular expression of Go: " + err.Error()}
		}
		ignored = append(ignored, re)
	}
	drop := ""
	if o.IgnorePunctuation {
		drop += asciiPunctuation
	}
	if o.IgnoreDigits {
		drop += "0123456789"
	}
	return func(s string) string {
		for _, re := range ignored {
			s = re.ReplaceAllString(s, "")
		}
		if o.IgnoreCase {
			s = strings.ToLower(s)
		}
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(drop, r) {
				return -1
			}
			return r
		}, s)
	}, nil
}
