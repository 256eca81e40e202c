package crawl

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"
)

// Page is what was found in an HTML document.
type Page struct {
	Title     string
	Text      string   // main text, one block a line
	Links     []string // normalised, in document order, without repeats and rel=nofollow
	Canonical string   // rel=canonical, normalised; empty where absent or unusable
	Licence   string   // SPDX identifier of a Creative Commons licence, else the rel=license URL
	Language  string   // primary subtag of html's lang, in lower case
	NoIndex   bool     // a robots meta element forbids to keep the text
	NoFollow  bool     // a robots meta element forbids to follow the links
}

// furniture is what a page has besides its text.
const furniture = "script, style, noscript, template, nav, header, footer, aside, form, iframe, object, svg, canvas, button, select, dialog, rt, rp, " +
	"[hidden], [aria-hidden=true], [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary]"

// Extract reads an HTML document that is already UTF-8. base is the address it
// came from, agent the crawler's product token, which a robots meta element may
// name. The main text is that of main or article where they hold most of it,
// else of the whole body; blocks that are mostly links are left out.
func Extract(document string, base *url.URL, agent string) (*Page, error) {
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("crawl: %s: %w", base, err)
	}
	doc := goquery.NewDocumentFromNode(root)
	p := &Page{Title: squeeze(doc.Find("title").First().Text()), Language: language(doc)}
	p.NoIndex, p.NoFollow = robotsMeta(doc, agent)
	if href, ok := doc.Find("base[href]").First().Attr("href"); ok {
		if u, err := NormalizeURL(base, href); err == nil {
			base = u
		}
	}
	p.Canonical = normalizedOrNone(base, attribute(doc, "link[rel~=canonical]", "href"))
	p.Licence = licence(base, attribute(doc, "a[rel~=license], link[rel~=license]", "href"))
	p.Links = links(doc, base)
	p.Text = mainText(doc)
	return p, nil
}

func attribute(doc *goquery.Document, selector, name string) string {
	return strings.TrimSpace(doc.Find(selector).First().AttrOr(name, ""))
}

func normalizedOrNone(base *url.URL, ref string) string {
	if ref == "" {
		return ""
	}
	u, err := NormalizeURL(base, ref)
	if err != nil {
		return ""
	}
	return u.String()
}

func language(doc *goquery.Document) string {
	lang, _, _ := strings.Cut(doc.Find("html").AttrOr("lang", ""), "-")
	return strings.ToLower(strings.TrimSpace(lang))
}

// robotsMeta reads meta elements named "robots" or like the agent.
func robotsMeta(doc *goquery.Document, agent string) (noIndex, noFollow bool) {
	doc.Find("meta[name][content]").Each(func(_ int, s *goquery.Selection) {
		name := strings.TrimSpace(s.AttrOr("name", ""))
		if strings.EqualFold(name, "robots") || strings.EqualFold(name, agent) {
			i, f := robotsDirectives(s.AttrOr("content", ""))
			noIndex, noFollow = noIndex || i, noFollow || f
		}
	})
	return noIndex, noFollow
}

func robotsDirectives(content string) (noIndex, noFollow bool) {
	for _, d := range strings.Split(strings.ToLower(content), ",") {
		switch strings.TrimSpace(d) {
		case "noindex":
			noIndex = true
		case "nofollow":
			noFollow = true
		case "none":
			return true, true
		}
	}
	return noIndex, noFollow
}

// robotsHeader reads X-Robots-Tag values: "noindex" binds all, "agent: noindex"
// that agent only.
func robotsHeader(values []string, agent string) (noIndex, noFollow bool) {
	for _, v := range values {
		if name, rest, ok := strings.Cut(v, ":"); ok && !strings.ContainsAny(name, ", ") {
			if !strings.EqualFold(strings.TrimSpace(name), agent) {
				continue
			}
			v = rest
		}
		i, f := robotsDirectives(v)
		noIndex, noFollow = noIndex || i, noFollow || f
	}
	return noIndex, noFollow
}

// licence shortens the address of a Creative Commons deed to its SPDX identifier.
func licence(base *url.URL, href string) string {
	full := normalizedOrNone(base, href)
	u, err := url.Parse(full)
	if full == "" || err != nil || !strings.HasSuffix("."+u.Hostname(), ".creativecommons.org") {
		return full
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "licenses":
		return "CC-" + strings.ToUpper(parts[1]) + "-" + parts[2]
	case len(parts) >= 3 && parts[0] == "publicdomain" && parts[1] == "zero":
		return "CC0-" + parts[2]
	}
	return full
}

func links(doc *goquery.Document, base *url.URL) (out []string) {
	seen := map[string]bool{}
	doc.Find("a[href], area[href]").Each(func(_ int, s *goquery.Selection) {
		if slices.Contains(strings.Fields(strings.ToLower(s.AttrOr("rel", ""))), "nofollow") {
			return
		}
		if u := normalizedOrNone(base, s.AttrOr("href", "")); u != "" && !seen[u] {
			seen[u] = true
			out = append(out, u)
		}
	})
	return out
}

// mainText removes the furniture in place, so it comes after links.
func mainText(doc *goquery.Document) string {
	doc.Find(furniture).Remove()
	dropLinkBlocks(doc)
	whole := blockText(doc.Find("body").Nodes)
	for _, selector := range []string{"main, [role=main]", "article", "#main, #content, #contents, .main, .content"} {
		if part := blockText(topmost(doc.Find(selector))); 2*len(part) > len(whole) {
			return part
		}
	}
	return whole
}

// topmost drops nodes that lie inside another of the selection.
func topmost(s *goquery.Selection) (out []*html.Node) {
	for _, n := range s.Nodes {
		if !slices.ContainsFunc(out, func(o *html.Node) bool { return within(n, o) }) {
			out = append(out, n)
		}
	}
	return out
}

func within(n, ancestor *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n == ancestor {
			return true
		}
	}
	return false
}

// dropLinkBlocks removes lists, tables and short blocks of which more than half
// is link text: menus, breadcrumbs, "related pages".
func dropLinkBlocks(doc *goquery.Document) {
	doc.Find("ul, ol, dl, table, p, div, section").Each(func(_ int, s *goquery.Selection) {
		linked := 0
		s.Find("a[href]").Each(func(_ int, a *goquery.Selection) { linked += len(squeeze(a.Text())) })
		if linked > 0 && 2*linked > len(squeeze(s.Text())) {
			s.Remove()
		}
	})
}
