package crawl

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func extract(t *testing.T, doc string) *Page {
	t.Helper()
	base, err := url.Parse("http://example.com/dir/page")
	require.NoError(t, err)
	p, err := Extract(doc, base, "borea-crawl")
	require.NoError(t, err)
	return p
}

func TestMainText(t *testing.T) {
	long := strings.Repeat("本文である。", 30)
	for _, c := range []struct{ name, body, want string }{
		{"furniture goes", `<header>頭</header><nav>道</nav><p>` + long + `</p><script>var x="脚本"</script><style>p{}</style><noscript>無</noscript><aside>脇</aside><footer>足</footer>`, long},
		{"roles go", `<div role="navigation">道</div><div role=banner>頭</div><p>` + long + `</p><p hidden>隠</p><span aria-hidden="true">飾</span>`, long},
		{"main wins", `<div>案内<p>外の文</p></div><main><h1>題</h1><p>` + long + `</p></main>`, "題\n" + long},
		{"a small article does not", `<article><p>短い</p></article><div><p>` + long + `</p></div>`, "短い\n" + long},
		{"menus go", `<ul><li><a href="/a">甲</a></li><li><a href="/b">乙</a></li></ul><p>` + long + `</p><p><a href=/c>次の頁へ</a></p>`, long},
		{"links in prose stay", `<p>` + long + `<a href="/a">出典</a></p>`, long + "出典"},
		{"line breaks of the source vanish", "<p>日本語の\n    文は続く。\nThe end\nof it.</p>", "日本語の文は続く。 The end of it."},
		{"br and blocks break", `<p>一行目<br>二行目</p><div>三<p>四</p>五</div>`, "一行目\n二行目\n三\n四\n五"},
		{"ruby", `<p><ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>を読む</p>`, "漢字を読む"},
		{"table", `<table><tr><th>年</th><td>2003</td></tr><tr><th>地</th><td>東京</td></tr></table>`, "年 2003\n地 東京"},
		{"pre", "<pre>a\n  b\n\nc</pre>", "a\nb\nc"},
		{"entities and controls", `<p>A&amp;B&nbsp;C&#x0b;D&#8203;E` + "\ufeff" + `</p>`, "A&B C D E"},
		{"forms", `<form><input value=x><button>送信</button><p>欄</p></form><p>` + long + `</p>`, long},
		{"full-width indent", `<p>　字下げの段落。</p>`, "字下げの段落。"},
		{"nothing", ``, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, extract(t, "<!DOCTYPE html><html><head><title>題</title></head><body>"+c.body+"</body></html>").Text)
		})
	}
}

func TestPageMetadata(t *testing.T) {
	p := extract(t, `<html lang="ja-JP"><head><title> 題
	 名 </title><base href="http://example.com/base/"><link rel="canonical" href="../page?a=1"></head><body>
	<a href="one">1</a><a href="one#part">1</a><a rel="nofollow external" href="two">2</a><a href="http://elsewhere.test/">3</a><a href="javascript:x()">4</a><area href="/map">
	<footer><a rel="license" href="//creativecommons.org/licenses/by-sa/4.0/deed.ja">CC</a></footer></body></html>`)
	require.Equal(t, "題名", p.Title)
	require.Equal(t, "ja", p.Language)
	require.Equal(t, "http://example.com/page?a=1", p.Canonical)
	require.Equal(t, []string{"http://example.com/base/one", "http://elsewhere.test/", "http://example.com/map", "http://creativecommons.org/licenses/by-sa/4.0/deed.ja"}, p.Links)
	require.Equal(t, "CC-BY-SA-4.0", p.Licence)
	require.False(t, p.NoIndex || p.NoFollow)
}

func TestLicence(t *testing.T) {
	base, _ := url.Parse("http://example.com/")
	for in, want := range map[string]string{
		"": "", "/terms": "http://example.com/terms", "https://creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0", "https://creativecommons.org/licenses/by/4.0/": "CC-BY-4.0",
		"https://www.creativecommons.org/licenses/by/2.1/jp/": "CC-BY-2.1", "https://notcreativecommons.org/licenses/by/4.0/": "https://notcreativecommons.org/licenses/by/4.0/", "https://creativecommons.org/": "https://creativecommons.org/",
	} {
		require.Equal(t, want, licence(base, in), in)
	}
}

