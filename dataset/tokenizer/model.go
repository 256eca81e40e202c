package tokenizer

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"
)

// ParseModel reads a SentencePiece tokenizer.model of type BPE with the identity
// normalization that Llama and Phi-3 use. Merges are derived as transformers does
// when it converts such a file, so ids are those of the tokenizer.json made from
// it. (SentencePiece itself resolves ties between merges of equal score by place
// instead; only runs of spaces can differ.)
//
// Control and unknown pieces become special tokens that strip nothing. added
// lists further tokens, and replaces those of the model with the same content;
// a tokenizer.model does not hold the chat tokens of Phi-3.
func ParseModel(tokenizerModel []byte, added ...AddedToken) (*Tokenizer, error) {
	d, err := readModel(tokenizerModel)
	if err != nil {
		return nil, err
	}
	d.addTokens(added)
	if d.merges, err = d.deriveMerges(); err != nil {
		return nil, err
	}
	return build(d)
}

// Field numbers of sentencepiece_model.proto.
const (
	modelPieces     = 1
	modelTrainer    = 2
	modelNormalizer = 3
	trainerType     = 3
	trainerFallback = 35
	trainerSuffix   = 24
	normCharsmap    = 2
	normDummyPrefix = 3
	normExtraSpaces = 4
	normEscape      = 5

	trainerTypeBPE = 2
)

type modelSettings struct {
	modelType                       uint64
	fallback, suffix                bool
	charsmap                        int
	dummyPrefix, extraSpace, escape bool
}

