package crawl

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// blockText renders nodes as lines: one a block, white space squeezed, empty
// lines dropped. Line breaks of the source between Japanese characters vanish,
// as they are not spaces there.
func blockText(nodes []*html.Node) string {
	var w blockWriter
	for _, n := range nodes {
		w.node(n)
		w.breakLine()
	}
	return strings.Join(w.lines, "\n")
}

type blockWriter struct {
	lines []string
	line  strings.Builder
}

func (w *blockWriter) breakLine() {
	if s := squeeze(w.line.String()); s != "" {
		w.lines = append(w.lines, s)
	}
	w.line.Reset()
}

// node recurses; the parser refuses documents nested deeper than 512.
func (w *blockWriter) node(n *html.Node) {
	switch {
	case n.Type == html.TextNode:
		w.line.WriteString(n.Data)
		return
	case n.Type != html.ElementNode && n.Type != html.DocumentNode:
		return
	case n.DataAtom == atom.Br:
		w.breakLine()
		return
	case n.DataAtom == atom.Pre:
		w.preformatted(n)
		return
	}
	block := isBlock(n.DataAtom)
	if block {
		w.breakLine()
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c)
	}
	if n.DataAtom == atom.Td || n.DataAtom == atom.Th {
		w.line.WriteByte('\t')
	}
	if block {
		w.breakLine()
	}
}

func (w *blockWriter) preformatted(n *html.Node) {
	w.breakLine()
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c)
	}
	text := w.line.String()
	w.line.Reset()
	for line := range strings.SplitSeq(text, "\n") {
		w.line.WriteString(line)
		w.breakLine()
	}
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.Address, atom.Article, atom.Blockquote, atom.Body, atom.Center, atom.Dd, atom.Details, atom.Div, atom.Dl, atom.Dt,
		atom.Fieldset, atom.Figcaption, atom.Figure, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Hr, atom.Li,
		atom.Main, atom.Ol, atom.P, atom.Section, atom.Summary, atom.Table, atom.Caption, atom.Tr, atom.Ul:
		return true
	}
	return false
}

// squeeze turns runs of white space into one space, or into nothing where a
// line break stands between two characters of a script that has no spaces.
func squeeze(s string) string {
	var b strings.Builder
	last := rune(-1)
	space, newline := false, false
	for _, r := range s {
		if r != '\u3000' && (unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff') {
			space, newline = true, newline || r == '\n' || r == '\r'
			continue
		}
		if space && last >= 0 && !(newline && spaceless(last) && spaceless(r)) {
			b.WriteByte(' ')
		}
		space, newline = false, false
		if r < 0x20 || r == utf8.RuneError {
			continue
		}
		b.WriteRune(r)
		last = r
	}
	return strings.Trim(b.String(), " \u3000")
}

func spaceless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef
}
