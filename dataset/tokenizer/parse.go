package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Parse reads a tokenizer.json: model BPE, a normalizer of Prepend and Replace
// steps, a Metaspace pre-tokenizer or none, a decoder of Replace, ByteFallback,
// Fuse and Strip. Truncation, padding and the post-processor are ignored. Added
// tokens have the ids that the file gives them.
func Parse(tokenizerJSON []byte) (*Tokenizer, error) {
	d, err := readJSON(tokenizerJSON)
	if err != nil {
		return nil, err
	}
	scoreFromMerges(d)
	return build(d)
}

type jsonFile struct {
	Added        []AddedToken    `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer json.RawMessage `json:"pre_tokenizer"`
	Decoder      json.RawMessage `json:"decoder"`
	Model        *jsonModel      `json:"model"`
}

type jsonModel struct {
	Type         string          `json:"type"`
	Dropout      *float64        `json:"dropout"`
	Unk          *string         `json:"unk_token"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	FuseUnk      bool            `json:"fuse_unk"`
	Fallback     bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
}

func readJSON(data []byte) (*definition, error) {
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, jsonError("", err)
	}
	if f.Model == nil {
		return nil, failf(ErrFormat, "model", "is missing")
	}
	m := f.Model
	if err := m.refuse(); err != nil {
		return nil, err
	}
	d := &definition{added: f.Added, fallback: m.Fallback, fuseUnk: m.FuseUnk}
	if m.Unk != nil {
		d.unk = *m.Unk
	}
	var err error
	if d.pieces, err = readVocab(m.Vocab); err != nil {
		return nil, err
	}
	if d.merges, err = readMerges(m.Merges); err != nil {
		return nil, err
	}
	return d, d.readPipeline(&f)
}

func (d *definition) readPipeline(f *jsonFile) (err error) {
	if d.norm, err = readNormalizer(f.Normalizer, "normalizer", 0); err != nil {
		return err
	}
	if d.pre, err = readPreTokenizer(f.PreTokenizer); err != nil {
		return err
	}
	if d.decode, err = readDecoder(f.Decoder); err != nil {
		return err
	}
	if err = d.norm.check("normalizer"); err == nil {
		err = d.decode.check("decoder")
	}
	return err
}

// refuse names what of the BPE model this package does not do.
func (m *jsonModel) refuse() error {
	switch {
	case m.Type != "BPE" && m.Type != "":
		return failf(ErrUnsupported, "model.type", "%.40q, only BPE is read", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return failf(ErrUnsupported, "model.dropout", "%g", *m.Dropout)
	case m.Prefix != nil && *m.Prefix != "":
		return failf(ErrUnsupported, "model.continuing_subword_prefix", "%.40q", *m.Prefix)
	case m.Suffix != nil && *m.Suffix != "":
		return failf(ErrUnsupported, "model.end_of_word_suffix", "%.40q", *m.Suffix)
	case m.IgnoreMerges:
		return failf(ErrUnsupported, "model.ignore_merges", "true")
	case len(m.Vocab) == 0:
		return failf(ErrFormat, "model.vocab", "is missing")
	case len(m.Merges) == 0:
		return failf(ErrFormat, "model.merges", "is missing")
	}
	return nil
}

// readVocab reads token by token, since decoding into a map would hide a piece
// that is listed twice.
func readVocab(raw json.RawMessage) ([]definedPiece, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, failf(ErrFormat, "model.vocab", "is not an object")
	}
	pieces := make([]definedPiece, 0, len(raw)/16)
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, jsonError("model.vocab", err)
		}
		text, _ := key.(string)
		value, err := dec.Token()
		if err != nil {
			return nil, jsonError("model.vocab", err)
		}
		n, ok := value.(json.Number)
		if !ok {
			return nil, failf(ErrFormat, placeOf(text), "its id is not a number")
		}
		id, err := n.Int64()
		if err != nil {
			return nil, failf(ErrFormat, placeOf(text), "id %.40s is not an integer", n)
		}
		pieces = append(pieces, definedPiece{text: text, id: id, typ: Normal})
	}
	return pieces, nil
}

// readMerges takes both forms in use: ["a", "b"] and "a b".
func readMerges(raw json.RawMessage) ([][2]string, error) {
	var lists [][]string
	if err := json.Unmarshal(raw, &lists); err == nil {
		merges := make([][2]string, len(lists))
		for i, m := range lists {
			if len(m) != 2 {
				return nil, failf(ErrFormat, fmt.Sprintf("model.merges[%d]", i), "has %d parts, not 2", len(m))
			}
			merges[i] = [2]string(m)
		}
		return merges, nil
	}
	var lines []string
	if err := json.Unmarshal(raw, &lines); err != nil {
		return nil, jsonError("model.merges", err)
	}
	merges := make([][2]string, len(lines))
	for i, line := range lines {
		a, b, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(b, " ") {
			return nil, failf(ErrFormat, fmt.Sprintf("model.merges[%d]", i), "%.40q is not two parts", line)
		}
		merges[i] = [2]string{a, b}
	}
	return merges, nil
}

func jsonError(where string, err error) error {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		where = strings.TrimPrefix(fmt.Sprintf("%s byte %d", where, syntax.Offset), " ")
	case errors.As(err, &typed):
		where = strings.TrimPrefix(fmt.Sprintf("%s %s byte %d", where, typed.Field, typed.Offset), " ")
	}
	return &Error{Where: where, Err: fmt.Errorf("%w: %w", ErrFormat, err)}
}
