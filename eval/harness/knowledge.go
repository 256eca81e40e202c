package harness

import (
	"bytes"
	_ "embed"
)

//go:embed knowledge.jsonl
var knowledge []byte

// Knowledge returns the bundled set of Japanese multiple-choice items about general
// facts, written for this package: sentences to complete, four choices each, the right
// one at every position equally often. It is small, so differences below a few
// standard errors mean nothing.
func Knowledge() ([]Question, error) { return ReadQuestions(bytes.NewReader(knowledge)) }

// KnowledgeOptions are those for Knowledge: no delimiter, since Japanese has no spaces.
func KnowledgeOptions() ChoiceOptions {
	o := DefaultChoiceOptions()
	o.Delimiter = ""
	return o
}
