package tokenizer

import "sync"

// Ids of the Phi-3 and Phi-3.5 vocabulary that callers name directly.
const (
	BOS       = 1     // <s>
	EndOfText = 32000 // <|endoftext|>: end of a document, and padding
	Assistant = 32001 // <|assistant|>
	System    = 32006 // <|system|>
	End       = 32007 // <|end|>: end of a turn
	User      = 32010 // <|user|>
)

// PieceType is the kind of a vocabulary entry, numbered as in SentencePiece's
// model proto and in GGUF's tokenizer.ggml.token_type.
type PieceType int32

// The kinds of piece.
const (
	Normal      PieceType = 1 // text, made by merges
	Unknown     PieceType = 2 // stands for what has no piece
	Control     PieceType = 3 // special: never text
	UserDefined PieceType = 4 // added, matched before any merge
	Unused      PieceType = 5 // a hole kept in the vocabulary
	Byte        PieceType = 6 // one byte, "<0x00>" to "<0xFF>"
)

// Piece is one vocabulary entry.
type Piece struct {
	Text string // as in the file: U+2581 for a space, "<0x0A>" for a byte
	// Score orders merges in SentencePiece and GGUF: higher first. From
	// tokenizer.model where there is one; from tokenizer.json alone, minus the
	// order in which merges first make the piece (single characters after all
	// of them). Added tokens outside the base vocabulary have -1000.
	Score          float32
	Type           PieceType
	RStrip, LStrip bool // the token swallows white space after, before it
	Special        bool // left out by Decode
	Added          bool // listed as an added token
}

// Tokenizer turns text into ids and back. The zero value is not usable; make one
// with Parse, ParseModel or Open. It is safe for concurrent use.
type Tokenizer struct {
	pieces []Piece // by id; Type 0 marks an id that is not in use
	ids    map[string]int32

	merges mergeTable
	chars  charTable
	joins  joinTable

	byteID   [256]int32 // id of each byte's piece, -1 without
	fallback bool       // spell unknown characters in bytes
	unkID    int32      // -1: unknown characters vanish
	fuseUnk  bool

	added      []AddedToken // indexed by the matchers
	plain      matcher      // tokens matched in the text as it is
	normalized matcher      // tokens matched after normalizing
	norm       normalizer   // before added tokens of the normalized kind are matched
	pre        normalizer   // after that
	quick      bool         // the normalizer is folded into chars and prefix
	prefix     charInfo

	decode   decodePlan
	surfaces []surface         // by id
	spell    map[int32][]int32 // special ids that merges can make, as ordinary ids

	scratch sync.Pool
}

// VocabSize returns one more than the largest id. A model's embedding can have
// more rows than this.
func (t *Tokenizer) VocabSize() int { return len(t.pieces) }

// Piece returns the vocabulary entry of id; false when the id is not in use.
func (t *Tokenizer) Piece(id int32) (Piece, bool) {
	if id < 0 || int(id) >= len(t.pieces) || t.pieces[id].Type == 0 {
		return Piece{}, false
	}
	return t.pieces[id], true
}

// ID returns the id of the piece with exactly this text (U+2581 for a space).
func (t *Tokenizer) ID(piece string) (int32, bool) {
	id, ok := t.ids[piece]
	return id, ok
}
