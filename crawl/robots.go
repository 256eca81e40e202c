package crawl

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// robotsLineLimit is the length at which a line is cut: eight times the
	// longest URL browsers accept, less the terminator, as google/robotstxt does.
	robotsLineLimit = 8*2083 - 1
	// RobotsLimit is how much of a robots.txt is read, in bytes (RFC 9309,
	// section 2.5, asks for at least 500 KiB); a line cut in two by it is dropped.
	RobotsLimit = 500 << 10
)

// Robots holds the rules of one robots.txt file (RFC 9309).
type Robots struct {
	groups   map[string]*robotsGroup // by lower-case product token, "*" for all
	sitemaps []string
}

type robotsGroup struct {
	rules []robotsRule
	delay time.Duration
}

// ParseRobots reads a robots.txt file. It never fails: lines that mean nothing
// are skipped (RFC 9309, section 2.2), rules before the first user-agent line
// are ignored, and groups that name the same product token are merged.
func ParseRobots(data []byte) *Robots {
	p := robotsParser{out: &Robots{groups: map[string]*robotsGroup{}}}
	if len(data) > RobotsLimit {
		data = data[:RobotsLimit]
		data = data[:bytes.LastIndexAny(data, "\r\n")+1]
	}
	data = trimBOM(data)
	for len(data) > 0 {
		end := bytes.IndexAny(data, "\r\n")
		if end < 0 {
			end = len(data)
		}
		p.line(data[:min(end, robotsLineLimit)])
		data = data[min(end+1, len(data)):]
	}
	return p.out
}

// trimBOM drops a UTF-8 byte order mark, cut short or whole.
func trimBOM(b []byte) []byte {
	for _, c := range []byte("\xef\xbb\xbf") {
		if len(b) == 0 || b[0] != c {
			break
		}
		b = b[1:]
	}
	return b
}

type robotsParser struct {
	out     *Robots
	open    []*robotsGroup // groups the next rule belongs to
	sawRule bool           // a rule followed the last user-agent line
}

func (p *robotsParser) line(b []byte) {
	if i := bytes.IndexByte(b, '#'); i >= 0 {
		b = b[:i]
	}
	key, value, ok := splitRobotsLine(strings.TrimSpace(string(b)))
	if !ok {
		return
	}
	switch robotsKey(key) {
	case "user-agent":
		p.userAgent(value)
	case "allow":
		p.rule(value, true)
	case "disallow":
		p.rule(value, false)
	case "crawl-delay":
		p.delay(value)
	case "sitemap":
		p.out.sitemaps = append(p.out.sitemaps, value)
	}
}

// splitRobotsLine splits at the colon. Authors forget the colon; two words
// without one are read as if it were there, as google/robotstxt does.
func splitRobotsLine(s string) (key, value string, ok bool) {
	if key, value, ok = strings.Cut(s, ":"); ok {
		return strings.TrimSpace(key), strings.TrimSpace(value), true
	}
	if f := strings.Fields(s); len(f) == 2 {
		return f[0], f[1], true
	}
	return "", "", false
}

// robotsKey folds the spellings in the wild to the key that was meant.
func robotsKey(key string) string {
	key = strings.ToLower(key)
	switch key {
	case "useragent", "user agent":
		return "user-agent"
	case "dissallow", "dissalow", "disalow", "diasllow", "disallaw":
		return "disallow"
	case "crawldelay", "crawl delay":
		return "crawl-delay"
	case "site-map":
		return "sitemap"
	}
	return key
}

func (p *robotsParser) userAgent(value string) {
	token := robotsToken(value)
	if value == "*" || strings.HasPrefix(value, "* ") || strings.HasPrefix(value, "*\t") {
		token = "*"
	}
	if p.sawRule {
		p.open, p.sawRule = nil, false
	}
	if token == "" {
		// The line opens a group for nobody; its rules must bind no one else.
		p.open = append(p.open, &robotsGroup{})
		return
	}
	g := p.out.groups[token]
	if g == nil {
		g = &robotsGroup{}
		p.out.groups[token] = g
	}
	p.open = append(p.open, g)
}

// robotsToken returns the leading product token in lower case (RFC 9309,
// section 2.2.1: letters, "_" and "-").
func robotsToken(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '-')
	})
	if end < 0 {
		end = len(s)
	}
	return strings.ToLower(s[:end])
}

func (p *robotsParser) rule(pattern string, allow bool) {
	p.sawRule = len(p.open) > 0
	if pattern == "" {
		return
	}
	r := compileRobotsRule(pattern, allow)
	for _, g := range p.open {
		g.rules = append(g.rules, r)
	}
}

// delay keeps the longest Crawl-delay of a group. The field is not in RFC 9309,
// so it must not end a run of user-agent lines (section 2.2.4).
func (p *robotsParser) delay(value string) {
	s, err := strconv.ParseFloat(value, 64)
	if err != nil || !(s >= 0) || s > math.MaxInt32 {
		return
	}
	for _, g := range p.open {
		g.delay = max(g.delay, time.Duration(s*float64(time.Second)))
	}
}

// group returns the rules that bind the product token: its own group if there
// is one, else the group of "*", else nil.
func (r *Robots) group(token string) *robotsGroup {
	if g := r.groups[strings.ToLower(token)]; g != nil && token != "*" {
		return g
	}
	if token == "" {
		return nil
	}
	return r.groups["*"]
}

// Allowed reports whether a crawler with that product token (letters, "_" and
// "-", any case) may fetch the URL, given whole or from its path on. The longest
// matching pattern decides; on a tie allow wins (RFC 9309, section 2.2.2).
func (r *Robots) Allowed(token, rawURL string) bool {
	g := r.group(token)
	if g == nil {
		return true
	}
	path := normalizeEscapes(pathOf(rawURL))
	best, allowed := 0, true
	for _, rule := range g.rules {
		n := rule.match(path)
		if n > best || n == best && n > 0 && rule.allow {
			best, allowed = n, rule.allow
		}
	}
	return allowed
}

// CrawlDelay returns the pause between requests asked of the product token, and
// whether the file asks for one.
func (r *Robots) CrawlDelay(token string) (time.Duration, bool) {
	g := r.group(token)
	if g == nil || g.delay == 0 {
		return 0, false
	}
	return g.delay, true
}

// Sitemaps returns the values of the Sitemap lines, in order, unchecked.
func (r *Robots) Sitemaps() []string { return r.sitemaps }
