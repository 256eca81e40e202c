package plot

import (
	"fmt"
	"image/color"

	"github.com/borea-go/borea/eval"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Reliability draws the accuracy of each bin against its confidence, the diagonal of
// perfect calibration, the gap to it in red, and the number of samples above each bar.
func Reliability(bins []eval.Bin, title string, s Style) (*Figure, error) {
	samples := 0
	for _, b := range bins {
		if !(b.Low >= 0 && b.High <= 1 && b.Low <= b.High) {
			return nil, fmt.Errorf("%w: bin from %g to %g", ErrData, b.Low, b.High)
		}
		samples += b.N
	}
	if samples == 0 {
		return nil, fmt.Errorf("%w: no samples in the bins", ErrData)
	}
	p := s.new(title, "Confidence", fmt.Sprintf("Accuracy (numbers: samples of %d)", samples))
	bars := &bars{bins: bins, label: p.X.Tick.Label}
	s.text(&bars.label, tickSize-2)
	diagonal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
	if err != nil {
		return nil, err
	}
	diagonal.Color, diagonal.Dashes, diagonal.Width = grey, []vg.Length{4, 3}, 1
	p.Add(bars, diagonal)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1.06 // room for the counts
	p.X.Tick.Marker, p.Y.Tick.Marker = tenths, tenths
	return finish(p, s)
}

var tenths = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: .2, Label: "0.2"}, {Value: .4, Label: "0.4"},
	{Value: .6, Label: "0.6"}, {Value: .8, Label: "0.8"}, {Value: 1, Label: "1"}}

// bars draws bins of any width.
type bars struct {
	bins  []eval.Bin
	label text.Style
}

const thinnest = 1.5 // points: an equal-mass bin may have no width

// Plot implements plot.Plotter.
func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, bin := range b.bins {
		if bin.N == 0 {
			continue
		}
		l, r := x(bin.Low), x(bin.High)
		if r-l < thinnest {
			l, r = (l+r-thinnest)/2, (l+r+thinnest)/2
		}
		rect := func(from, to float64) []vg.Point {
			return []vg.Point{{X: l, Y: y(from)}, {X: r, Y: y(from)}, {X: r, Y: y(to)}, {X: l, Y: y(to)}}
		}
		c.FillPolygon(palette[5], rect(0, bin.Accuracy))
		c.FillPolygon(color.NRGBA{200, 30, 30, 70}, rect(bin.Accuracy, bin.Confidence))
		c.StrokeLine2(draw.LineStyle{Color: palette[0], Width: 2}, l, y(bin.Accuracy), r, y(bin.Accuracy))
		b.count(c, bin.N, (l+r)/2, y(max(bin.Accuracy, bin.Confidence))+3, r-l)
	}
}

// count writes a bin's samples, upright where the bar is too narrow.
func (b *bars) count(c draw.Canvas, n int, x, y, width vg.Length) {
	sty, s := b.label, fmt.Sprint(n)
	sty.XAlign, sty.YAlign = text.XCenter, text.YBottom
	if sty.Width(s) <= width+8 {
		c.FillText(sty, vg.Point{X: x, Y: y}, s)
	}
}
