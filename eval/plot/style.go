package plot

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
)

// Style says how large a picture is and which font it uses.
type Style struct {
	// Width and Height in centimetres, 4 to 200; default 14 by 12.
	Width, Height float64
	// DPI of PNG files, 30 to 1200; default 150.
	DPI int
	// Font for all text; nil is Liberation Sans.
	Font *Font
}

// DefaultStyle is 14 cm by 12 cm at 150 dots an inch.
func DefaultStyle() Style { return Style{Width: 14, Height: 12, DPI: 150} }

// Validate reports a field outside its range.
func (s Style) Validate() error {
	ok := func(v float64) bool { return v >= 4 && v <= 200 }
	if !ok(s.Width) || !ok(s.Height) || s.DPI < 30 || s.DPI > 1200 {
		return fmt.Errorf("plot: style of %g by %g cm at %d dpi; want 4 to 200 cm and 30 to 1200 dpi", s.Width, s.Height, s.DPI)
	}
	return nil
}

// Okabe and Ito's colours, told apart by colour-blind readers too
// (https://jfly.uni-koeln.de/color/).
var palette = []color.Color{
	color.NRGBA{0, 114, 178, 255}, color.NRGBA{213, 94, 0, 255}, color.NRGBA{0, 158, 115, 255},
	color.NRGBA{204, 121, 167, 255}, color.NRGBA{230, 159, 0, 255}, color.NRGBA{86, 180, 233, 255},
}

var (
	danger = color.NRGBA{200, 30, 30, 255}
	grey   = color.NRGBA{120, 120, 120, 255}
	faint  = color.NRGBA{225, 225, 225, 255}
)

const (
	titleSize = 13
	labelSize = 11
	tickSize  = 10
)

// new returns an empty plot whose every text uses the style's font.
func (s Style) new(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding, p.X.Label.Padding, p.Y.Label.Padding = 8, 4, 6
	for sty, size := range map[*text.Style]font.Length{
		&p.Title.TextStyle: titleSize, &p.Legend.TextStyle: tickSize,
		&p.X.Label.TextStyle: labelSize, &p.Y.Label.TextStyle: labelSize,
		&p.X.Tick.Label: tickSize, &p.Y.Tick.Label: tickSize,
	} {
		s.text(sty, size)
	}
	p.TextHandler = s.handler()
	return p
}

func (s Style) text(sty *text.Style, size font.Length) {
	sty.Font = font.From(s.font().key, size)
	sty.Handler = s.handler()
}

func (s Style) font() *Font {
	if s.Font != nil {
		return s.Font
	}
	return liberationSans()
}

func (s Style) handler() text.Handler { return text.Plain{Fonts: s.font().cache} }
