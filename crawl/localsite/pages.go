package localsite

import (
	"embed"
	"fmt"
	"strings"
)

// One file a domain: "@ slug | title | flag" starts a page, each further line is
// a paragraph.
//
//go:embed pages/*.txt
var pageFiles embed.FS

// domains in the order of the menu, with the heading of each.
var domains = []struct{ name, title string }{
	{"defence", "防衛政策"}, {"aerospace", "航空宇宙"}, {"transport", "交通"}, {"general", "くらしと仕事"},
}

// page is one article. flag is "", "sjis" (meta element only), "euc" (no
// declaration at all), "private" (denied by robots.txt) or "noindex".
type page struct {
	domain, slug, title, flag string
	paragraphs                []string
}

func (p page) path() string {
	if p.flag == "private" {
		return "/" + p.domain + "/private/" + p.slug
	}
	return "/" + p.domain + "/" + p.slug
}

func loadPages() (out []page, err error) {
	for _, d := range domains {
		text, err := pageFiles.ReadFile("pages/" + d.name + ".txt")
		if err != nil {
			return nil, err
		}
		pages, err := parsePages(d.name, string(text))
		if err != nil {
			return nil, err
		}
		out = append(out, pages...)
	}
	return out, nil
}

func parsePages(domain, text string) (out []page, err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		head, isHead := strings.CutPrefix(line, "@ ")
		switch {
		case isHead:
			f := strings.Split(head+" | ", " | ")
			if len(f) < 3 || f[0] == "" || f[1] == "" {
				return nil, fmt.Errorf("localsite: %s.txt: bad heading %q", domain, line)
			}
			out = append(out, page{domain: domain, slug: f[0], title: f[1], flag: f[2]})
		case len(out) == 0:
			return nil, fmt.Errorf("localsite: %s.txt: text before the first heading", domain)
		default:
			last := &out[len(out)-1]
			last.paragraphs = append(last.paragraphs, line)
		}
	}
	return out, nil
}
