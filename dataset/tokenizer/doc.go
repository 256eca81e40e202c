// Package tokenizer reads the tokenizer of a Phi-3 style model directory and
// turns text into token ids and back, with the ids that the Rust library
// "tokenizers" gives.
//
// Two file formats are read: tokenizer.json (byte-pair merges with byte
// fallback, added tokens with their strip rules) and SentencePiece's
// tokenizer.model of type BPE. Open picks what a model directory has.
//
//	t, err := tokenizer.Open(os.DirFS("path/to/model"))
//	ids := t.Encode("こんにちは")
//	text := t.Decode(ids)
//
// Encode recognises special tokens written out in the text, as the reference
// library does. Text from a stranger goes through EncodePlain or EncodeChat:
// there a "<|end|>" in the text stays seven ordinary characters and can not end
// the turn.
//
// # How merges stay exact and fast
//
// A Phi-3 tokenizer has no pre-tokenizer: in principle a merge can cross any two
// characters. In practice a merge joins a piece that ends in one character and a
// piece that begins with another, and the merge list names few such pairs of
// characters. Where a pair of neighbours is in no merge, no sequence of merges
// can ever join them, so the text falls into short independent runs without any
// change of result. A run is merged by scanning when short and through a heap
// when long: O(n log n) on any input, one line of a megabyte included.
//
// A Tokenizer is read-only after loading and safe for concurrent use.
//
// What it does not do: train a vocabulary; Unigram and WordPiece models,
// byte-level BPE, regular-expression normalizers and pre-tokenizers, dropout and
// ignore_merges (each refused with ErrUnsupported, by name); offsets of tokens in
// the text; pairs of texts. Truncation, padding and the post-processor of a
// tokenizer.json are ignored, so that no id is cut off or made up. It renders the
// Phi-3.5 chat template only, not templates in general. Bytes of the input that
// are not UTF-8 are read as U+FFFD.
package tokenizer
