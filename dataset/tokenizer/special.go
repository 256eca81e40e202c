package tokenizer

import "unicode/utf8"

// findSpellings prepares EncodePlain for vocabularies whose merges or single
// characters reach the id of a special token: such an id is spelt by the parts of
// its first merge, or in bytes. Phi-3's merges reach none.
func (t *Tokenizer) findSpellings(pairs []mergePair) {
	parts := map[int32]mergePair{}
	for _, p := range pairs {
		if _, seen := parts[p.made]; !seen {
			parts[p.made] = p
		}
	}
	for id, p := range t.pieces {
		if t.isSpecial(int32(id)) {
			if _, made := parts[int32(id)]; made || utf8.RuneCountInString(p.Text) == 1 {
				if t.spell == nil {
					t.spell = map[int32][]int32{}
				}
				t.spell[int32(id)] = t.spelling(nil, int32(id), parts)
			}
		}
	}
}

func (t *Tokenizer) isSpecial(id int32) bool {
	p := &t.pieces[id]
	return id != t.unkID && (p.Type == Control || p.Special)
}

// spelling appends ordinary ids for id; parts are shorter than what they make, so
// it ends.
func (t *Tokenizer) spelling(dst []int32, id int32, parts map[int32]mergePair) []int32 {
	if !t.isSpecial(id) {
		return append(dst, id)
	}
	if p, ok := parts[id]; ok {
		return t.spelling(t.spelling(dst, p.left, parts), p.right, parts)
	}
	r, _ := utf8.DecodeRuneInString(t.pieces[id].Text)
	if t.unkID < 0 && !t.spellable(r) {
		return dst
	}
	dst, unknown := t.appendUnknown(dst, r, false)
	if unknown {
		dst = append(dst, t.unkID)
	}
	return dst
}

// spellSpecials replaces special ids in dst[start:].
func (t *Tokenizer) spellSpecials(dst []int32, start int) []int32 {
	if len(t.spell) == 0 {
		return dst
	}
	tail := append([]int32(nil), dst[start:]...)
	dst = dst[:start]
	for _, id := range tail {
		if s, ok := t.spell[id]; ok {
			dst = append(dst, s...)
			continue
		}
		dst = append(dst, id)
	}
	return dst
}
