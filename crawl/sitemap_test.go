package crawl

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSitemap(t *testing.T) {
	for _, c := range []struct {
		name, in    string
		pages, maps []string
		fails       bool
	}{
		{"urlset", `<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc> http://a/1?x=1&amp;y=2
			</loc><lastmod>2026-01-01</lastmod></url><url><loc><![CDATA[http://a/2]]></loc></url></urlset>`, []string{"http://a/1?x=1&y=2", "http://a/2"}, nil, false},
		{"index", `<sitemapindex><sitemap><loc>http://a/s1.xml</loc></sitemap><sitemap><loc>http://a/s2.xml</loc></sitemap></sitemapindex>`, nil, []string{"http://a/s1.xml", "http://a/s2.xml"}, false},
		{"pictures are no pages", `<urlset><url><loc>http://a/1</loc><image:image xmlns:image="x"><image:loc>http://a/p.png</image:loc></image:image></url></urlset>`, []string{"http://a/1"}, nil, false},
		{"mark", "\xef\xbb\xbf<urlset><url><loc>http://a/1</loc></url></urlset>", []string{"http://a/1"}, nil, false},
		{"text", "http://a/1\r\nhttp://a/2\n# x\n", []string{"http://a/1", "http://a/2"}, nil, false},
		{"breaks off", `<urlset><url><loc>http://a/1</loc></url><url><loc>http://a/`, []string{"http://a/1"}, nil, true},
		{"entity bomb", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>http://a/&b;</loc></url></urlset>`, nil, nil, true},
		{"external entity", `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>&a;</loc></url></urlset>`, nil, nil, true},
		{"empty", "", nil, nil, false},
		{"html", "<html><body>404</body></html>", nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pages, maps, err := ParseSitemap([]byte(c.in))
			require.Equal(t, c.fails, err != nil, "%v", err)
			require.Equal(t, c.pages, pages)
			require.Equal(t, c.maps, maps)
		})
	}
}

func TestSitemapLimit(t *testing.T) {
	big := "<urlset>" + strings.Repeat("<url><loc>http://a/x</loc></url>", maxSitemapURLs+100) + "</urlset>"
	pages, _, err := ParseSitemap([]byte(big))
	require.NoError(t, err)
	require.Len(t, pages, maxSitemapURLs)
}

func TestSitemapsOfASite(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(`<urlset><url><loc>http://host.test/a</loc></url><url><loc>http://other.test/b</loc></url><url><loc>/denied/c</loc></url></urlset>`))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/robots.txt":
			fmt.Fprint(w, "User-agent: *\nDisallow: /denied/\nSitemap: http://host.test/index.xml\nSitemap: http://other.test/foreign.xml\nSitemap: http://host.test/missing.xml\n")
		case "/index.xml":
			fmt.Fprint(w, `<sitemapindex><sitemap><loc>http://host.test/index.xml</loc></sitemap><sitemap><loc>http://host.test/s.xml.gz</loc></sitemap></sitemapindex>`)
		case "/s.xml.gz":
			_, _ = w.Write(zipped.Bytes())
		case "/", "/a":
			fmt.Fprint(w, htmlPage(r.URL.Path+prose))
		default:
			http.NotFound(w, r)
		}
	})
	s.opts.MaxSitemaps = 8
	samples, r := s.crawl()
	require.Len(t, samples, 2)
	require.Equal(t, []string{"/robots.txt", "/", "/index.xml", "/missing.xml", "/s.xml.gz", "/a"}, s.paths())
	require.Equal(t, map[Reason]int{Sitemap: 3, Denied: 1}, r.Total.Drops)
}

func FuzzParseSitemap(f *testing.F) {
	f.Add([]byte(`<urlset><url><loc>http://a/1</loc></url></urlset>`))
	f.Add([]byte("<?xml version=\"1.0\" encoding=\"euc-jp\"?><a><loc>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pages, maps, _ := ParseSitemap(b); len(pages)+len(maps) > maxSitemapURLs {
			t.Fatal("limit passed")
		}
	})
}
