package localsite

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/crawl"
	"github.com/borea-go/borea/dataset"
)

func crawlSite(t *testing.T) ([]dataset.Sample, crawl.Report) {
	t.Helper()
	site, err := Start(0.001)
	require.NoError(t, err)
	defer site.Close()
	c, err := crawl.New(Options(), Seeds(), crawl.Env{Hosts: site.Hosts()})
	require.NoError(t, err)
	var out []dataset.Sample
	for s, err := range c.Samples(context.Background()) {
		require.NoError(t, err)
		out = append(out, s)
	}
	return out, c.Report()
}

func TestPagesAreProse(t *testing.T) {
	pages, err := loadPages()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(pages), 176)
	slugs := map[string]bool{}
	for _, p := range pages {
		text := strings.Join(p.paragraphs, "\n")
		n := utf8.RuneCountInString(text)
		require.Truef(t, n >= 300 && n <= 1200 || p.flag == "private" || p.flag == "noindex", "%s has %d characters", p.path(), n)
		require.Falsef(t, slugs[p.path()], "%s twice", p.path())
		require.Contains(t, []string{"", "sjis", "euc", "private", "noindex"}, p.flag)
		slugs[p.path()] = true
	}
}

// TestCrawlFindsExactlyThePages compares with the pages' own text: nothing of
// the menus, scripts and footers comes along, and no page is missing.
func TestCrawlFindsExactlyThePages(t *testing.T) {
	samples, report := crawlSite(t)
	pages, err := loadPages()
	require.NoError(t, err)
	want := map[string]string{}
	for _, p := range pages {
		if p.flag != "private" && p.flag != "noindex" {
			want["http://"+Host+p.path()] = p.title + "\n" + strings.Join(p.paragraphs, "\n")
		}
	}
	got := map[string]string{}
	for _, s := range samples {
		got[s.URL] = s.Text
		require.Equal(t, "crawl", s.Source)
		require.Equal(t, "CC0-1.0", s.Licence)
		require.Equal(t, "ja", s.Language)
		require.Truef(t, strings.HasPrefix(s.URL, "http://"+Host+"/"+s.Domain+"/"), "%s in domain %s", s.URL, s.Domain)
		require.Equal(t, s.ContentID(), s.ID)
	}
	for _, u := range slices.Sorted(maps.Keys(want)) {
		require.Equal(t, want[u], got[u], u)
	}
	require.Len(t, got, len(want))
	total := report.Total
	require.Equal(t, len(want), total.Kept)
	sum := total.Kept
	for _, n := range total.Drops {
		sum += n
	}
	require.Equal(t, total.Visited, sum)
	require.Equal(t, map[crawl.Reason]int{
		crawl.Denied: 2, crawl.NoIndex: 1, crawl.Canonical: 4, crawl.TooShort: 4, crawl.Duplicate: 5, crawl.Sitemap: 4,
	}, total.Drops)
	t.Logf("%d pages, %d characters", len(samples), utf8.RuneCountInString(strings.Join(slices.Collect(maps.Values(got)), "")))
}

func TestTwoCrawlsGiveTheSameBytes(t *testing.T) {
	a, _ := crawlSite(t)
	b, _ := crawlSite(t)
	x, err := json.Marshal(a)
	require.NoError(t, err)
	y, err := json.Marshal(b)
	require.NoError(t, err)
	require.Equal(t, string(x), string(y))
}
