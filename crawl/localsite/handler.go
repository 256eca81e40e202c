package localsite

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
)

var layout = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="ja"><head>{{if .Charset}}<meta charset="{{.Charset}}">{{end}}
<title>{{.Title}} - 資料のひろば</title>{{if .NoIndex}}
<meta name="robots" content="noindex">{{end}}{{if .Canonical}}
<link rel="canonical" href="{{.Canonical}}">{{end}}
<script>var menu = ["この文字列は本文ではない"];</script>
</head><body>
<header><p>資料のひろば</p></header>
<nav><ul>{{range .Menu}}<li><a href="{{.Path}}">{{.Title}}</a></li>{{end}}</ul></nav>
<main><h1>{{.Title}}</h1>
{{range .Paragraphs}}<p>{{.}}</p>
{{end}}{{if .Links}}<ul>{{range .Links}}<li><a href="{{.Path}}">{{.Title}}</a></li>{{end}}</ul>{{end}}
</main>
<aside><p>関連するページは<a href="/sitemap.xml">一覧</a>にもあります。</p></aside>
<footer><p><a rel="license" href="https://creativecommons.org/publicdomain/zero/1.0/">著作権の放棄</a></p></footer>
</body></html>
`))

type link struct{ Path, Title string }

type view struct {
	Title, Charset, Canonical string
	NoIndex                   bool
	Menu, Links               []link
	Paragraphs                []string
}

// site is the pages and where they are found.
type site struct {
	pages []page
	menu  []link
	mux   *http.ServeMux
}

// Handler returns the site. Its robots.txt asks for a Crawl-delay of delay
// seconds and denies the private parts.
func Handler(delay float64) (http.Handler, error) {
	pages, err := loadPages()
	if err != nil {
		return nil, err
	}
	s := &site{pages: pages, mux: http.NewServeMux()}
	for _, d := range domains {
		s.menu = append(s.menu, link{"/" + d.name + "/", d.title})
		s.mux.HandleFunc("GET /"+d.name+"/{$}", s.index(d.name, d.title))
		s.mux.Handle("GET /"+d.name+"/latest", http.RedirectHandler(s.of(d.name)[0].path(), http.StatusFound))
	}
	for _, p := range pages {
		s.mux.HandleFunc("GET "+p.path(), s.article(p))
	}
	first := pages[0]
	s.mux.HandleFunc("GET /"+first.domain+"/print/"+first.slug, s.article(first))
	s.mux.HandleFunc("GET /{$}", s.index("", "資料のひろば"))
	s.mux.HandleFunc("GET /robots.txt", s.robots(delay))
	s.mux.HandleFunc("GET /sitemap.xml", s.sitemap)
	return s.mux, nil
}

func (s *site) of(domain string) (out []page) {
	for _, p := range s.pages {
		if p.domain == domain {
			out = append(out, p)
		}
	}
	return out
}

// orphan reports whether only the sitemap knows the page: the last but one of
// each domain.
func (s *site) orphan(p page) bool {
	all := s.of(p.domain)
	return p.slug == all[len(all)-2].slug
}

func (s *site) robots(delay float64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "# 収集するときのお願い\nUser-agent: *\nDisallow: /*/private/\nCrawl-delay: %g\n\nSitemap: http://%s/sitemap.xml\n", delay, r.Host)
	}
}

func (s *site) sitemap(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`+"\n")
	for _, p := range s.pages {
		if s.orphan(p) {
			fmt.Fprintf(w, "<url><loc>http://%s%s</loc></url>\n", r.Host, p.path())
		}
	}
	fmt.Fprint(w, "</urlset>\n")
}

// index lists the pages of a domain, or the domains.
func (s *site) index(domain, title string) http.HandlerFunc {
	v := view{Title: title, Charset: "utf-8", Menu: s.menu, Paragraphs: []string{"資料の一覧です。"}, Links: s.menu}
	if domain != "" {
		v.Links = []link{{"/" + domain + "/latest", "最新の資料"}}
		for i, p := range s.of(domain) {
			// The others are reached by "next", from the eighth before.
			if !s.orphan(p) && (i < 8 || i%8 == 0) || p.flag != "" {
				v.Links = append(v.Links, link{p.path(), p.title})
			}
		}
		v.Links = append(v.Links, link{"/" + domain + "/?from=index", "この一覧"}, link{"/defence/print/overview", "印刷用"})
	}
	return func(w http.ResponseWriter, r *http.Request) {
		v := v
		if r.URL.RawQuery != "" {
			v.Canonical = r.URL.Path
		}
		s.write(w, v, "")
	}
}

// article shows a page with a link to the next one of its domain.
func (s *site) article(p page) http.HandlerFunc {
	v := view{Title: p.title, Charset: "utf-8", Menu: s.menu, NoIndex: p.flag == "noindex", Paragraphs: p.paragraphs}
	all := s.of(p.domain)
	for i, q := range all {
		if q.slug == p.slug && i+1 < len(all) && !s.orphan(all[i+1]) {
			v.Links = []link{{all[i+1].path(), "次へ: " + all[i+1].title}}
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		v := v
		if r.URL.RawQuery != "" {
			v.Canonical = r.URL.Path
		}
		s.write(w, v, p.flag)
	}
}

func (s *site) write(w http.ResponseWriter, v view, flag string) {
	var enc encoding.Encoding
	contentType := "text/html; charset=utf-8"
	switch flag {
	case "sjis":
		enc, v.Charset, contentType = japanese.ShiftJIS, "Shift_JIS", "text/html"
	case "euc":
		enc, v.Charset, contentType = japanese.EUCJP, "", "text/html"
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out := b.Bytes()
	if enc != nil {
		// EUC-JP and Shift_JIS tables know the full-width minus only as U+FF0D.
		text, err := enc.NewEncoder().String(strings.ReplaceAll(b.String(), "−", "－"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		out = []byte(text)
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(out) // the client is gone: nobody to tell
}
