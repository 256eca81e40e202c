package gguf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"github.com/borea-go/borea/dataset/tokenizer"
	"github.com/borea-go/borea/internal/hfconfig"
)

// Scores that conversion/phi.py gives to added tokens and to rows of the embedding
// without a token.
const (
	addedScore   = -1000
	paddingScore = -10000
)

// vocabulary is the three lists of a GGUF tokenizer, by token id.
type vocabulary struct {
	tokens []string
	scores []float32
	types  []int32
}

// setTokenizer writes the tokenizer.ggml.* keys and the chat template.
func setTokenizer(m *Metadata, src fs.FS, cfg *hfconfig.Config) error {
	t, err := tokenizer.Open(src)
	if err != nil {
		return inputError(err)
	}
	var config tokenizerConfig
	if err := readJSON(src, "tokenizer_config.json", &config.fields); err != nil {
		return err
	}
	v, err := newVocabulary(t, cfg.VocabSize)
	if err != nil {
		return err
	}
	if err := v.addOutside(src, config, t); err != nil {
		return err
	}
	m.SetString("tokenizer.ggml.model", "llama")
	m.SetString("tokenizer.ggml.pre", "default")
	m.SetStrings("tokenizer.ggml.tokens", v.tokens)
	m.Set("tokenizer.ggml.scores", ArrayOf(v.scores))
	m.Set("tokenizer.ggml.token_type", ArrayOf(v.types))
	if err := config.setSpecial(m, t, cfg); err != nil {
		return err
	}
	return setChatTemplate(m, src, config)
}

// newVocabulary lists the tokenizer's pieces; ids without a piece become "[PADn]",
// unused, so that no text can match them.
func newVocabulary(t *tokenizer.Tokenizer, size int) (*vocabulary, error) {
	if t.VocabSize() > size {
		return nil, fmt.Errorf("gguf: %w: the tokenizer has %d tokens, config.json's vocab_size is %d", ErrFormat, t.VocabSize(), size)
	}
	v := &vocabulary{make([]string, size), make([]float32, size), make([]int32, size)}
	for id := range size {
		p, ok := t.Piece(int32(id))
		switch {
		case !ok:
			v.set(id, fmt.Sprintf("[PAD%d]", id), paddingScore, tokenizer.Unused)
		case p.Added:
			v.add(id, p.Text, p.Special)
		default:
			v.set(id, p.Text, p.Score, p.Type)
		}
	}
	return v, nil
}

func (v *vocabulary) set(id int, text string, score float32, typ tokenizer.PieceType) {
	v.tokens[id], v.scores[id], v.types[id] = text, score, int32(typ)
}

func (v *vocabulary) add(id int, text string, special bool) {
	typ := tokenizer.UserDefined
	if special {
		typ = tokenizer.Control
	}
	v.set(id, text, addedScore, typ)
}

// addOutside takes added tokens that only added_tokens.json or
// tokenizer_config.json lists; tokenizer.json goes before both, and the second
// before the first.
func (v *vocabulary) addOutside(src fs.FS, config tokenizerConfig, t *tokenizer.Tokenizer) error {
	var plain map[string]int
	if err := readJSON(src, "added_tokens.json", &plain); err != nil {
		return err
	}
	for _, text := range slices.Sorted(maps.Keys(plain)) {
		id := plain[text]
		if p, _ := t.Piece(int32(id)); id >= 0 && id < len(v.tokens) && !p.Added {
			v.add(id, text, false)
		}
	}
	var decoder map[string]struct {
		Content string `json:"content"`
		Special bool   `json:"special"`
	}
	if err := config.get("added_tokens_decoder", &decoder); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(decoder)) {
		a := decoder[key]
		id, err := strconv.Atoi(key)
		if err != nil || id < 0 || id >= len(v.tokens) {
			return fmt.Errorf("gguf: tokenizer_config.json: %w: added token id %.20q", ErrFormat, key)
		}
		if p, _ := t.Piece(int32(id)); !p.Added {
			v.add(id, a.Content, a.Special)
		}
	}
	return nil
}

// tokenizerConfig is tokenizer_config.json.
type tokenizerConfig struct{ fields map[string]json.RawMessage }

// get decodes a field; one that is missing or null leaves v as it is.
func (c tokenizerConfig) get(key string, v any) error {
	raw, ok := c.fields[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("gguf: tokenizer_config.json: %s: %w: %v", key, ErrFormat, err)
	}
	return nil
}

// token returns a special token's text, spelled as a string or as an object.
func (c tokenizerConfig) token(key string) string {
	var text string
	if c.get(key, &text) == nil {
		return text
	}
	var object struct{ Content string }
	_ = c.get(key, &object)
	return object.Content
}

// setSpecial writes ids of special tokens and whether a tokenizer adds them, as
// gguf-py's SpecialVocab finds them: by tokenizer_config.json, else config.json.
func (c tokenizerConfig) setSpecial(m *Metadata, t *tokenizer.Tokenizer, cfg *hfconfig.Config) error {
	var ids map[string]json.RawMessage
	if err := json.Unmarshal(cfg.Raw, &ids); err != nil {
		return fmt.Errorf("gguf: config.json: %w", err)
	}
	kinds := []struct{ hf, key string }{{"bos", "bos"}, {"eos", "eos"}, {"unk", "unknown"}, {"sep", "seperator"}, {"pad", "padding"}, {"mask", "mask"}}
	for _, k := range kinds {
		id, ok := t.ID(c.token(k.hf + "_token"))
		if p, _ := t.Piece(id); !ok || !p.Added {
			ok = json.Unmarshal(ids[k.hf+"_token_id"], &id) == nil && string(ids[k.hf+"_token_id"]) != "null"
		}
		if ok && id >= 0 && int(id) < cfg.VocabSize {
			m.SetUint32("tokenizer.ggml."+k.key+"_token_id", uint32(id))
		}
	}
	for _, kind := range []string{"bos", "eos", "sep"} {
		var add *bool
		if c.get("add_"+kind+"_token", &add) == nil && add != nil {
			m.SetBool("tokenizer.ggml.add_"+kind+"_token", *add)
		}
	}
	return nil
}

// setChatTemplate writes the template of tokenizer_config.json, else of
// chat_template.jinja; none is no error.
func setChatTemplate(m *Metadata, src fs.FS, config tokenizerConfig) error {
	var text string
	_ = config.get("chat_template", &text)
	if text == "" {
		b, err := fs.ReadFile(src, "chat_template.jinja")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("gguf: %w", err)
		}
		text = string(b)
	}
	if text != "" {
		m.SetString("tokenizer.chat_template", text)
	}
	return nil
}

// readJSON decodes an optional file.
func readJSON(src fs.FS, name string, v any) error {
	b, err := fs.ReadFile(src, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("gguf: %s: %w: %v", name, ErrFormat, err)
	}
	return nil
}
