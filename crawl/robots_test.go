package crawl

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temoto/robotstxt"
)

// robotsCase restates expectations of google/robotstxt's robots_test.cc (which
// checks RFC 9309 and Google's extensions) as one file and what each agent may
// fetch from it.
type robotsCase struct {
	name  string
	file  string
	agent string // FooBot where empty
	allow []string
	deny  []string
}

const fishes = "http://foo.bar/fish http://foo.bar/fish.html http://foo.bar/fish/salmon.html http://foo.bar/fishheads http://foo.bar/fishheads/yummy.html http://foo.bar/fish.html?id=anything"

var (
	groupsFile  = "allow: /foo/bar/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\nuser-agent: BarBot\ndisallow: /\nallow: /y/\n\n\nallow: /w/\nuser-agent: BazBot\n\nuser-agent: FooBot\nallow: /z/\ndisallow: /\n"
	spacedFile  = "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n"
	globalFile  = "user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n"
	longA       = "/x/" + strings.Repeat("a", robotsLineLimit-len("disallow: ")-1-len("/x/"))
	longAllowA  = "/x/" + strings.Repeat("a", robotsLineLimit-len("allow: ")-1-len("/x/"))
	longAllowB  = "/x/" + strings.Repeat("b", robotsLineLimit-len("allow: ")-1-len("/x/"))
	robotsCases = []robotsCase{
		{name: "system/empty file", allow: []string{""}},
		{name: "system/empty file and agent", agent: "-none-", allow: []string{""}},
		{name: "system/empty agent", file: "user-agent: FooBot\ndisallow: /\n", agent: "-none-", allow: []string{""}},
		{name: "system/empty url", file: "user-agent: FooBot\ndisallow: /\n", deny: []string{""}},
		{name: "line/colon", file: "user-agent: FooBot\ndisallow: /\n", deny: []string{"http://foo.bar/x/y"}},
		{name: "line/unknown keys", file: "foo: FooBot\nbar: /\n", allow: []string{"http://foo.bar/x/y"}},
		{name: "line/no colon", file: "user-agent FooBot\ndisallow /\n", deny: []string{"http://foo.bar/x/y"}},
		{name: "groups/FooBot", file: groupsFile, allow: []string{"http://foo.bar/x/b", "http://foo.bar/z/d"}, deny: []string{"http://foo.bar/y/c", "http://foo.bar/foo/bar/"}},
		{name: "groups/BarBot", file: groupsFile, agent: "BarBot", allow: []string{"http://foo.bar/y/c", "http://foo.bar/w/a"}, deny: []string{"http://foo.bar/z/d", "http://foo.bar/foo/bar/"}},
		{name: "groups/BazBot", file: groupsFile, agent: "BazBot", allow: []string{"http://foo.bar/z/d"}, deny: []string{"http://foo.bar/foo/bar/"}},
		{name: "case/upper", file: "USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /\n", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "case/lower", file: "user-agent: FooBot\nallow: /x/\ndisallow: /\n", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "case/camel", file: "uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/upper Foo", file: "User-Agent: FOO BAR\nAllow: /x/\nDisallow: /\n", agent: "Foo", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/upper foo", file: "User-Agent: FOO BAR\nAllow: /x/\nDisallow: /\n", agent: "foo", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/lower Foo", file: "User-Agent: foo bar\nAllow: /x/\nDisallow: /\n", agent: "Foo", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/lower foo", file: "User-Agent: foo bar\nAllow: /x/\nDisallow: /\n", agent: "foo", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/camel Foo", file: "User-Agent: FoO bAr\nAllow: /x/\nDisallow: /\n", agent: "Foo", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/camel foo", file: "User-Agent: FoO bAr\nAllow: /x/\nDisallow: /\n", agent: "foo", allow: []string{"http://foo.bar/x/y"}, deny: []string{"http://foo.bar/a/b"}},
		{name: "agent/up to the space", file: spacedFile, agent: "Foo", allow: []string{"http://foo.bar/x/y"}},
		{name: "agent/with a space", file: spacedFile, agent: "Foo Bar", deny: []string{"http://foo.bar/x/y"}},
		{name: "global/empty", allow: []string{"http://foo.bar/x/y"}},
		{name: "global/own group", file: globalFile, deny: []string{"http://foo.bar/x/y"}},
		{name: "global/other agent", file: globalFile, agent: "BarBot", allow: []string{"http://foo.bar/x/y"}},
		{name: "global/no group", file: "user-agent: FooBot\nallow: /\nuser-agent: BarBot\ndisallow: /\nuser-agent: BazBot\ndisallow: /\n", agent: "QuxBot", allow: []string{"http://foo.bar/x/y"}},
		{name: "path/lower case", file: "user-agent: FooBot\ndisallow: /x/\n", deny: []string{"http://foo.bar/x/y"}},
		{name: "path/upper case", file: "user-agent: FooBot\ndisallow: /X/\n", allow: []string{"http://foo.bar/x/y"}},
		{name: "longest/disallow", file: "user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/\n", deny: []string{"http://foo.bar/x/page.html"}},
		{name: "longest/allow", file: "user-agent: FooBot\nallow: /x/page.html\ndisallow: /x/\n", allow: []string{"http://foo.bar/x/page.html"}, deny: []string{"http://foo.bar/x/"}},
		{name: "longest/both empty", file: "user-agent: FooBot\ndisallow: \nallow: \n", allow: []string{"http://foo.bar/x/page.html"}},
		{name: "longest/tie at root", file: "user-agent: FooBot\ndisallow: /\nallow: /\n", allow: []string{"http://foo.bar/x/page.html"}},
		{name: "longest/slash", file: "user-agent: FooBot\ndisallow: /x\nallow: /x/\n", allow: []string{"http://foo.bar/x/"}, deny: []string{"http://foo.bar/x"}},
		{name: "longest/tie", file: "user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/page.html\n", allow: []string{"http://foo.bar/x/page.html"}},
		{name: "longest/star", file: "user-agent: FooBot\nallow: /page\ndisallow: /*.html\n", allow: []string{"http://foo.bar/page"}, deny: []string{"http://foo.bar/page.html"}},
		{name: "longest/dot", file: "user-agent: FooBot\nallow: /x/page.\ndisallow: /*.html\n", allow: []string{"http://foo.bar/x/page.html"}, deny: []string{"http://foo.bar/x/y.html"}},
		{name: "longest/own group only", file: "User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n", allow: []string{"http://foo.bar/x/page"}, deny: []string{"http://foo.bar/y/page"}},
		{name: "encoding/query", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par\n", allow: []string{"http://foo.bar/foo/bar?qux=taz&baz=http://foo.bar?tar&par"}},
		{name: "encoding/raw rule", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/ツ\n", allow: []string{"http://foo.bar/foo/bar/%E3%83%84"}},
		{name: "encoding/escaped rule", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%E3%83%84\n", allow: []string{"http://foo.bar/foo/bar/%E3%83%84"}},
		{name: "encoding/unreserved", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%62%61%7A\n", allow: []string{"http://foo.bar/foo/bar/%62%61%7A"}},
		{name: "special/star inside", file: "User-agent: FooBot\nDisallow: /foo/bar/quz\nAllow: /foo/*/qux\n", allow: []string{"http://foo.bar/foo/quz", "http://foo.bar/foo//quz", "http://foo.bar/foo/bax/quz"}, deny: []string{"http://foo.bar/foo/bar/quz"}},
		{name: "special/end", file: "User-agent: FooBot\nDisallow: /foo/bar$\nAllow: /foo/bar/qux\n", allow: []string{"http://foo.bar/foo/bar/qux", "http://foo.bar/foo/bar/", "http://foo.bar/foo/bar/baz"}, deny: []string{"http://foo.bar/foo/bar"}},
		{name: "special/comment", file: "User-agent: FooBot\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n", allow: []string{"http://foo.bar/foo/bar"}, deny: []string{"http://foo.bar/foo/quz"}},
		{name: "index page", file: "User-Agent: *\nAllow: /allowed-slash/index.html\nDisallow: /\n", allow: []string{"http://foo.com/allowed-slash/", "http://foo.com/allowed-slash/index.html"}, deny: []string{"http://foo.com/allowed-slash/index.htm", "http://foo.com/anyother-url"}},
		{name: "long line/disallow", file: "user-agent: FooBot\ndisallow: " + longA + "/qux\n", allow: []string{"http://foo.bar/fux"}, deny: []string{"http://foo.bar" + longA + "/fux"}},
		{name: "long line/allow", file: "user-agent: FooBot\ndisallow: /\nallow: " + longAllowA + "/qux\nallow: " + longAllowB + "/qux\n", allow: []string{"http://foo.bar" + longAllowA + "/qux", "http://foo.bar" + longAllowB + "/fux"}, deny: []string{"http://foo.bar/"}},
		{name: "documentation/fish", file: "user-agent: FooBot\ndisallow: /\nallow: /fish\n", allow: strings.Fields(fishes), deny: strings.Fields("http://foo.bar/bar http://foo.bar/Fish.asp http://foo.bar/catfish http://foo.bar/?id=fish")},
		{name: "documentation/fish star", file: "user-agent: FooBot\ndisallow: /\nallow: /fish*\n", allow: strings.Fields(fishes), deny: strings.Fields("http://foo.bar/bar http://foo.bar/Fish.bar http://foo.bar/catfish http://foo.bar/?id=fish")},
		{name: "documentation/fish slash", file: "user-agent: FooBot\ndisallow: /\nallow: /fish/\n", allow: strings.Fields("http://foo.bar/fish/ http://foo.bar/fish/salmon http://foo.bar/fish/?salmon http://foo.bar/fish/salmon.html http://foo.bar/fish/?id=anything"), deny: strings.Fields("http://foo.bar/bar http://foo.bar/fish http://foo.bar/fish.html http://foo.bar/Fish/Salmon.html")},
		{name: "documentation/php", file: "user-agent: FooBot\ndisallow: /\nallow: /*.php\n", allow: strings.Fields("http://foo.bar/filename.php http://foo.bar/folder/filename.php http://foo.bar/folder/filename.php?parameters http://foo.bar//folder/any.php.file.html http://foo.bar/filename.php/ http://foo.bar/index?f=filename.php/"), deny: strings.Fields("http://foo.bar/bar http://foo.bar/php/ http://foo.bar/index?php http://foo.bar/windows.PHP")},
		{name: "documentation/php end", file: "user-agent: FooBot\ndisallow: /\nallow: /*.php$\n", allow: strings.Fields("http://foo.bar/filename.php http://foo.bar/folder/filename.php"), deny: strings.Fields("http://foo.bar/bar http://foo.bar/filename.php?parameters http://foo.bar/filename.php/ http://foo.bar/filename.php5 http://foo.bar/php/ http://foo.bar/filename?php http://foo.bar/aaaphpaaa http://foo.bar//windows.PHP")},
		{name: "documentation/fish php", file: "user-agent: FooBot\ndisallow: /\nallow: /fish*.php\n", allow: strings.Fields("http://foo.bar/fish.php http://foo.bar/fishheads/catfish.php?parameters"), deny: strings.Fields("http://foo.bar/bar http://foo.bar/Fish.PHP")},
		{name: "precedence/page", file: "user-agent: FooBot\nallow: /p\ndisallow: /\n", allow: []string{"http://example.com/page"}},
		{name: "precedence/folder", file: "user-agent: FooBot\nallow: /folder\ndisallow: /folder\n", allow: []string{"http://example.com/folder/page"}},
		{name: "precedence/htm", file: "user-agent: FooBot\nallow: /page\ndisallow: /*.htm\n", deny: []string{"http://example.com/page.htm"}},
		{name: "precedence/root only", file: "user-agent: FooBot\nallow: /$\ndisallow: /\n", allow: []string{"http://example.com/"}, deny: []string{"http://example.com/page.html"}},
	}
)

// againstGoogle are the three expectations of google/robotstxt that RFC 9309,
// section 2.2.2, contradicts: it has both sides normalised before comparison,
// while Google leaves the URL to the caller.
var againstGoogle = []robotsCase{
	{name: "raw rule, raw url", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/ツ\n", allow: []string{"http://foo.bar/foo/bar/ツ"}},
	{name: "escaped rule, raw url", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%E3%83%84\n", allow: []string{"http://foo.bar/foo/bar/ツ"}},
	{name: "escaped unreserved rule, plain url", file: "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%62%61%7A\n", allow: []string{"http://foo.bar/foo/bar/baz"}},
}

func (c robotsCase) token() string {
	switch c.agent {
	case "":
		return "FooBot"
	case "-none-":
		return ""
	}
	return c.agent
}

func TestRobotsKeepsGooglesExpectations(t *testing.T) {
	n := 0
	for _, c := range append(robotsCases, againstGoogle...) {
		r := ParseRobots([]byte(c.file))
		for _, u := range c.allow {
			if n++; !r.Allowed(c.token(), u) {
				t.Errorf("%s: %.60q is denied", c.name, u)
			}
		}
		for _, u := range c.deny {
			if n++; r.Allowed(c.token(), u) {
				t.Errorf("%s: %.60q is allowed", c.name, u)
			}
		}
	}
	t.Logf("%d expectations", n)
}

// TestTemotoDisagreements compares with another parser and lists where it
// answers otherwise; the list is exact, so a change on either side shows.
func TestTemotoDisagreements(t *testing.T) {
	var got []string
	for _, c := range append(robotsCases, againstGoogle...) {
		got = append(got, disagreements(c)...)
	}
	want, err := os.ReadFile("testdata/temoto_disagreements.txt")
	if os.Getenv("BOREA_UPDATE") != "" {
		err = os.WriteFile("testdata/temoto_disagreements.txt", []byte(strings.Join(got, "\n")+"\n"), 0o644)
		want = []byte(strings.Join(got, "\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(want)), "\n"); !slices.Equal(got, lines) {
		t.Errorf("disagreements changed: got %d\n%s", len(got), strings.Join(got, "\n"))
	}
}

func disagreements(c robotsCase) (out []string) {
	ours := ParseRobots([]byte(c.file))
	theirs, err := robotstxt.FromString(c.file)
	for _, u := range slices.Concat(c.allow, c.deny) {
		a := ours.Allowed(c.token(), u)
		if err != nil {
			out = append(out, fmt.Sprintf("%s %.70s: ours allow=%v, temoto gives up on the file", c.name, u, a))
		} else if b := theirs.TestAgent(pathOf(u), c.token()); a != b {
			out = append(out, fmt.Sprintf("%s %.70s: ours allow=%v, temoto %v", c.name, u, a, b))
		}
	}
	return out
}

func TestRobotsLineEndings(t *testing.T) {
	for _, eol := range []string{"\n", "\r", "\r\n"} {
		for _, tail := range []string{"", eol} {
			r := ParseRobots([]byte(strings.Join([]string{"User-Agent: foo", "Allow: /some/path", "User-Agent: bar", "", "", "Disallow: /"}, eol) + tail))
			if !r.Allowed("foo", "/x") || r.Allowed("bar", "/x") {
				t.Errorf("line ending %q, tail %q", eol, tail)
			}
		}
	}
}

func TestRobotsByteOrderMark(t *testing.T) {
	for _, bom := range []string{"\xef\xbb\xbf", "\xef\xbb", "\xef"} {
		if ParseRobots([]byte(bom+"User-Agent: foo\nDisallow: /AnyValue\n")).Allowed("foo", "/AnyValue") {
			t.Errorf("mark % x voids the first line", bom)
		}
	}
	for _, bad := range []string{"\xef\x11\xbfUser-Agent: foo\nDisallow: /\n", "User-Agent: foo\n\xef\xbb\xbfDisallow: /\n"} {
		if !ParseRobots([]byte(bad)).Allowed("foo", "/x") {
			t.Errorf("%q: garbage was read as a rule", bad)
		}
	}
}

func TestRobotsSitemapAnywhere(t *testing.T) {
	r := ParseRobots([]byte("Sitemap: http://a/1.xml\nUser-Agent: foo\nsitemap: http://a/2.xml\nUser-agent: bar\nDisallow: /\nSITEMAP:http://a/3.xml"))
	if got := r.Sitemaps(); !slices.Equal(got, []string{"http://a/1.xml", "http://a/2.xml", "http://a/3.xml"}) {
		t.Errorf("sitemaps %q", got)
	}
	if r.Allowed("foo", "/x") || r.Allowed("bar", "/x") {
		t.Error("a Sitemap line split a group in two")
	}
}

func TestCrawlDelay(t *testing.T) {
	for _, c := range []struct {
		file string
		want time.Duration
		ok   bool
	}{
		{"User-agent: *\nCrawl-delay: 2.5\n", 2500 * time.Millisecond, true},
		{"User-agent: *\nCrawl-delay: 2\nUser-agent: FooBot\nDisallow: /x\n", 0, false},
		{"User-agent: FooBot\nCrawl-delay: 3\nCrawl-delay: 1\n", 3 * time.Second, true},
		{"User-agent: FooBot\nCrawl-delay: soon\n", 0, false},
		{"User-agent: FooBot\nCrawl-delay: -1\n", 0, false},
		{"User-agent: FooBot\nCrawl-delay: NaN\n", 0, false},
		{"User-agent: FooBot\nCrawl-delay: 1e300\n", 0, false},
	} {
		if d, ok := ParseRobots([]byte(c.file)).CrawlDelay("foobot"); d != c.want || ok != c.ok {
			t.Errorf("%q: %v %v, want %v %v", c.file, d, ok, c.want, c.ok)
		}
	}
}

func TestCrawlDelayDoesNotEndAGroup(t *testing.T) {
	r := ParseRobots([]byte("User-agent: a\nCrawl-delay: 5\nUser-agent: b\nDisallow: /\n"))
	if r.Allowed("a", "/") || r.Allowed("b", "/") {
		t.Error("crawl-delay, not a record of RFC 9309, split the group")
	}
}

func TestRobotsReadsTheFirst500KiB(t *testing.T) {
	pad := strings.Repeat("# "+strings.Repeat("x", 97)+"\n", RobotsLimit/100-1)
	file := "User-agent: *\nDisallow: /early\n" + pad + "Disallow: /a" + strings.Repeat("b", 1000) + "\nDisallow: /late\n"
	r := ParseRobots([]byte(file))
	if r.Allowed("x", "/early") || !r.Allowed("x", "/late") || !r.Allowed("x", "/ab") {
		t.Error("limit or cut line misread")
	}
}

func TestPathOf(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "http://www.example.com": "/", "http://www.example.com/a/b?c=http://d.e/": "/a/b?c=http://d.e/",
		"http://www.example.com/a/b?c=d&e=f#fragment": "/a/b?c=d&e=f", "example.com": "/", "example.com/a": "/a",
		"a": "/", "a/": "/", "/a": "/a", "a/b": "/b", "example.com?a": "/?a", "example.com/a;b#c": "/a;b", "//a/b/c": "/b/c",
		"/a?b=http://c/d": "/a?b=http://c/d",
	} {
		if got := pathOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNormalizeEscapes(t *testing.T) {
	for in, want := range map[string]string{"/a/b/c": "/a/b/c", "á": "%C3%A1", "%aa": "%AA", "%2f%2F": "%2F%2F", "%7eb%": "~b%", "%4": "%4", "\xff": "%FF"} {
		if got := normalizeEscapes(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzRobots(f *testing.F) {
	for _, c := range robotsCases {
		if len(c.file) < 1000 && len(c.allow) > 0 {
			f.Add(c.file, c.allow[0])
		}
	}
	f.Fuzz(func(t *testing.T, file, url string) {
		r := ParseRobots([]byte(file))
		// A file followed by a full disallow for all binds an agent it never names.
		strict := ParseRobots([]byte(file + "\nUser-agent: borea-fuzz\nDisallow: /\n"))
		if len(file) < RobotsLimit/2 && !strings.Contains(strings.ToLower(file), "borea-fuzz") && strict.Allowed("borea-fuzz", url) {
			t.Fatalf("own group ignored after %q", file)
		}
		r.Allowed("foobot", url)
		r.CrawlDelay("foobot")
	})
}

func BenchmarkRobotsAllowed(b *testing.B) {
	var file strings.Builder
	file.WriteString("User-agent: *\n")
	for i := range 2000 {
		fmt.Fprintf(&file, "Disallow: /*/a%d/*/b$\n", i)
	}
	r := ParseRobots([]byte(file.String()))
	for b.Loop() {
		r.Allowed("foobot", "/x/"+"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/y/b")
	}
}
