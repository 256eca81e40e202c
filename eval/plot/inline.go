package plot

import (
	"errors"
	"fmt"
	"html/template"
	"strings"
)

// inline turns a figure into an element of a page. Lack of data is told the reader in
// its place; anything else is an error.
func inline(name, caption string, draw func() (*Figure, error)) (picture, error) {
	p := picture{Name: name, Caption: caption}
	f, err := draw()
	if errors.Is(err, ErrData) {
		p.Missing = err.Error()
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	var b strings.Builder
	if err := f.WriteSVG(&b); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	p.SVG, err = element(b.String(), name)
	return p, err
}

// element is an SVG document without its declaration, scaled by the page and with a
// name for readers that do not see.
func element(svg, name string) (template.HTML, error) {
	i := strings.Index(svg, "<svg")
	if i < 0 {
		return "", fmt.Errorf("%w: %s is no SVG", ErrData, name)
	}
	svg = svg[i:]
	open, rest, _ := strings.Cut(svg, ">")
	var attributes []string
	for _, a := range strings.Fields(strings.TrimPrefix(open, "<svg")) {
		if !strings.HasPrefix(a, "width=") && !strings.HasPrefix(a, "height=") {
			attributes = append(attributes, a)
		}
	}
	return template.HTML(`<svg role="img" aria-label="` + template.HTMLEscapeString(name) + `" ` + strings.Join(attributes, " ") + ">" + rest), nil
}
