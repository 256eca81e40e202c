package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// A definition is what both file formats are read into; build checks it and
// makes the tables.
type definition struct {
	pieces   []definedPiece
	merges   [][2]string // by rank
	added    []AddedToken
	unk      string // "" for none
	fallback bool
	fuseUnk  bool
	norm     normalizer
	pre      normalizer
	decode   decodePlan
}

type definedPiece struct {
	text  string
	id    int64
	score float32
	typ   PieceType
}

func build(d *definition) (*Tokenizer, error) {
	t := &Tokenizer{ids: make(map[string]int32, len(d.pieces)+len(d.added)), unkID: -1,
		fallback: d.fallback, fuseUnk: d.fuseUnk, norm: d.norm, pre: d.pre, decode: d.decode}
	if err := t.addPieces(d.pieces); err != nil {
		return nil, err
	}
	if err := t.setUnknown(d.unk); err != nil {
		return nil, err
	}
	// Merges and characters know the base vocabulary only: added tokens take part
	// through the matchers.
	pairs, err := t.addMerges(d.merges)
	if err != nil {
		return nil, err
	}
	t.findChars(pairs)
	if err := t.addTokens(d.added); err != nil {
		return nil, err
	}
	t.foldNormalizer()
	t.findSurfaces()
	t.findSpellings(pairs)
	t.scratch.New = func() any { return new(scratch) }
	return t, nil
}

func (t *Tokenizer) addPieces(pieces []definedPiece) error {
	top := int64(-1)
	for i := range pieces {
		if err := checkPiece(pieces[i].text, pieces[i].id); err != nil {
			return err
		}
		top = max(top, pieces[i].id)
	}
	t.pieces = make([]Piece, top+1)
	for i := range pieces {
		if err := t.addPiece(pieces[i]); err != nil {
			return err
		}
	}
	t.findBytes()
	return nil
}

func placeOf(piece string) string { return fmt.Sprintf("piece %.40q", piece) }

func checkPiece(text string, id int64) error {
	switch {
	case id < 0:
		return failf(ErrFormat, placeOf(text), "negative id %d", id)
	case id > MaxID:
		return failf(ErrLimit, placeOf(text), "id %d is over %d", id, MaxID)
	case len(text) > MaxPiece:
		return failf(ErrLimit, placeOf(text), "%d bytes, over %d", len(text), MaxPiece)
	case text == "":
		return failf(ErrFormat, placeOf(text), "is empty (id %d)", id)
	case !utf8.ValidString(text):
		return failf(ErrFormat, placeOf(text), "is not UTF-8")
	}
	return nil
}

func (t *Tokenizer) addPiece(p definedPiece) error {
	if old := t.pieces[p.id]; old.Type != 0 {
		return failf(ErrFormat, placeOf(p.text), "id %d already belongs to %.40q", p.id, old.Text)
	}
	if old, dup := t.ids[p.text]; dup {
		return failf(ErrFormat, placeOf(p.text), "appears twice, with ids %d and %d", old, p.id)
	}
	if p.typ < Normal || p.typ > Byte {
		return failf(ErrFormat, placeOf(p.text), "unknown type %d", p.typ)
	}
	t.pieces[p.id] = Piece{Text: p.text, Score: p.score, Type: p.typ}
	t.ids[p.text] = int32(p.id)
	return nil
}

// findBytes looks the byte pieces up by name, as the reference library does.
func (t *Tokenizer) findBytes() {
	for b := range t.byteID {
		t.byteID[b] = -1
		if id, ok := t.ids[fmt.Sprintf("<0x%02X>", b)]; ok && t.fallback {
			t.byteID[b] = id
			t.pieces[id].Type = Byte
		}
	}
}

func (t *Tokenizer) setUnknown(unk string) error {
	if unk == "" {
		return nil
	}
	id, ok := t.ids[unk]
	if !ok {
		return failf(ErrFormat, "unk_token", "%.40q is not in the vocabulary", unk)
	}
	t.unkID = id
	t.pieces[id].Type = Unknown
	return nil
}

// A mergePair is one merge by ids: left and right give made.
type mergePair struct{ left, right, made int32 }

func (t *Tokenizer) addMerges(merges [][2]string) ([]mergePair, error) {
	t.merges.init(len(merges))
	pairs := make([]mergePair, len(merges))
	for rank, m := range merges {
		var id [3]int32
		for i, text := range [3]string{m[0], m[1], m[0] + m[1]} {
			v, ok := t.ids[text]
			if !ok {
				return nil, failf(ErrFormat, fmt.Sprintf("model.merges[%d]", rank), "%.40q is not in the vocabulary", text)
			}
			id[i] = v
		}
		pairs[rank] = mergePair{id[0], id[1], id[2]}
		t.merges.put(pairs[rank], uint32(rank))
	}
	return pairs, nil
}

// scoreFromMerges fills scores for a file that has none; see Piece.Score.
func scoreFromMerges(d *definition) {
	order := make(map[string]float32, len(d.pieces))
	for _, m := range d.merges {
		if text := m[0] + m[1]; order[text] == 0 {
			order[text] = -float32(len(order) + 1)
		}
	}
	next := -float32(len(order) + 1)
	for i := range d.pieces {
		p := &d.pieces[i]
		s, made := order[p.text]
		if !made && utf8.RuneCountInString(p.text) == 1 {
			s = next
			next--
		}
		p.score = s
	}
}
