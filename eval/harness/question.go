package harness

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Question is one multiple-choice item: the context is continued by one of the choices.
type Question struct {
	// ID names the item; Category is free text.
	ID       string `json:"id"`
	Category string `json:"category,omitempty"`
	// Context comes before each choice, without a delimiter at its end.
	Context string `json:"context"`
	// Choices, at least two, none empty; Answer is the index of the right one.
	Choices []string `json:"choices"`
	Answer  int      `json:"answer"`
}

func (q Question) check() error {
	switch {
	case len(q.Choices) < 2:
		return fmt.Errorf("%d choices, want at least 2", len(q.Choices))
	case q.Answer < 0 || q.Answer >= len(q.Choices):
		return fmt.Errorf("answer %d of %d choices", q.Answer, len(q.Choices))
	}
	for i, c := range q.Choices {
		if c == "" {
			return fmt.Errorf("choice %d is empty", i)
		}
	}
	return nil
}

// ReadQuestions reads JSON Lines of Question; unknown keys and bad items are errors
// with their line number.
func ReadQuestions(r io.Reader) ([]Question, error) {
	var out []Question
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(lines.Text()))
		dec.DisallowUnknownFields()
		var q Question
		err := dec.Decode(&q)
		if err == nil {
			err = q.check()
		}
		if err != nil {
			return nil, fmt.Errorf("harness: questions, line %d: %w", n, err)
		}
		out = append(out, q)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("harness: questions: %w", err)
	}
	return out, nil
}

// hash identifies a task's content in its result.
func hash(items any) (string, error) {
	b, err := json.Marshal(items)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
