package tokenizer

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

const tinyJSON = `{"added_tokens":[{"id":3,"content":"<s>","special":true}],"normalizer":null,"pre_tokenizer":null,
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","unk_token":null,"vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]}}`

func TestMalformedJSON(t *testing.T) {
	if _, err := Parse([]byte(tinyJSON)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, old, new string
		kind           error
		where          string
	}{
		{"cut off", `"merges":[["a","b"]]}}`, `"merges":[["a"`, ErrFormat, "byte"},
		{"not an object", tinyJSON, `[]`, ErrFormat, "byte"},
		{"empty file", tinyJSON, ``, ErrFormat, "byte"},
		{"no model", `"model":`, `"modell":`, ErrFormat, "model"},
		{"no vocab", `"vocab":`, `"vocabs":`, ErrFormat, "model.vocab"},
		{"vocab a list", `{"a":0,"b":1,"ab":2}`, `[1]`, ErrFormat, "model.vocab"},
		{"no merges", `"merges":`, `"mergs":`, ErrFormat, "model.merges"},
		{"merge of one", `["a","b"]`, `["a"]`, ErrFormat, "merges[0]"},
		{"merge of three", `["a","b"]`, `["a","b"],["a","b","a"]`, ErrFormat, "merges[1]"},
		{"merge string of three", `["a","b"]`, `"a b a"`, ErrFormat, "merges[0]"},
		{"merge string without space", `["a","b"]`, `"ab"`, ErrFormat, "merges[0]"},
		{"merges mixed", `["a","b"]`, `["a","b"],"a b"`, ErrFormat, "merges"},
		{"merge of strangers", `["a","b"]`, `["a","z"]`, ErrFormat, "merges[0]"},
		{"merge to a stranger", `["a","b"]`, `["b","a"]`, ErrFormat, "merges[0]"},
		{"id twice", `"b":1`, `"b":0`, ErrFormat, `"b"`},
		{"piece twice", `"b":1`, `"b":1,"a":5`, ErrFormat, `"a"`},
		{"id negative", `"b":1`, `"b":-1`, ErrFormat, `"b"`},
		{"id a fraction", `"b":1`, `"b":1.5`, ErrFormat, `"b"`},
		{"id a string", `"b":1`, `"b":"1"`, ErrFormat, `"b"`},
		{"id an object", `"b":1`, `"b":{}`, ErrFormat, `"b"`},
		{"id beyond int64", `"b":1`, `"b":99999999999999999999`, ErrFormat, `"b"`},
		{"id huge", `"b":1`, `"b":2147483647`, ErrLimit, `"b"`},
		{"piece empty", `"b":1`, `"b":1,"":7`, ErrFormat, `""`},
		{"piece long", `"b":1`, `"b":1,"` + strings.Repeat("x", MaxPiece+1) + `":7`, ErrLimit, "piece"},
		{"unknown missing", `"unk_token":null`, `"unk_token":"<unk>"`, ErrFormat, "unk_token"},
		{"added id huge", `"id":3`, `"id":2000000`, ErrLimit, "<s>"},
		{"added id beyond int32", `"id":3`, `"id":4294967296`, ErrFormat, "added_tokens"},
		{"added id taken", `"id":3`, `"id":1`, ErrFormat, "<s>"},
		{"added id not the piece's", `"content":"<s>"`, `"content":"ab"`, ErrFormat, `"ab"`},
		{"added twice", `{"id":3,"content":"<s>","special":true}`, `{"id":3,"content":"<s>"},{"id":3,"content":"<s>"}`, ErrFormat, "<s>"},
		{"added empty", `"content":"<s>"`, `"content":""`, ErrFormat, `""`},
		{"Unigram", `"BPE"`, `"Unigram"`, ErrUnsupported, "model.type"},
		{"dropout", `"type":"BPE"`, `"type":"BPE","dropout":0.1`, ErrUnsupported, "dropout"},
		{"prefix", `"type":"BPE"`, `"type":"BPE","continuing_subword_prefix":"##"`, ErrUnsupported, "continuing_subword_prefix"},
		{"suffix", `"type":"BPE"`, `"type":"BPE","end_of_word_suffix":"</w>"`, ErrUnsupported, "end_of_word_suffix"},
		{"ignore_merges", `"type":"BPE"`, `"type":"BPE","ignore_merges":true`, ErrUnsupported, "ignore_merges"},
		{"normalizer NFC", `"normalizer":null`, `"normalizer":{"type":"NFC"}`, ErrUnsupported, "normalizer"},
		{"normalizer regex", `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"a"},"content":""}`, ErrUnsupported, "normalizer"},
		{"normalizer without pattern", `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"String":""},"content":"x"}`, ErrFormat, "normalizer"},
		{"normalizer in a sequence", `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"Strip"}]}`, ErrUnsupported, "normalizer[0]"},
		{"normalizer deep", `"normalizer":null`, `"normalizer":` + strings.Repeat(`{"type":"Sequence","normalizers":[`, 9) + `{"type":"NFC"}` + strings.Repeat(`]}`, 9), ErrLimit, "normalizer"},
		{"normalizer growing", `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[` + strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aaaaa"},`, 5) + `{"type":"Prepend","prepend":"a"}]}`, ErrLimit, "normalizer"},
		{"normalizer prepending much", `"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"` + strings.Repeat("a", MaxPiece+1) + `"}`, ErrLimit, "normalizer"},
		{"decoder growing", `"content":" "},{"type":"By`, `"content":"` + strings.Repeat("x", 200) + `"},{"type":"By`, ErrLimit, "decoder"},
		{"normalizer a number", `"normalizer":null`, `"normalizer":1`, ErrFormat, "normalizer"},
		{"pre-tokenizer ByteLevel", `"pre_tokenizer":null`, `"pre_tokenizer":{"type":"ByteLevel"}`, ErrUnsupported, "pre_tokenizer"},
		{"Metaspace of two", `"pre_tokenizer":null`, `"pre_tokenizer":{"type":"Metaspace","replacement":"__"}`, ErrFormat, "pre_tokenizer"},
		{"Metaspace scheme", `"pre_tokenizer":null`, `"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"x"}`, ErrFormat, "pre_tokenizer"},
		{"no decoder", `"decoder":`, `"decoders":`, ErrUnsupported, "decoder"},
		{"decoder ByteLevel", `{"type":"Fuse"}`, `{"type":"ByteLevel"}`, ErrUnsupported, "decoder[2]"},
		{"decoder order", `{"type":"Fuse"}`, `{"type":"Fuse"},{"type":"ByteFallback"}`, ErrUnsupported, "decoder[3]"},
		{"decoder strip behind", `"stop":0`, `"stop":1`, ErrUnsupported, "decoder[3]"},
		{"decoder strip of a word", `"type":"Strip","content":" "`, `"type":"Strip","content":"ab"`, ErrFormat, "decoder[3]"},
		{"decoder null", `{"type":"Fuse"}`, `null`, ErrFormat, "decoder[2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(tinyJSON, c.old, c.new, 1)
			if text == tinyJSON {
				t.Fatal("the case changes nothing")
			}
			tok, err := Parse([]byte(text))
			checkError(t, tok, err, c.kind, c.where)
			_, err = Open(fstest.MapFS{"tokenizer.json": {Data: []byte(text)}})
			var e *Error
			if !errors.As(err, &e) || e.File != "tokenizer.json" {
				t.Errorf("Open: %v does not name the file", err)
			}
		})
	}
}

