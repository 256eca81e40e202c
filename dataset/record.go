package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/borea-go/borea/label"
)

// record is a Sample as files hold it, with the older fields that other tools
// write: an instruction set's three, and the class under two more names.
type record struct {
	Sample
	Instruction string  `json:"instruction"`
	Input       string  `json:"input"`
	Output      string  `json:"output"`
	FourClass   string  `json:"four_class_label"`
	Judgment    string  `json:"judgment"`
	Score       float64 `json:"quality_score"`
}

// parseSample reads one line, which is not empty.
func parseSample(line []byte) (Sample, *LineError) {
	if !utf8.Valid(line) {
		return Sample{}, &LineError{Reason: InvalidUTF8, Column: invalidAt(line), Err: errors.New("not UTF-8")}
	}
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return Sample{}, jsonError(err)
	}
	if line[0] != '{' {
		return Sample{}, &LineError{Reason: MalformedJSON, Err: errors.New("not an object")}
	}
	if err := checkKeys(line); err != nil {
		return Sample{}, err
	}
	if err := r.adopt(); err != nil {
		return Sample{}, &LineError{Reason: WrongType, Err: err}
	}
	if r.Content() == "" {
		return Sample{}, &LineError{Reason: EmptyRecord, Err: errors.New("neither text nor messages")}
	}
	if r.ID == "" {
		r.ID = r.ContentID()
	}
	return r.Sample, nil
}

// adopt moves the older fields to ours where ours are empty. The question stays:
// a record with an output becomes a conversation.
func (r *record) adopt() error {
	if r.Instruction != "" && len(r.Messages) == 0 {
		r.Messages = []Message{{Role: "user", Content: strings.TrimSpace(r.Instruction + "\n" + r.Input)}}
		if r.Output != "" {
			r.Messages = append(r.Messages, Message{Role: "assistant", Content: r.Output})
		}
	}
	if r.Text == "" {
		r.Text = JoinMessages(r.Messages)
	}
	if r.Text == "" {
		r.Text = r.Output
	}
	if r.Quality == 0 {
		r.Quality = r.Score
	}
	for _, old := range []string{r.FourClass, r.Judgment} {
		if r.Label == label.Unlabelled && old != "" {
			c, err := label.ParseClass(old)
			if err != nil {
				return err
			}
			r.Label = c
		}
	}
	return nil
}

func jsonError(err error) *LineError {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	var class *label.ClassError
	switch {
	case errors.As(err, &syntax):
		return &LineError{Reason: MalformedJSON, Column: syntax.Offset, Err: err}
	case errors.As(err, &typ) && typ.Field == "":
		return &LineError{Reason: MalformedJSON, Err: errors.New("not an object")}
	case errors.As(err, &typ):
		return &LineError{Reason: WrongType, Column: typ.Offset, Err: fmt.Errorf("field %q holds a %s", typ.Field, typ.Value)}
	case errors.As(err, &class):
		return &LineError{Reason: WrongType, Err: err}
	}
	return &LineError{Reason: MalformedJSON, Err: err}
}
