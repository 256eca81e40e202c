package crawl

import (
	"bytes"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

// Charset says in which encoding a page was and how that was found out.
type Charset struct {
	Name     string // WHATWG name in lower case: "utf-8", "shift_jis", "euc-jp", "iso-2022-jp", …
	By       string // "bom", "header", "meta", "detected", or "overruled": declared, but wrong
	Replaced int    // byte sequences without meaning, now U+FFFD
}

// ErrCharset means that no encoding fits the bytes.
var ErrCharset = errors.New("crawl: no character encoding fits")

const (
	metaWindow = 8 << 10 // bytes searched for a meta element; Japanese pages have it late
	// wrongShare is the share of unreadable characters from which a declaration
	// is taken to be wrong: a page may hold a few bad bytes, not one in 50.
	wrongShare = 0.02
)

// DecodeText converts a page to UTF-8. A byte order mark comes first, then the
// Content-Type header, then a meta element, then a detector for the Japanese
// encodings. A declaration that makes more than 2 % of the characters
// unreadable gives way to the detector (servers that add "charset=utf-8" to
// Shift_JIS pages are common); where nothing fits the error is ErrCharset.
func DecodeText(b []byte, contentType string) (string, Charset, error) {
	if name, skip := byBOM(b); name != "" {
		return decodeAs(b[skip:], Charset{Name: name, By: "bom"})
	}
	for _, c := range []Charset{{Name: headerCharset(contentType), By: "header"}, {Name: metaCharset(b), By: "meta"}} {
		if c.Name == "" {
			continue
		}
		text, c, err := decodeAs(b, c)
		if err == nil {
			return text, c, nil
		}
		if name := DetectJapanese(b); name != "" && name != c.Name {
			return decodeAs(b, Charset{Name: name, By: "overruled"})
		}
		return "", c, err
	}
	if name := DetectJapanese(b); name != "" {
		return decodeAs(b, Charset{Name: name, By: "detected"})
	}
	return "", Charset{}, ErrCharset
}

func byBOM(b []byte) (name string, size int) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return "utf-8", 3
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "utf-16be", 2
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return "utf-16le", 2
	}
	return "", 0
}

func headerCharset(contentType string) string {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return knownCharset(params["charset"])
}

// knownCharset returns the WHATWG name of a label, or "".
func knownCharset(label string) string {
	e, name := charset.Lookup(strings.TrimSpace(label))
	if e == nil || e == encoding.Replacement {
		return ""
	}
	return name
}

// metaCharset searches the start of an ASCII-compatible page for a declaration.
func metaCharset(b []byte) string {
	z := html.NewTokenizer(bytes.NewReader(b[:min(len(b), metaWindow)]))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			switch string(name) {
			case "meta":
				if c := charsetOfMeta(z, more); c != "" {
					return c
				}
			case "body":
				return ""
			}
		}
	}
}

func charsetOfMeta(z *html.Tokenizer, more bool) string {
	attrs := map[string]string{}
	for more {
		var k, v []byte
		k, v, more = z.TagAttr()
		attrs[string(k)] = string(v)
	}
	label := attrs["charset"]
	if label == "" && strings.EqualFold(attrs["http-equiv"], "content-type") {
		if _, params, err := mime.ParseMediaType(attrs["content"]); err == nil {
			label = params["charset"]
		}
	}
	name := knownCharset(label)
	if strings.HasPrefix(name, "utf-16") {
		// The element was read as ASCII, so it cannot be true (WHATWG HTML, 13.2.3.2).
		return "utf-8"
	}
	return name
}

func decodeAs(b []byte, c Charset) (string, Charset, error) {
	enc, _ := charset.Lookup(c.Name)
	out := b
	if c.Name != "utf-8" {
		var err error
		if out, err = enc.NewDecoder().Bytes(b); err != nil {
			return "", c, errors.Join(ErrCharset, err)
		}
	}
	text := strings.ToValidUTF8(string(out), "\ufffd")
	c.Replaced = strings.Count(text, "\ufffd")
	if float64(c.Replaced) > wrongShare*float64(utf8.RuneCountInString(text)) {
		return "", c, ErrCharset
	}
	return text, c, nil
}