func checkError(t *testing.T, tok *Tokenizer, err, kind error, where string) {
	t.Helper()
	var e *Error
	if !errors.Is(err, kind) || !errors.As(err, &e) || !strings.Contains(e.Where, where) || tok != nil {
		t.Errorf("err = %v, want %v at %q", err, kind, where)
	}
}

// protoField writes one length-delimited or varint field.
func protoField(number int, value any) []byte {
	switch v := value.(type) {
	case []byte:
		b := binary.AppendUvarint(nil, uint64(number)<<3|2)
		return append(binary.AppendUvarint(b, uint64(len(v))), v...)
	case float32:
		return binary.LittleEndian.AppendUint32(binary.AppendUvarint(nil, uint64(number)<<3|5), math.Float32bits(v))
	}
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), uint64(value.(int)))
}

func protoPiece(text string, score float32, typ int) []byte {
	p := append(protoField(1, []byte(text)), protoField(2, score)...)
	return protoField(1, append(p, protoField(3, typ)...))
}

// tinyModel is a tokenizer.model with the given extra bytes.
func tinyModel(trainer, norm []byte, extra ...[]byte) []byte {
	var b []byte
	for _, p := range [][]byte{protoPiece("<unk>", 0, 2), protoPiece("<s>", 0, 3), protoPiece("ab", -1, 1),
		protoPiece("a", -2, 1), protoPiece("b", -3, 1), protoPiece("▁", -4, 1)} {
		b = append(b, p...)
	}
	b = append(b, protoField(2, append(protoField(3, 2), trainer...))...)
	b = append(b, protoField(3, append(protoField(4, 0), norm...))...)
	for _, e := range extra {
		b = append(b, e...)
	}
	return b
}

