package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
)

// Open reads the tokenizer of a model directory: tokenizer.json, with scores and
// types from a tokenizer.model beside it when that has the same pieces; or else
// tokenizer.model with the added tokens of added_tokens.json and, over these, of
// tokenizer_config.json's added_tokens_decoder. Tokens known from added_tokens.json
// alone strip nothing and are not special. Without either file the error matches
// fs.ErrNotExist.
func Open(fsys fs.FS) (*Tokenizer, error) {
	data, err := readFile(fsys, "tokenizer.json")
	if errors.Is(err, fs.ErrNotExist) {
		return openModel(fsys)
	}
	if err != nil {
		return nil, err
	}
	d, err := readJSON(data)
	if err != nil {
		return nil, inFile("tokenizer.json", err)
	}
	scoreFromMerges(d)
	if err := d.scoresBeside(fsys); err != nil {
		return nil, err
	}
	t, err := build(d)
	return t, inFile("tokenizer.json", err)
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, inFile(name, err)
	}
	if info.Size() > MaxFile {
		return nil, inFile(name, failf(ErrLimit, "size", "%d bytes, over %d", info.Size(), MaxFile))
	}
	data, err := fs.ReadFile(fsys, name)
	return data, inFile(name, err)
}

// scoresBeside takes scores and types from the tokenizer.model. One that has
// other pieces, or is of a kind this package does not read, belongs to something
// else and is passed over; a broken one is an error.
func (d *definition) scoresBeside(fsys fs.FS) error {
	const name = "tokenizer.model"
	data, err := readFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := readModel(data)
	if errors.Is(err, ErrUnsupported) {
		return nil
	}
	if err != nil {
		return inFile(name, err)
	}
	if len(m.pieces) != len(d.pieces) {
		return nil
	}
	for _, p := range d.pieces {
		if p.id < 0 || p.id >= int64(len(m.pieces)) || m.pieces[p.id].text != p.text {
			return nil
		}
	}
	for i := range d.pieces {
		p := &d.pieces[i]
		p.score, p.typ = m.pieces[p.id].score, m.pieces[p.id].typ
	}
	return nil
}

func openModel(fsys fs.FS) (*Tokenizer, error) {
	const name = "tokenizer.model"
	data, err := readFile(fsys, name)
	if err != nil {
		return nil, err
	}
	added, err := addedBeside(fsys)
	if err != nil {
		return nil, err
	}
	t, err := ParseModel(data, added...)
	return t, inFile(name, err)
}

// addedBeside reads the added tokens kept outside tokenizer.model, by id.
func addedBeside(fsys fs.FS) ([]AddedToken, error) {
	tokens := map[int32]AddedToken{}
	var plain map[string]int32
	if err := readOptional(fsys, "added_tokens.json", &plain); err != nil {
		return nil, err
	}
	for content, id := range plain {
		if old, dup := tokens[id]; dup {
			return nil, inFile("added_tokens.json", failf(ErrFormat, placeOf(max(content, old.Content)), "id %d is given twice", id))
		}
		tokens[id] = AddedToken{ID: id, Content: content}
	}
	var config struct {
		Added map[string]AddedToken `json:"added_tokens_decoder"`
	}
	if err := readOptional(fsys, "tokenizer_config.json", &config); err != nil {
		return nil, err
	}
	for key, a := range config.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, inFile("tokenizer_config.json", failf(ErrFormat, fmt.Sprintf("added_tokens_decoder[%.40q]", key), "the key is not an id"))
		}
		a.ID = int32(id)
		tokens[a.ID] = a
	}
	list := make([]AddedToken, 0, len(tokens))
	for _, a := range tokens {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b AddedToken) int { return int(a.ID) - int(b.ID) })
	return list, nil
}

func readOptional(fsys fs.FS, name string, v any) error {
	data, err := readFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return inFile(name, jsonError("", err))
	}
	return nil
}
