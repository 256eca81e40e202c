package plot

import (
	"fmt"
	"image/color"
	"strconv"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ConfusionCounts draws a four-class confusion matrix with the number of samples in
// each cell; the colour is that of the cell's share of its row. The cells of unsafe
// requests that were allowed are outlined in red.
func ConfusionCounts(c eval.Confusion, title string, s Style) (*Figure, error) {
	return confusion(c, title, s, func(k, j int, share float64, n int) string { return strconv.Itoa(c[k][j]) })
}

// ConfusionShares draws the same matrix with each cell as percentage of its row; a
// class without samples reads n/a.
func ConfusionShares(c eval.Confusion, title string, s Style) (*Figure, error) {
	return confusion(c, title, s, func(k, j int, share float64, n int) string {
		if n == 0 {
			return "n/a"
		}
		return fmt.Sprintf("%.1f%%", 100*share)
	})
}

func confusion(c eval.Confusion, title string, s Style, show func(truth, pred int, share float64, n int) string) (*Figure, error) {
	if len(c) != label.Count {
		return nil, fmt.Errorf("%w: matrix of %d classes, want %d", ErrData, len(c), label.Count)
	}
	p := s.new(title, "Predicted", "True")
	var names, rows []string
	for k, class := range label.Classes() {
		names = append(names, class.String())
		rows = append(rows, fmt.Sprintf("%s\n(n = %d)", class, c.Support(k)))
	}
	m := &cells{label: p.X.Tick.Label, count: len(c)}
	for k, row := range c {
		n := c.Support(k)
		for j, v := range row {
			share := 0.0
			if n > 0 {
				share = float64(v) / float64(n)
			}
			class, _ := label.FromIndex(k)
			m.cells = append(m.cells, cell{show(k, j, share, n), share, class.Unsafe() && j == label.Allow.Index()})
		}
	}
	s.text(&m.label, labelSize)
	p.Add(m)
	p.NominalX(names...)
	reverse(rows)
	p.NominalY(rows...)
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = text.XCenter, text.YTop
	return finish(p, s, append(names, rows...)...)
}

func reverse(rows []string) {
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
}

type cell struct {
	text    string
	share   float64
	outline bool
}

// cells draws a square matrix, first row on top.
type cells struct {
	cells []cell
	count int
	label text.Style
}

// DataRange implements plot.DataRanger.
func (m *cells) DataRange() (xmin, xmax, ymin, ymax float64) {
	top := float64(m.count) - 0.5
	return -0.5, top, -0.5, top
}

// Plot implements plot.Plotter.
func (m *cells) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	box := func(i int, inset vg.Length) []vg.Point {
		col, row := float64(i%m.count), float64(m.count-1-i/m.count)
		l, r, b, t := x(col-.5)+inset, x(col+.5)-inset, y(row-.5)+inset, y(row+.5)-inset
		return []vg.Point{{X: l, Y: b}, {X: r, Y: b}, {X: r, Y: t}, {X: l, Y: t}}
	}
	for i, cell := range m.cells {
		c.FillPolygon(shade(cell.share), box(i, 0.5))
		sty := m.label
		sty.XAlign, sty.YAlign, sty.Color = text.XCenter, text.YCenter, ink(cell.share)
		q := box(i, 0)
		c.FillText(sty, vg.Point{X: (q[0].X + q[1].X) / 2, Y: (q[0].Y + q[2].Y) / 2}, cell.text)
		if cell.outline {
			q = box(i, 2)
			c.StrokeLines(draw.LineStyle{Color: danger, Width: 2.5}, append(q, q[0], q[1]))
		}
	}
}

// shade runs from nearly white to dark blue.
func shade(share float64) color.Color {
	mix := func(from, to float64) uint8 { return uint8(from + (to-from)*share + .5) }
	return color.NRGBA{mix(245, 8), mix(248, 64), mix(252, 130), 255}
}

func ink(share float64) color.Color {
	if share > 0.5 {
		return color.White
	}
	return color.Black
}
