package tokenizer

import "unicode/utf8"

// charInfo is what encoding needs of one character: its piece (-1 for none) and
// its class as the end of a left and the start of a right merge operand; class 0
// ends or starts no operand.
type charInfo struct {
	id          int32
	left, right uint16
}

var noChar = charInfo{id: -1}

type charPage [256]charInfo

// charTable maps runes to charInfo in two steps, because a vocabulary knows a few
// thousand of a million characters.
type charTable struct {
	page  [(utf8.MaxRune + 1) / 256]uint16
	pages []charPage
}

func (c *charTable) init() {
	c.pages = make([]charPage, 1, 64)
	for i := range c.pages[0] {
		c.pages[0][i] = noChar
	}
}

func (c *charTable) get(r rune) charInfo { return c.pages[c.page[r>>8]][r&255] }

func (c *charTable) set(r rune, info charInfo) {
	p := &c.page[r>>8]
	if *p == 0 {
		*p = uint16(len(c.pages))
		c.pages = append(c.pages, c.pages[0])
	}
	c.pages[*p][r&255] = info
}

// maxClasses bounds the bit matrix of joinTable to 32 MiB; a vocabulary beyond
// it is encoded without boundaries.
const maxClasses = 1 << 14

// joinTable tells whether some merge has a left operand ending in one class and
// a right operand starting with another. Neighbours that no merge joins are in
// different tokens whatever else happens: a merge across them would need a left
// operand that ends in the first and a right one that starts with the second.
type joinTable struct {
	bits   []uint64 // [left class][right class]
	stride int
	always bool // byte or unknown pieces take part in merges: no boundaries at all
}

func (j *joinTable) has(left, right uint16) bool {
	return j.bits[int(left)*j.stride+int(right>>6)]>>(right&63)&1 != 0
}

func (j *joinTable) set(left, right uint16) {
	j.bits[int(left)*j.stride+int(right>>6)] |= 1 << (right & 63)
}

// findChars fills the character and join tables.
func (t *Tokenizer) findChars(pairs []mergePair) {
	t.chars.init()
	for id, p := range t.pieces {
		if r, n := utf8.DecodeRuneInString(p.Text); n > 0 && n == len(p.Text) {
			t.chars.set(r, charInfo{id: int32(id)})
		}
	}
	left, right := map[rune]uint16{}, map[rune]uint16{}
	for _, p := range pairs {
		l, r := t.meeting(p)
		classify(left, l)
		classify(right, r)
		t.joins.always = t.joins.always || t.isFallback(p.left) || t.isFallback(p.right)
	}
	if t.joins.always = t.joins.always || max(len(left), len(right)) >= maxClasses; t.joins.always {
		t.joinAll()
		return
	}
	t.joins.stride = (len(right) + 64) / 64
	t.joins.bits = make([]uint64, (len(left)+1)*t.joins.stride)
	for _, p := range pairs {
		l, r := t.meeting(p)
		t.joins.set(left[l], right[r])
	}
	t.setClasses(left, right)
}

// meeting returns the characters that meet when p merges.
func (t *Tokenizer) meeting(p mergePair) (end, start rune) {
	end, _ = utf8.DecodeLastRuneInString(t.pieces[p.left].Text)
	start, _ = utf8.DecodeRuneInString(t.pieces[p.right].Text)
	return end, start
}

func classify(class map[rune]uint16, r rune) {
	if class[r] == 0 && len(class) < maxClasses {
		class[r] = uint16(len(class) + 1)
	}
}

// isFallback reports whether id stands for something other than its own text.
func (t *Tokenizer) isFallback(id int32) bool {
	return id == t.unkID || t.pieces[id].Type == Byte
}

func (t *Tokenizer) setClasses(left, right map[rune]uint16) {
	for r, c := range left {
		info := t.chars.get(r)
		info.left = c
		t.chars.set(r, info)
	}
	for r, c := range right {
		info := t.chars.get(r)
		info.right = c
		t.chars.set(r, info)
	}
}

func (t *Tokenizer) joinAll() {
	t.joins.stride = 1
	t.joins.bits = make([]uint64, 2)
	t.joins.set(1, 1)
	for i := range t.chars.pages {
		for j := range t.chars.pages[i] {
			c := &t.chars.pages[i][j]
			c.left, c.right = 1, 1
		}
	}
}
