package plot

import (
	"errors"
	"fmt"
	"io"

	"github.com/borea-go/borea/internal/atomicfile"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a finished picture.
type Figure struct {
	plot  *plot.Plot
	style Style
}

// ErrData says that there is nothing to draw, or that slices do not fit together.
var ErrData = errors.New("plot: bad data")

// finish checks the style and that the font has every character.
func finish(p *plot.Plot, s Style, texts ...string) (*Figure, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	texts = append(texts, p.Title.Text, p.X.Label.Text, p.Y.Label.Text, "0123456789.-+e%×")
	if missing := s.font().Missing(texts...); missing != nil {
		return nil, &GlyphError{s.font().Name(), missing}
	}
	return &Figure{p, s}, nil
}

func (f *Figure) size() (w, h vg.Length) {
	return vg.Length(f.style.Width) * vg.Centimeter, vg.Length(f.style.Height) * vg.Centimeter
}

// draw leaves a margin, so that no label touches the edge.
func (f *Figure) draw(c vg.CanvasSizer) {
	area := draw.New(c)
	f.plot.Draw(draw.Crop(area, 6, -10, 6, -6))
}

// WritePNG writes the picture as PNG.
func (f *Figure) WritePNG(w io.Writer) error {
	width, height := f.size()
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(f.style.DPI))
	f.draw(c)
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// WriteSVG writes the picture as SVG, its text as outlines: it looks the same whatever
// fonts the viewer has, and cannot be searched.
func (f *Figure) WriteSVG(w io.Writer) error {
	c := vgsvg.New(f.size())
	f.draw(outlined{c})
	_, err := c.WriteTo(w)
	return err
}

// Save writes base.png and base.svg.
func (f *Figure) Save(base string) error {
	if err := atomicfile.WriteFile(base+".png", 0o644, f.WritePNG); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	if err := atomicfile.WriteFile(base+".svg", 0o644, f.WriteSVG); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}
