package main

import (
	_ "embed"
	"encoding/json"
	"strings"
)

//go:embed prose.jsonl
var prose string

// proseTexts returns the bundled passages of plain prose, which no phase trains
// on: they show what fine-tuning costs elsewhere.
func proseTexts() []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(prose), "\n") {
		var s struct {
			Text string `json:"text"`
		}
		if json.Unmarshal([]byte(line), &s) == nil {
			out = append(out, s.Text)
		}
	}
	return out
}
