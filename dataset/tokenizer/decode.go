package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// DecodeOptions says what Decode does beside joining pieces.
type DecodeOptions struct {
	KeepSpecial bool `json:"keep_special" yaml:"keep_special"` // write special tokens out
}

// decodePlan is a tokenizer.json decoder: replacements within each token, bytes
// joined to characters, and one kind of character stripped from the front.
type decodePlan struct {
	replace [][2]string
	bytes   bool
	strip   rune
	front   int // how many to strip at most
}

// surface is what an id decodes to.
type surface struct {
	text string
	b    int16 // -1: not a byte
}

func (t *Tokenizer) findSurfaces() {
	t.surfaces = make([]surface, len(t.pieces))
	for id, p := range t.pieces {
		t.surfaces[id] = t.surfaceOf(p.Text)
	}
	for _, a := range t.added {
		if a.Normalized { // it stands for what was matched
			t.surfaces[a.ID] = t.surfaceOf(t.norm.apply(a.Content, true))
		}
	}
}

func (t *Tokenizer) surfaceOf(s string) surface {
	for _, r := range t.decode.replace {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return surface{s, t.byteValue(s)}
}

// byteValue reads "<0x0A>"; like the reference it goes by the text alone.
func (t *Tokenizer) byteValue(s string) int16 {
	if !t.decode.bytes || len(s) != 6 || !strings.HasPrefix(s, "<0x") || s[5] != '>' {
		return -1
	}
	v, err := strconv.ParseUint(s[3:5], 16, 8)
	if err != nil {
		return -1
	}
	return int16(v)
}

// Decode joins the pieces of ids to text without special tokens, as the reference
// library does: one space at the front is dropped, ids not in use are skipped, and
// a run of byte pieces that is not UTF-8 as a whole becomes one U+FFFD a byte.
func (t *Tokenizer) Decode(ids []int32) string { return t.DecodeWith(ids, DecodeOptions{}) }

// DecodeWith is Decode with options.
func (t *Tokenizer) DecodeWith(ids []int32, opts DecodeOptions) string {
	var out, run []byte
	for _, id := range ids {
		if !t.shown(id, opts) {
			continue
		}
		if s := &t.surfaces[id]; s.b >= 0 {
			run = append(run, byte(s.b))
		} else {
			out = append(appendBytes(out, run), s.text...)
			run = run[:0]
		}
	}
	out = appendBytes(out, run)
	strip := t.decode.front
	return t.stripFront(string(out), &strip)
}

func (t *Tokenizer) shown(id int32, opts DecodeOptions) bool {
	if id < 0 || int(id) >= len(t.pieces) || t.pieces[id].Type == 0 {
		return false
	}
	return opts.KeepSpecial || !t.pieces[id].Special
}

func appendBytes(out, run []byte) []byte {
	if utf8.Valid(run) {
		return append(out, run...)
	}
	for range run {
		out = utf8.AppendRune(out, utf8.RuneError)
	}
	return out
}

// stripFront drops up to *left strip characters and counts them down; any other
// character ends the stripping.
func (t *Tokenizer) stripFront(s string, left *int) string {
	for *left > 0 && s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r != t.decode.strip {
			*left = 0
			break
		}
		s = s[n:]
		*left--
	}
	return s
}

// Decoder decodes one token at a time. Its parts joined are what Decode gives,
// with one difference: a run of byte pieces that is not UTF-8 becomes U+FFFD only
// where it is broken, since its sound beginning has been handed out already.
type Decoder struct {
	t     *Tokenizer
	opts  DecodeOptions
	strip int
	held  []byte // the beginning of a character
}

// NewDecoder returns a streaming decoder that leaves special tokens out.
func (t *Tokenizer) NewDecoder() *Decoder { return t.NewDecoderWith(DecodeOptions{}) }

// NewDecoderWith returns a streaming decoder with options.
func (t *Tokenizer) NewDecoderWith(opts DecodeOptions) *Decoder {
	return &Decoder{t: t, opts: opts, strip: t.decode.front}
}

// Push takes the next id and returns the text that is certain by now: it may be
// empty while the bytes of a character are not yet complete.
func (d *Decoder) Push(id int32) string {
	if !d.t.shown(id, d.opts) {
		return ""
	}
	s := &d.t.surfaces[id]
	if s.b < 0 {
		return d.t.stripFront(d.release()+s.text, &d.strip)
	}
	d.held = append(d.held, byte(s.b))
	if utf8.FullRune(d.held) {
		return d.t.stripFront(d.complete(), &d.strip)
	}
	return ""
}

// Flush returns what is held back, a broken character as U+FFFD a byte, and makes
// the decoder ready for another text.
func (d *Decoder) Flush() string {
	s := d.t.stripFront(d.release(), &d.strip)
	d.strip = d.t.decode.front
	return s
}

// complete takes the characters off the front of held that are decided.
func (d *Decoder) complete() string {
	var out []byte
	for len(d.held) > 0 && utf8.FullRune(d.held) {
		r, n := utf8.DecodeRune(d.held)
		out = utf8.AppendRune(out, r)
		d.held = d.held[:copy(d.held, d.held[n:])]
	}
	return string(out)
}

func (d *Decoder) release() string {
	out := appendBytes(nil, d.held)
	d.held = d.held[:0]
	return string(out)
}