func TestRobotsDirectives(t *testing.T) {
	for in, want := range map[string][2]bool{
		`<meta name="robots" content="noindex">`: {true, false}, `<meta name="ROBOTS" content="NOFOLLOW, noarchive">`: {false, true},
		`<meta name="robots" content="none">`: {true, true}, `<meta name="Borea-Crawl" content="noindex,nofollow">`: {true, true},
		`<meta name="otherbot" content="noindex">`: {false, false}, `<meta name="robots" content="index, follow">`: {false, false}, `<meta name="description" content="noindex">`: {false, false},
	} {
		p := extract(t, "<html><head>"+in+"</head><body></body></html>")
		require.Equal(t, want, [2]bool{p.NoIndex, p.NoFollow}, in)
	}
	for _, c := range []struct {
		values []string
		want   [2]bool
	}{
		{[]string{"noindex"}, [2]bool{true, false}}, {[]string{"otherbot: noindex"}, [2]bool{}}, {[]string{"borea-crawl: none"}, [2]bool{true, true}},
		{[]string{"noarchive", "nofollow, noindex"}, [2]bool{true, true}}, {[]string{"noarchive, unavailable_after: 25 Jun 2030"}, [2]bool{}}, {nil, [2]bool{}},
	} {
		i, f := robotsHeader(c.values, "borea-crawl")
		require.Equal(t, c.want, [2]bool{i, f}, c.values)
	}
}

func TestNoIndexHeaderAndNofollow(t *testing.T) {
	s := newStage(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("X-Robots-Tag", "noindex")
			fmt.Fprint(w, htmlPage(prose+`<a href="/a">a</a>`))
		case "/a":
			w.Header().Set("X-Robots-Tag", "nofollow")
			fmt.Fprint(w, htmlPage("甲"+prose+`<a href="/b">b</a>`))
		default:
			t.Error("followed a link of a nofollow page")
		}
	}))
	samples, r := s.crawl()
	require.Len(t, samples, 1)
	require.Equal(t, 1, r.Total.Drops[NoIndex])
}

func TestPlainText(t *testing.T) {
	s := newStage(t, noRobots(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, "  見出し <b>\r\n\r\n"+prose+"\n")
	}))
	samples, _ := s.crawl()
	require.Len(t, samples, 1)
	require.Equal(t, "見出し <b>\n"+prose, samples[0].Text)
	require.Equal(t, "ja", samples[0].Language)
}

func TestCanonical(t *testing.T) {
	canonical := map[string]string{"/": "/", "/copy": "/original", "/scheme": "https://host.test/scheme", "/front": "/", "/abroad": "http://other.test/x", "/original": ""}
	s := newStage(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			fmt.Fprint(w, htmlPage(`<a href=/copy>x</a> <a href=/scheme>x</a> <a href=/front>x</a> <a href=/abroad>x</a>`))
			return
		}
		fmt.Fprintf(w, `<html><head><meta charset=utf-8><link rel=canonical href="%s"></head><body><p>%s %s</p></body></html>`, canonical[r.URL.Path], r.URL.Path, prose)
	}))
	samples, r := s.crawl()
	var got []string
	for _, x := range samples {
		got = append(got, x.URL)
	}
	require.Equal(t, []string{"http://host.test/scheme", "http://host.test/front", "http://host.test/original"}, got)
	require.Equal(t, 2, r.Total.Drops[Canonical])
}

func FuzzExtract(f *testing.F) {
	f.Add(htmlPage(prose))
	f.Add("<table><tr><td>a<table><td>b</table><p>c<ul><li><a href=x>y")
	f.Add("<base href='::'><a href='http://[::1%25eth0]/'>x</a><svg><p>y<math><mi>z")
	base := &url.URL{Scheme: "http", Host: "example.com", Path: "/"}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Extract(s, base, "borea-crawl")
		if err != nil {
			return
		}
		for _, l := range p.Links {
			if _, err := NormalizeURL(nil, l); err != nil {
				t.Fatalf("link %q: %v", l, err)
			}
		}
	})
}