func readModel(data []byte) (*definition, error) {
	d := &definition{}
	// The proto's defaults: Unigram, and all three of the normalizer's switches on.
	set := modelSettings{modelType: 1, dummyPrefix: true, extraSpace: true, escape: true}
	err := eachField(data, 0, func(f field) (err error) {
		switch f.number {
		case modelPieces:
			var p definedPiece
			if p, err = readPiece(f); err == nil {
				p.id = int64(len(d.pieces))
				d.pieces = append(d.pieces, p)
			}
		case modelTrainer:
			err = set.readTrainer(f)
		case modelNormalizer:
			err = set.readNormalizer(f)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(d.pieces) == 0 {
		return nil, failf(ErrFormat, "tokenizer.model", "no pieces")
	}
	if err := set.refuse(); err != nil {
		return nil, err
	}
	d.fallback, d.fuseUnk = set.fallback, true
	if set.dummyPrefix {
		d.norm = append(d.norm, normStep{kind: stepPrepend, to: "\u2581"})
		d.decode.strip, d.decode.front = ' ', 1
	}
	d.norm = append(d.norm, normStep{kind: stepReplace, from: " ", to: "\u2581"})
	d.decode.replace, d.decode.bytes = [][2]string{{"\u2581", " "}}, true
	d.addModelTokens()
	return d, nil
}

func (s *modelSettings) refuse() error {
	switch {
	case s.modelType != trainerTypeBPE:
		return failf(ErrUnsupported, "trainer_spec.model_type", "%d, only BPE (2) is read", s.modelType)
	case s.charsmap > 0:
		return failf(ErrUnsupported, "normalizer_spec.precompiled_charsmap", "%d bytes", s.charsmap)
	case s.extraSpace:
		return failf(ErrUnsupported, "normalizer_spec.remove_extra_whitespaces", "true")
	case !s.escape:
		return failf(ErrUnsupported, "normalizer_spec.escape_whitespaces", "false")
	case s.suffix:
		return failf(ErrUnsupported, "trainer_spec.treat_whitespace_as_suffix", "true")
	}
	return nil
}

func (s *modelSettings) readTrainer(f field) error {
	return eachField(f.bytes, f.offset, func(f field) error {
		switch f.number {
		case trainerType:
			s.modelType = f.value
		case trainerFallback:
			s.fallback = f.value != 0
		case trainerSuffix:
			s.suffix = f.value != 0
		}
		return nil
	})
}

func (s *modelSettings) readNormalizer(f field) error {
	return eachField(f.bytes, f.offset, func(f field) error {
		switch f.number {
		case normCharsmap:
			s.charsmap = len(f.bytes)
		case normDummyPrefix:
			s.dummyPrefix = f.value != 0
		case normExtraSpaces:
			s.extraSpace = f.value != 0
		case normEscape:
			s.escape = f.value != 0
		}
		return nil
	})
}

func readPiece(f field) (definedPiece, error) {
	p := definedPiece{typ: Normal}
	err := eachField(f.bytes, f.offset, func(f field) error {
		switch f.number {
		case 1:
			p.text = string(f.bytes)
		case 2:
			p.score = math.Float32frombits(uint32(f.value))
		case 3:
			p.typ = PieceType(min(f.value, 1<<16))
		}
		return nil
	})
	if err == nil && p.score != p.score {
		err = failf(ErrFormat, fmt.Sprintf("byte %d", f.offset), "the score of %.40q is not a number", p.text)
	}
	return p, err
}

// addModelTokens lists the model's own added tokens.
func (d *definition) addModelTokens() {
	for _, p := range d.pieces {
		switch p.typ {
		case Unknown:
			d.unk = p.text
			fallthrough
		case Control:
			d.added = append(d.added, AddedToken{ID: int32(p.id), Content: p.text, Special: true})
		case UserDefined:
			d.added = append(d.added, AddedToken{ID: int32(p.id), Content: p.text})
		}
	}
}

func (d *definition) addTokens(added []AddedToken) {
	for _, a := range added {
		same := func(b AddedToken) bool { return b.Content == a.Content }
		if i := slices.IndexFunc(d.added, same); i >= 0 {
			d.added[i] = a
			continue
		}
		d.added = append(d.added, a)
	}
}

// deriveMerges lists, for each piece, all its cuts into two pieces, by the ids of
// the parts, and orders them by the piece's score (the generate_merges step of
// transformers' convert_slow_tokenizer).
func (d *definition) deriveMerges() ([][2]string, error) {
	ids := make(map[string]int64, len(d.pieces))
	for _, p := range d.pieces {
		if err := checkPiece(p.text, p.id); err != nil {
			return nil, err
		}
		ids[p.text] = p.id
	}
	order := slices.Clone(d.pieces)
	sort.SliceStable(order, func(i, j int) bool { return order[i].score > order[j].score })
	var merges [][2]string
	for _, p := range order {
		if p.typ == Normal || p.typ == UserDefined {
			merges = append(merges, cuts(p.text, ids)...)
		}
	}
	return merges, nil
}

func cuts(piece string, ids map[string]int64) [][2]string {
	var found [][2]string
	for i := range piece {
		if i == 0 {
			continue
		}
		_, left := ids[piece[:i]]
		if _, right := ids[piece[i:]]; left && right {
			found = append(found, [2]string{piece[:i], piece[i:]})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return ids[found[i][0]] < ids[found[j][0]] })
	return found
}

// A field is one field of a protocol buffer message.
type field struct {
	number int
	value  uint64 // varint and fixed kinds
	bytes  []byte // length-delimited kind
	offset int    // of bytes, from the start of the file
}

// eachField calls fn for every field of a message that starts at offset base of
// the file (wire format: protobuf.dev, "Encoding").
func eachField(msg []byte, base int, fn func(field) error) error {
	for at := 0; at < len(msg); {
		f, n := readField(msg[at:])
		if n == 0 {
			return failf(ErrFormat, fmt.Sprintf("byte %d", base+at), "broken protocol buffer field")
		}
		f.offset = base + at + n - len(f.bytes)
		if err := fn(f); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// readField returns the field at the front of b and its size, 0 when broken.
func readField(b []byte) (field, int) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return field{}, 0
	}
	f := field{number: int(tag >> 3)}
	b = b[n:]
	size := 0
	switch tag & 7 {
	case 0:
		f.value, size = binary.Uvarint(b)
	case 1:
		size = 8
	case 2:
		length, k := binary.Uvarint(b)
		if k <= 0 || length > uint64(len(b)-k) {
			return field{}, 0
		}
		size = k + int(length)
		f.bytes = b[k:size]
	case 5:
		size = 4
	}
	if size <= 0 || size > len(b) {
		return field{}, 0
	}
	if tag&7 == 5 {
		f.value = uint64(binary.LittleEndian.Uint32(b))
	}
	return f, n + size
}
