package crawl

import "strings"

// robotsRule is one allow or disallow line, cut at its stars.
type robotsRule struct {
	parts    []string // literal pieces between the stars
	anchored bool     // the pattern ended in "$"
	length   int      // octets of the normalised pattern: its precedence
	allow    bool
	index    *robotsRule // what "…/index.html" stands for besides itself
}

// compileRobotsRule prepares a non-empty pattern. "*" matches any run of octets
// and a final "$" the end of the path (RFC 9309, section 2.2.3).
func compileRobotsRule(pattern string, allow bool) robotsRule {
	r := compileLiteral(normalizeEscapes(pattern), allow)
	// An allowed index page also means its directory: google/robotstxt's
	// extension, kept because "/dir/" and "/dir/index.html" are one page.
	if i := strings.LastIndexByte(pattern, '/'); allow && i >= 0 && strings.HasPrefix(pattern[i:], "/index.htm") {
		dir := compileLiteral(normalizeEscapes(pattern[:i+1])+"$", true)
		r.index = &dir
	}
	return r
}

func compileLiteral(p string, allow bool) robotsRule {
	r := robotsRule{length: len(p), allow: allow}
	if p, r.anchored = strings.CutSuffix(p, "$"); r.anchored && p == "" {
		r.parts = []string{""}
		return r
	}
	r.parts = strings.Split(p, "*")
	return r
}

// match returns the precedence of the rule for the path, or 0 where it does not
// match. The leftmost fit of each piece is enough, so no backtracking is needed.
func (r *robotsRule) match(path string) int {
	if r.fits(path) {
		return r.length
	}
	if r.index != nil && r.index.fits(path) {
		return r.index.length
	}
	return 0
}

func (r *robotsRule) fits(path string) bool {
	rest, ok := strings.CutPrefix(path, r.parts[0])
	if !ok {
		return false
	}
	last := len(r.parts) - 1
	if last == 0 {
		return !r.anchored || rest == ""
	}
	for _, part := range r.parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	if r.anchored {
		return strings.HasSuffix(rest, r.parts[last])
	}
	return strings.Contains(rest, r.parts[last])
}

// pathOf cuts scheme, authority and fragment off a URL and returns the rest,
// which starts with "/". It works on the text, since net/url would rewrite
// escapes that matter to a rule.
func pathOf(raw string) string {
	if i := strings.IndexByte(raw, '#'); i >= 0 {
		raw = raw[:i]
	}
	if !strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "//") {
		raw = afterAuthority(raw)
	}
	if !strings.HasPrefix(raw, "/") {
		return "/" + raw
	}
	return raw
}

func afterAuthority(raw string) string {
	if rest, ok := strings.CutPrefix(raw, "//"); ok {
		raw = rest
	} else if i := strings.Index(raw, "://"); i >= 0 && i < len("https://") {
		raw = raw[i+len("://"):]
	}
	if i := strings.IndexAny(raw, "/?;"); i >= 0 {
		return raw[i:]
	}
	return ""
}

// normalizeEscapes brings a path or pattern to the form in which RFC 9309,
// section 2.2.2, compares them: octets outside ASCII escaped, escapes of
// unreserved characters (RFC 3986) resolved, all other escapes in upper case.
func normalizeEscapes(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '%' || r >= 0x80 }) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c, escaped := s[i], false
		if c == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			c, escaped = byte(unhex(s[i+1])<<4|unhex(s[i+2])), true
			i += 2
		}
		if escaped && !unreserved(c) || c >= 0x80 {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			c = hex[c&15]
		}
		b.WriteByte(c)
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
