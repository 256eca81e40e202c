package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	"github.com/borea-go/borea/dataset/tokenizer"
	"github.com/borea-go/borea/label"
)

// Message is one turn of a conversation.
type Message = tokenizer.Message

// Sample is one record that passes between the stages: a document, or a
// conversation, with where it came from and what was found out about it.
type Sample struct {
	// ID is the content hash (ContentID) unless the source gave its own.
	ID string `json:"id,omitempty"`
	// Text is the document; of a conversation, all turns joined by newlines.
	Text string `json:"text,omitempty"`
	// Messages are the turns of a conversation, oldest first.
	Messages []Message `json:"messages,omitempty"`
	// Source names the collection ("synthetic", "crawl", "wikipedia").
	Source string `json:"source,omitempty"`
	// URL is where the text was fetched.
	URL string `json:"url,omitempty"`
	// Licence is an SPDX identifier or the source's own words.
	Licence string `json:"licence,omitempty"`
	// Domain is "defence", "aerospace", "transport" or "general".
	Domain string `json:"domain,omitempty"`
	// Language is a BCP 47 code ("ja", "en").
	Language string `json:"language,omitempty"`
	// Quality is the score given by Clean, 0 to 1.
	Quality float64 `json:"quality,omitempty"`
	// Label is the judge's class of the request.
	Label label.Class `json:"label,omitzero"`
	// LabelSource says who labelled: "template", "rules", "author" or "human".
	LabelSource string `json:"label_source,omitempty"`
	// TemplateID names the template of a synthetic sample; samples of one
	// template must not be on both sides of a split.
	TemplateID string `json:"template_id,omitempty"`
	// Why holds ids of the rules that decided the label.
	Why []string `json:"why,omitempty"`
}

// Content is what is measured and hashed for duplicates: Text, or else all
// turns joined by newlines.
func (s *Sample) Content() string {
	if s.Text != "" || len(s.Messages) == 0 {
		return s.Text
	}
	return JoinMessages(s.Messages)
}

// Request is what a judge classifies: the first user turn, or else Text.
func (s *Sample) Request() string {
	for _, m := range s.Messages {
		if m.Role == "user" {
			return m.Content
		}
	}
	return s.Text
}

// ContentID is the hash of text and messages: the first 128 bits of SHA-256 over
// length-prefixed fields, 32 hexadecimal digits. Metadata does not enter it.
func (s *Sample) ContentID() string {
	h := sha256.New()
	hashField(h, s.Text)
	for _, m := range s.Messages {
		hashField(h, m.Role)
		hashField(h, m.Content)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// hashField writes s after its length, so that no two lists of fields agree.
func hashField(h hash.Hash, s string) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	io.WriteString(h, s)
}

// JoinMessages joins the turns' contents by newlines.
func JoinMessages(msgs []Message) string {
	parts := make([]string, len(msgs))
	for i, m := range msgs {
		parts[i] = m.Content
	}
	return strings.Join(parts, "\n")
}
