package tokenizer

import (
	"fmt"
	"strings"
)

// Message is one turn of a conversation. Role is "system", "user" or "assistant".
type Message struct {
	Role    string `json:"role" yaml:"role"`
	Content string `json:"content" yaml:"content"`
}

// Span is where the body of a message lies in a conversation's ids: tokens Start
// to End-1 are the content and the <|end|> that closes it, without the role tag.
type Span struct {
	Role       string
	Start, End int
}

const (
	endTag  = "<|end|>"
	textEnd = "<|endoftext|>"
)

func roleTag(role string) string {
	switch role {
	case "system", "user", "assistant":
		return "<|" + role + "|>"
	}
	return ""
}

// rendered reports whether the template writes m at all: it skips roles that it
// does not know and system messages without content.
func rendered(m Message) bool {
	return roleTag(m.Role) != "" && (m.Role != "system" || m.Content != "")
}

// ChatText renders msgs as Phi-3.5's chat_template.jinja does: for each message
// its tag, a newline, the content, <|end|> and a newline; at the end the assistant's
// tag when a reply is to be generated, else <|endoftext|>. Messages of an unknown
// role and empty system messages are left out, as in the template. What stands in
// a message is not checked: encode text from outside with EncodeChat.
func ChatText(msgs []Message, addGenerationPrompt bool) string {
	text, _ := chatText(msgs, addGenerationPrompt)
	return text
}

// A place is where the template wrote a tag.
type place struct {
	at  int
	tag string
}

func chatText(msgs []Message, addGenerationPrompt bool) (string, []place) {
	var b strings.Builder
	var places []place
	put := func(tag string) {
		places = append(places, place{b.Len(), tag})
		b.WriteString(tag)
	}
	for _, m := range msgs {
		if !rendered(m) {
			continue
		}
		put(roleTag(m.Role))
		b.WriteString("\n" + m.Content)
		put(endTag)
		b.WriteString("\n")
	}
	if addGenerationPrompt {
		put(roleTag("assistant"))
		b.WriteString("\n")
	} else {
		put(textEnd)
	}
	return b.String(), places
}

// EncodeChat encodes a conversation so that only the template's own tags become
// special tokens: a tag written out in a message is ordinary text. For content
// without added tokens ids equals Encode(ChatText(msgs, addGenerationPrompt)),
// white space that a tag swallows included (given tags matched in the text as it
// is, as Phi-3's are, and not after normalizing). There is one span a message, in order;
// a system message without content has an empty one. An unknown role and a
// tokenizer without one of the tags are errors (ErrChat).
func (t *Tokenizer) EncodeChat(msgs []Message, addGenerationPrompt bool) (ids []int32, spans []Span, err error) {
	for i, m := range msgs {
		if roleTag(m.Role) == "" {
			return nil, nil, failf(ErrChat, fmt.Sprintf("message %d", i), "role %.40q is not system, user or assistant", m.Role)
		}
	}
	text, places := chatText(msgs, addGenerationPrompt)
	marks, err := t.markTags(places)
	if err != nil {
		return nil, nil, err
	}
	at := make([]int, len(marks))
	sc := t.scratch.Get().(*scratch)
	ids = t.appendMarked(make([]int32, 0, 8+len(text)/3), text, marks, at, sc)
	t.giveBack(sc)
	return ids, chatSpans(msgs, at), nil
}

func (t *Tokenizer) markTags(places []place) ([]mark, error) {
	marks := make([]mark, len(places))
	for i, p := range places {
		token, ok := t.addedIndex(p.tag)
		if !ok {
			return nil, failf(ErrChat, "added tokens", "%s is missing", p.tag)
		}
		marks[i] = mark{p.at, p.at + len(p.tag), token}
	}
	return marks, nil
}

func (t *Tokenizer) addedIndex(content string) (int32, bool) {
	for i, a := range t.added {
		if a.Content == content {
			return int32(i), true
		}
	}
	return 0, false
}

// chatSpans pairs the messages with the places of their two tags.
func chatSpans(msgs []Message, at []int) []Span {
	spans := make([]Span, len(msgs))
	end := 0
	for i, m := range msgs {
		if !rendered(m) {
			spans[i] = Span{m.Role, end, end}
			continue
		}
		spans[i] = Span{m.Role, at[0] + 1, at[1] + 1}
		end, at = at[1]+1, at[2:]
	}
	return spans
}