func TestTinyModel(t *testing.T) {
	tok, err := ParseModel(tinyModel(nil, nil), AddedToken{ID: 6, Content: "<x>", Special: true, RStrip: true})
	if err != nil {
		t.Fatal(err)
	}
	sameIDs(t, "Encode", "ab<x> ba", tok.Encode("ab<x> ba"), []int32{5, 2, 6, 5, 4, 3})
	if p, _ := tok.Piece(6); p != (Piece{Text: "<x>", Score: -1000, Type: Control, RStrip: true, Special: true, Added: true}) {
		t.Errorf("piece 6: %+v", p)
	}
}

func TestMalformedModel(t *testing.T) {
	whole := tinyModel(nil, nil)
	for _, c := range []struct {
		name  string
		data  []byte
		kind  error
		where string
	}{
		{"empty", nil, ErrFormat, "tokenizer.model"},
		{"cut off", whole[:len(whole)-3], ErrFormat, "byte"},
		{"text", []byte("not a protocol buffer"), ErrFormat, "byte"},
		{"length beyond the end", append(whole, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f), ErrFormat, "byte"},
		{"group", append(whole, 0x0b), ErrFormat, "byte"},
		{"endless varint", append(whole, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), ErrFormat, "byte"},
		{"broken piece", tinyModel(nil, nil, protoField(1, []byte{0x0a, 0x20})), ErrFormat, "byte"},
		{"piece twice", tinyModel(nil, nil, protoPiece("ab", 0, 1)), ErrFormat, `"ab"`},
		{"piece empty", tinyModel(nil, nil, protoPiece("", 0, 1)), ErrFormat, `""`},
		{"piece not UTF-8", tinyModel(nil, nil, protoPiece("\xff", 0, 1)), ErrFormat, "piece"},
		{"piece long", tinyModel(nil, nil, protoPiece(strings.Repeat("a", MaxPiece+1), 0, 1)), ErrLimit, "piece"},
		{"type 9", tinyModel(nil, nil, protoPiece("q", 0, 9)), ErrFormat, `"q"`},
		{"score NaN", tinyModel(nil, nil, protoPiece("q", float32(math.NaN()), 1)), ErrFormat, "byte"},
		{"Unigram", tinyModel(protoField(3, 1), nil), ErrUnsupported, "model_type"},
		{"white space behind", tinyModel(protoField(24, 1), nil), ErrUnsupported, "suffix"},
		{"charsmap", tinyModel(nil, protoField(2, []byte("x"))), ErrUnsupported, "charsmap"},
		{"extra spaces", tinyModel(nil, protoField(4, 1)), ErrUnsupported, "extra_whitespaces"},
		{"no escape", tinyModel(nil, protoField(5, 0)), ErrUnsupported, "escape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := ParseModel(c.data)
			checkError(t, tok, err, c.kind, c.where)
		})
	}
}

func TestOpenBroken(t *testing.T) {
	good, err := os.ReadFile(modelDir + "/tokenizer.model")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		fs         fstest.MapFS
	}{
		{"broken config", "tokenizer_config.json", fstest.MapFS{"tokenizer.model": {Data: good}, "tokenizer_config.json": {Data: []byte("{")}}},
		{"config key", "tokenizer_config.json", fstest.MapFS{"tokenizer.model": {Data: good}, "tokenizer_config.json": {Data: []byte(`{"added_tokens_decoder":{"x":{"content":"y"}}}`)}}},
		{"added id twice", "added_tokens.json", fstest.MapFS{"tokenizer.model": {Data: good}, "added_tokens.json": {Data: []byte(`{"x":32000,"y":32000}`)}}},
		{"broken model beside", "tokenizer.model", fstest.MapFS{"tokenizer.json": {Data: []byte(tinyJSON)}, "tokenizer.model": {Data: good[:1000]}}},
	} {
		_, err := Open(c.fs)
		var e *Error
		if !errors.As(err, &e) || e.File != c.file || !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestOtherModelBeside: a tokenizer.model with other pieces does not lend scores.
func TestOtherModelBeside(t *testing.T) {
	tok, err := Open(fstest.MapFS{"tokenizer.json": {Data: []byte(tinyJSON)}, "tokenizer.model": {Data: tinyModel(nil, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := tok.Piece(2); p.Text != "ab" || p.Score != -1 {
		t.Errorf("%+v", p)
	}
}
