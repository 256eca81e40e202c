package crawl

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html/charset"
)

// maxSitemapURLs is the sitemap protocol's own limit for one file.
const maxSitemapURLs = 50_000

// ParseSitemap reads a sitemap (sitemaps.org protocol 0.9): a urlset, an index,
// or plain text with one address a line. It returns the addresses of pages and
// of further sitemaps as they stand, at most 50,000 in all. A file that breaks
// off gives what came before together with the error. Entities other than XML's
// own five are an error, so nothing expands.
func ParseSitemap(b []byte) (pages, sitemaps []string, err error) {
	if !bytes.HasPrefix(bytes.TrimLeft(trimBOM(b), " \t\r\n"), []byte("<")) {
		return textSitemap(b), nil, nil
	}
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.CharsetReader = charset.NewReaderLabel
	var parent string
	for len(pages)+len(sitemaps) < maxSitemapURLs {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return pages, sitemaps, nil
		}
		if err != nil {
			return pages, sitemaps, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != "loc" {
			parent = start.Name.Local
			continue
		}
		var loc string
		if err := dec.DecodeElement(&loc, &start); err != nil {
			return pages, sitemaps, err
		}
		switch loc = strings.TrimSpace(loc); parent {
		case "url":
			pages = append(pages, loc)
		case "sitemap":
			sitemaps = append(sitemaps, loc)
		}
	}
	return pages, sitemaps, nil
}

func textSitemap(b []byte) (pages []string) {
	for line := range strings.Lines(string(trimBOM(b))) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "http") && len(pages) < maxSitemapURLs {
			pages = append(pages, line)
		}
	}
	return pages
}
