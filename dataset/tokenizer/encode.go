package tokenizer

import "unicode/utf8"

// Encode returns the ids of text as the reference library's encode does: added
// tokens written out in the text are recognised, and no BOS is put in front. The
// empty text gives an empty slice.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.Append(make([]int32, 0, 8+len(text)/3), text)
}

// Append appends the ids of Encode(text) to dst.
func (t *Tokenizer) Append(dst []int32, text string) []int32 {
	sc := t.scratch.Get().(*scratch)
	sc.marks = t.plain.find(sc.marks[:0], text)
	dst = t.appendMarked(dst, text, sc.marks, nil, sc)
	t.giveBack(sc)
	return dst
}

// EncodePlain returns the ids of text with nothing recognised in it: a special
// token written out is spelt in ordinary tokens, so the result never holds the id
// of a special token. For text from someone who must not steer the conversation.
func (t *Tokenizer) EncodePlain(text string) []int32 {
	sc := t.scratch.Get().(*scratch)
	dst := t.appendPlain(make([]int32, 0, 8+len(text)/3), text, true, sc)
	t.giveBack(sc)
	return dst
}

func (t *Tokenizer) appendPlain(dst []int32, text string, first bool, sc *scratch) []int32 {
	start := len(dst)
	switch {
	case text == "":
	case t.quick:
		dst = t.appendRuns(dst, text, t.prefix, sc)
	default:
		dst = t.appendRuns(dst, t.pre.apply(t.norm.apply(text, first), first), noChar, sc)
	}
	return t.spellSpecials(dst, start)
}

// appendMarked encodes text around the marks, each giving its token; at[i], when
// at is not nil, receives the place of token i in the result. With at set the text
// between marks is plain.
func (t *Tokenizer) appendMarked(dst []int32, text string, marks []mark, at []int, sc *scratch) []int32 {
	done := 0
	between := func(from, to int) {
		if from >= to {
			return
		}
		if at != nil {
			dst = t.appendPlain(dst, text[from:to], from == 0, sc)
			return
		}
		dst = t.appendSegment(dst, text[from:to], from == 0, sc)
	}
	for i, m := range marks {
		start, stop := t.added[m.token].extend(text, m, done)
		between(done, start)
		if at != nil {
			at[i] = len(dst)
		}
		dst = append(dst, t.added[m.token].ID)
		done = stop
	}
	between(done, len(text))
	return dst
}

// appendSegment encodes a stretch of text between added tokens.
func (t *Tokenizer) appendSegment(dst []int32, text string, first bool, sc *scratch) []int32 {
	if t.quick {
		return t.appendRuns(dst, text, t.prefix, sc)
	}
	text = t.norm.apply(text, first)
	done := 0
	for _, m := range t.normalized.find(nil, text) {
		start, stop := t.added[m.token].extend(text, m, done)
		if done < start {
			dst = t.appendRuns(dst, t.pre.apply(text[done:start], first && done == 0), noChar, sc)
		}
		dst = append(dst, t.added[m.token].ID)
		done = stop
	}
	return t.appendRuns(dst, t.pre.apply(text[done:], first && done == 0), noChar, sc)
}

// appendRuns cuts normalized text into runs that no merge leaves and merges each.
// The ids of a run's characters are laid down at the end of dst and merged in
// place.
func (t *Tokenizer) appendRuns(dst []int32, text string, prefix charInfo, sc *scratch) []int32 {
	run, left := len(dst), uint16(0)
	if prefix.id >= 0 {
		dst = append(dst, prefix.id)
		left = prefix.left
	}
	waiting := false // an unknown character is yet to be written
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		i += size
		c := t.chars.get(r)
		if c.id < 0 {
			if t.unkID < 0 && !t.spellable(r) {
				continue // it vanishes, and its neighbours meet
			}
			if !t.joins.always {
				dst = t.closeRun(dst, run, sc)
			}
			dst, waiting = t.appendUnknown(dst, r, waiting)
			run, left = t.newRun(dst, run), c.left
			continue
		}
		if waiting {
			dst, waiting = append(dst, t.unkID), false
			run = t.newRun(dst, run)
		}
		if !t.joins.has(left, c.right) {
			if len(dst)-run > 1 {
				dst = t.closeRun(dst, run, sc)
			}
			run = len(dst)
		}
		dst = append(dst, c.id)
		left = c.left
	}
	if waiting {
		dst = append(dst, t.unkID)
	}
	return t.closeRun(dst, run, sc)
}

func (t *Tokenizer) closeRun(dst []int32, run int, sc *scratch) []int32 {
	return dst[:run+len(t.mergeRun(dst[run:], sc))]
}

// newRun starts a run after an unknown character, which is in no merge unless
// joins.always says so.
func (t *Tokenizer) newRun(dst []int32, run int) int {
	if t.joins.always {
		return run
	}
	return len(dst)
}

// spellable reports whether every byte of r has a piece.
func (t *Tokenizer) spellable(r rune) bool {
	var buf [utf8.UTFMax]byte
	for _, b := range buf[:utf8.EncodeRune(buf[:], r)] {
		if t.byteID[b] < 0 {
			return false
		}
	}
	return true
}

// appendUnknown writes a character that has no piece: in bytes where all of them
// have one, else as unknown. The reference holds an unknown back until a known
// character or the end, to fuse it with its neighbours; waiting carries that.
func (t *Tokenizer) appendUnknown(dst []int32, r rune, waiting bool) ([]int32, bool) {
	if t.spellable(r) {
		var buf [utf8.UTFMax]byte
		for _, b := range buf[:utf8.EncodeRune(buf[:], r)] {
			dst = append(dst, t.byteID[b])
		}
		return dst, waiting
	}
	if waiting && !t.fuseUnk {
		dst = append(dst, t.unkID)
	}
	return dst, true
}
