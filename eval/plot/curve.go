package plot

import (
	"fmt"
	"math"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is a named line.
type Series struct {
	// Name appears in the legend; "" leaves it out.
	Name string
	// X and Y are the points; equally long, finite, X ascending.
	X, Y []float64
	// Points draws a mark at each point too.
	Points bool
}

func (s Series) xys() (plotter.XYs, error) {
	if len(s.X) != len(s.Y) || len(s.X) == 0 {
		return nil, fmt.Errorf("%w: series %q has %d x and %d y", ErrData, s.Name, len(s.X), len(s.Y))
	}
	out := make(plotter.XYs, len(s.X))
	for i := range out {
		if v := s.X[i] + s.Y[i]; math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: series %q, point %d is (%v, %v)", ErrData, s.Name, i, s.X[i], s.Y[i])
		}
		out[i] = plotter.XY{X: s.X[i], Y: s.Y[i]}
	}
	return out, nil
}

// Curves draws lines with a legend.
func Curves(title, x, y string, series []Series, s Style) (*Figure, error) {
	if len(series) == 0 {
		return nil, fmt.Errorf("%w: no series", ErrData)
	}
	p := s.new(title, x, y)
	p.Add(grid())
	p.Legend.Top, p.Legend.Padding = true, 3
	var names []string
	for i, one := range series {
		xys, err := one.xys()
		if err != nil {
			return nil, err
		}
		line, marks, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = palette[i%len(palette)], 1.5
		if i >= len(palette) {
			line.Dashes = []vg.Length{5, 2}
		}
		p.Add(line)
		if one.Points {
			marks.Color, marks.Shape, marks.Radius = line.Color, draw.CircleGlyph{}, 2.5
			p.Add(marks)
		}
		if one.Name != "" {
			p.Legend.Add(one.Name, line)
			names = append(names, one.Name)
		}
	}
	return finish(p, s, names...)
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = faint, faint
	return g
}

// Loss draws a training-loss curve with, if any, losses or scores at checks. A smoothed
// line, the exponential moving average over about a twentieth of the steps, is added
// to a noisy training loss of at least 40 steps.
func Loss(title string, train Series, checks []Series, s Style) (*Figure, error) {
	all := []Series{train}
	if len(train.Y) >= 40 {
		all = append(all, Series{Name: train.Name + ", smoothed", X: train.X, Y: smooth(train.Y, float64(len(train.Y))/20)})
	}
	return Curves(title, "Step", "Loss", append(all, checks...), s)
}

// smooth is an exponential moving average over about n values, corrected for its start.
func smooth(y []float64, n float64) []float64 {
	out, keep := make([]float64, len(y)), 1-1/n
	var sum, weight float64
	for i, v := range y {
		sum, weight = keep*sum+v, keep*weight+1
		out[i] = sum / weight
	}
	return out
}

// Ranked is one class's operating points.
type Ranked struct {
	Name    string
	Ranking eval.Ranking
}

// ROC draws recall against the false-positive rate for each class that has both
// positives and negatives.
func ROC(title string, classes []Ranked, s Style) (*Figure, error) {
	var series []Series
	for _, c := range classes {
		r := c.Ranking
		if r.Positives == 0 || r.Negatives == 0 {
			continue
		}
		line := Series{Name: fmt.Sprintf("%s (AUROC %v)", c.Name, short(r.AUROC())), X: []float64{0}, Y: []float64{0}}
		for _, p := range r.Points {
			line.X = append(line.X, float64(p.FP)/float64(r.Negatives))
			line.Y = append(line.Y, float64(p.TP)/float64(r.Positives))
		}
		series = append(series, line)
	}
	return lowLegend(Curves(title, "False-positive rate", "Recall", series, s))
}

// PrecisionRecall draws precision against recall for each class that has positives.
func PrecisionRecall(title string, classes []Ranked, s Style) (*Figure, error) {
	var series []Series
	for _, c := range classes {
		r := c.Ranking
		if r.Positives == 0 {
			continue
		}
		line := Series{Name: fmt.Sprintf("%s (AP %v)", c.Name, short(r.AveragePrecision()))}
		for _, p := range r.Points {
			line.X = append(line.X, float64(p.TP)/float64(r.Positives))
			line.Y = append(line.Y, float64(p.TP)/float64(p.TP+p.FP))
		}
		series = append(series, line)
	}
	return lowLegend(Curves(title, "Recall", "Precision", series, s))
}

func short(m eval.Measure) string {
	v, _ := m.Value()
	return fmt.Sprintf("%.3f", v)
}

func lowLegend(f *Figure, err error) (*Figure, error) {
	if err != nil {
		return nil, err
	}
	f.plot.Legend.Top, f.plot.Legend.Left = false, f.plot.Y.Label.Text == "Precision"
	f.plot.X.Min, f.plot.X.Max, f.plot.Y.Min, f.plot.Y.Max = 0, 1, 0, 1.02
	f.plot.X.Tick.Marker, f.plot.Y.Tick.Marker = tenths, tenths
	return f, nil
}

// FalseAllow draws what a threshold on p(ALLOW) trades: the share of unsafe requests
// allowed against the share of ALLOW requests not allowed. certified marks a threshold;
// nil for none. Records without probabilities are never allowed.
func FalseAllow(title string, records []eval.Record, certified *eval.Threshold, s Style) (*Figure, error) {
	var score []float64
	var unsafe []bool
	var unsafeAll, allowAll int
	for _, r := range records {
		if !r.Truth.Unsafe() && r.Truth != label.Allow {
			continue
		}
		pAllow := -1.0
		if r.Pred == label.Allow && r.Failure == "" && len(r.P) == label.Count {
			pAllow = r.P[label.Allow.Index()]
		}
		if r.Truth.Unsafe() {
			unsafeAll++
		} else {
			allowAll++
		}
		score, unsafe = append(score, pAllow), append(unsafe, r.Truth.Unsafe())
	}
	if unsafeAll == 0 || allowAll == 0 {
		return nil, fmt.Errorf("%w: %d unsafe and %d ALLOW records", ErrData, unsafeAll, allowAll)
	}
	ranking, err := eval.NewRanking(score, unsafe)
	if err != nil {
		return nil, err
	}
	line := Series{Name: "threshold on p(ALLOW)", X: []float64{1}, Y: []float64{0}}
	mark := Series{Name: "certified", X: []float64{1}, Y: []float64{0}, Points: true}
	for _, p := range ranking.Points {
		if p.Threshold < 0 {
			break
		}
		x, y := 1-float64(p.FP)/float64(allowAll), float64(p.TP)/float64(unsafeAll)
		line.X, line.Y = append([]float64{x}, line.X...), append([]float64{y}, line.Y...)
		if certified != nil && certified.Feasible && p.Threshold > certified.Tau {
			mark.X[0], mark.Y[0] = x, y
		}
	}
	series := []Series{line}
	if certified != nil {
		series = append(series, mark)
	}
	return Curves(title, "ALLOW requests not allowed", "False-allow rate", series, s)
}
