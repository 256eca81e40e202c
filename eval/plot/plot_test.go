package plot

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

var sample = eval.Confusion{{412, 21, 3, 0}, {33, 208, 17, 2}, {4, 25, 187, 31}, {0, 0, 0, 0}}

func records(n int) (out []eval.Record) {
	r := rand.New(rand.NewPCG(3, 3))
	for range n {
		truth, _ := label.FromIndex(r.IntN(4))
		p, sum, top := make([]float64, 4), 0.0, 0
		for k := range p {
			p[k] = math.Exp(1.5 * r.NormFloat64())
			if k == truth.Index() {
				p[k] *= 6
			}
			sum += p[k]
			if p[k] > p[top] {
				top = k
			}
		}
		for k := range p {
			p[k] /= sum
		}
		pred, _ := label.FromIndex(top)
		out = append(out, eval.Record{Truth: truth, Pred: pred, P: p})
	}
	return out
}

// figures draws one of each kind.
func figures(t *testing.T) map[string]*Figure {
	t.Helper()
	recs := records(800)
	rep, err := eval.Evaluate(recs, eval.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	var p, unsafe []float64
	var truth []int
	for _, r := range recs {
		p, truth = append(p, r.P...), append(truth, r.Truth.Index())
		if r.Truth.Unsafe() {
			score := -1.0
			if r.Pred == label.Allow {
				score = r.P[0]
			}
			unsafe = append(unsafe, score)
		}
	}
	var ranked []Ranked
	for k, class := range label.Classes() {
		r, err := eval.NewRanking(eval.OneVsRest(p, 4, truth, k))
		if err != nil {
			t.Fatal(err)
		}
		ranked = append(ranked, Ranked{class.String(), r})
	}
	certified, err := eval.CertifyAllow(unsafe, eval.LearnThenTest, .05, .05)
	if err != nil {
		t.Fatal(err)
	}
	train := Series{Name: "training"}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 300 {
		train.X, train.Y = append(train.X, float64(i+1)), append(train.Y, 2*math.Exp(-float64(i)/80)+.3+.15*rng.NormFloat64())
	}
	val := Series{Name: "validation", X: []float64{60, 120, 180, 240, 300}, Y: []float64{1.4, .9, .7, .62, .61}, Points: true}
	out, s := map[string]*Figure{}, DefaultStyle()
	for name, make := range map[string]func() (*Figure, error){
		"counts": func() (*Figure, error) { return ConfusionCounts(sample, "Confusion matrix (samples)", s) },
		"shares": func() (*Figure, error) {
			return ConfusionShares(sample, "Confusion matrix (share of each true class)", s)
		},
		"large": func() (*Figure, error) {
			return ConfusionCounts(eval.Confusion{{1234567, 0, 0, 0}, {0, 9, 0, 0}, {0, 0, 8, 0}, {7654321, 0, 0, 1}}, "Large numbers", s)
		},
		"reliability": func() (*Figure, error) {
			return Reliability(rep.Calibration.WidthBins, "Reliability, equal-width bins", s)
		},
		"mass": func() (*Figure, error) {
			return Reliability(rep.Calibration.MassBins, "Reliability, equal-mass bins", s)
		},
		"loss":       func() (*Figure, error) { return Loss("Training loss", train, []Series{val}, s) },
		"roc":        func() (*Figure, error) { return ROC("ROC, one class against the rest", ranked, s) },
		"pr":         func() (*Figure, error) { return PrecisionRecall("Precision and recall", ranked, s) },
		"falseallow": func() (*Figure, error) { return FalseAllow("False allow against over-refusal", recs, &certified, s) },
	} {
		f, err := make()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = f
	}
	return out
}

func TestFiguresAreWrittenAndRepeatable(t *testing.T) {
	again := figures(t)
	dir := os.Getenv("BOREA_PLOT_DIR") // set it to look at the pictures
	if dir == "" {
		dir = t.TempDir()
	}
	for name, f := range figures(t) {
		if err := f.Save(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		for kind, write := range map[string]func(*Figure, *bytes.Buffer) error{
			".png": func(f *Figure, b *bytes.Buffer) error { return f.WritePNG(b) },
			".svg": func(f *Figure, b *bytes.Buffer) error { return f.WriteSVG(b) },
		} {
			var b bytes.Buffer
			if err := write(again[name], &b); err != nil {
				t.Fatal(err)
			}
			saved, err := os.ReadFile(filepath.Join(dir, name+kind))
			if err != nil || !bytes.Equal(saved, b.Bytes()) {
				t.Errorf("%s%s: two drawings differ, %v", name, kind, err)
			}
		}
	}
}

func TestPNGHasTheAskedSize(t *testing.T) {
	s := Style{Width: 10, Height: 5, DPI: 254}
	f, err := ConfusionCounts(sample, "t", s)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	cfg, err := png.DecodeConfig(&b)
	if err != nil || math.Abs(float64(cfg.Width-1000)) > 1 || math.Abs(float64(cfg.Height-500)) > 1 {
		t.Errorf("%d by %d, %v", cfg.Width, cfg.Height, err)
	}
}

// The unsafe cells of the ALLOW column, and no others, have a red frame.
func TestUnsafeAllowedIsOutlined(t *testing.T) {
	f, err := ConfusionCounts(sample, "t", DefaultStyle())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "stroke:#C81E1E"); n != 2 {
		t.Errorf("%d red frames, want 2", n)
	}
	if strings.Contains(b.String(), "<text") {
		t.Error("the SVG depends on the viewer's fonts")
	}
	p := newProbe(f.size())
	f.draw(p)
	if !slices.ContainsFunc(p.texts, func(a placed) bool { return a.text == "(n = 0)" }) {
		t.Error("an empty class does not say so")
	}
}

// probe records where text lands, as bounding boxes on the page.
type probe struct {
	w, h  vg.Length
	stack []affine
	texts []placed
}

type affine struct{ a, b, c, d, x, y float64 }

type placed struct {
	text                   string
	xmin, xmax, ymin, ymax float64
}

func newProbe(w, h vg.Length) *probe { return &probe{w: w, h: h, stack: []affine{{a: 1, d: 1}}} }

func (p *probe) top() *affine                        { return &p.stack[len(p.stack)-1] }
func (p *probe) Size() (vg.Length, vg.Length)        { return p.w, p.h }
func (p *probe) SetLineWidth(vg.Length)              {}
func (p *probe) SetColor(color.Color)                {}
func (p *probe) SetLineDash([]vg.Length, vg.Length)  {}
func (p *probe) Stroke(vg.Path)                      {}
func (p *probe) Fill(vg.Path)                        {}
func (p *probe) DrawImage(vg.Rectangle, image.Image) {}
func (p *probe) Push()                               { p.stack = append(p.stack, *p.top()) }
func (p *probe) Pop()                                { p.stack = p.stack[:len(p.stack)-1] }
func (p *probe) Scale(x, y float64)                  { t := p.top(); t.a *= x; t.b *= x; t.c *= y; t.d *= y }
func (p *probe) Translate(pt vg.Point)               { t := p.top(); t.x, t.y = t.at(float64(pt.X), float64(pt.Y)) }
func (t affine) at(x, y float64) (float64, float64)  { return t.a*x + t.c*y + t.x, t.b*x + t.d*y + t.y }

func (p *probe) Rotate(r float64) {
	t, sin, cos := p.top(), math.Sin(r), math.Cos(r)
	t.a, t.b, t.c, t.d = t.a*cos+t.c*sin, t.b*cos+t.d*sin, t.c*cos-t.a*sin, t.d*cos-t.b*sin
}

func (p *probe) FillString(f font.Face, pt vg.Point, s string) {
	box := placed{text: s, xmin: math.Inf(1), ymin: math.Inf(1), xmax: math.Inf(-1), ymax: math.Inf(-1)}
	ext := f.Extents()
	for _, corner := range []vg.Point{{X: 0, Y: -ext.Descent}, {X: f.Width(s), Y: ext.Ascent * .8}} {
		for _, other := range []vg.Length{-ext.Descent, ext.Ascent * .8} {
			x, y := p.top().at(float64(pt.X+corner.X), float64(pt.Y+other))
			box.xmin, box.xmax, box.ymin, box.ymax = min(box.xmin, x), max(box.xmax, x), min(box.ymin, y), max(box.ymax, y)
		}
	}
	p.texts = append(p.texts, box)
}

func TestTextStaysOnThePageAndApart(t *testing.T) {
	for name, f := range figures(t) {
		w, h := f.size()
		p := newProbe(w, h)
		f.draw(p)
		for i, a := range p.texts {
			if a.xmin < 0 || a.ymin < 0 || a.xmax > float64(w) || a.ymax > float64(h) {
				t.Errorf("%s: %q leaves the page: %+v of %v by %v", name, a.text, a, w, h)
			}
			for _, b := range p.texts[:i] {
				if a.xmin < b.xmax && b.xmin < a.xmax && a.ymin < b.ymax && b.ymin < a.ymax && name != "mass" {
					t.Errorf("%s: %q and %q overlap", name, a.text, b.text)
				}
			}
		}
	}
}

func TestMissingGlyphsAreAnError(t *testing.T) {
	_, err := ConfusionCounts(sample, "混同行列", DefaultStyle())
	var ge *GlyphError
	if !errors.As(err, &ge) || string(ge.Missing) != "混同行列" {
		t.Errorf("%v", err)
	}
	_, err = Curves("t", "x", "y", []Series{{Name: "損失", X: []float64{1}, Y: []float64{1}}}, DefaultStyle())
	if !errors.As(err, &ge) {
		t.Errorf("legend: %v", err)
	}
	for _, class := range label.Classes() {
		if m := liberationSans().Missing(class.String()); m != nil {
			t.Errorf("%v: %q", class, m)
		}
	}
}

func TestJapaneseWithAnInstalledFont(t *testing.T) {
	s := DefaultStyle()
	var err error
	if s.Font, err = SystemFont("混同行列（件数）", "ALLOW"); errors.Is(err, ErrNoFont) {
		t.Skip("no font with Japanese glyphs is installed")
	}
	f, err := ConfusionCounts(sample, "混同行列（件数）", s)
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("BOREA_PLOT_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := f.Save(filepath.Join(dir, "japanese")); err != nil {
		t.Fatal(err)
	}
	p := newProbe(f.size())
	f.draw(p)
	for _, a := range p.texts {
		if a.xmin < 0 || a.xmax > float64(p.w) || a.ymin < 0 || a.ymax > float64(p.h) {
			t.Errorf("%q leaves the page", a.text)
		}
	}
}

func TestFontFilesAreRanked(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.ttf", "ipag.ttf", "NotoSansCJK-Regular.ttc", "readme.txt", "b.OTF"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no font"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, path := range installed([]string{dir, filepath.Join(dir, "absent")}) {
		got = append(got, filepath.Base(path))
	}
	if fmt.Sprint(got) != "[NotoSansCJK-Regular.ttc ipag.ttf a.ttf b.OTF]" {
		t.Error(got)
	}
	if _, err := ParseFont([]byte("no font")); err == nil {
		t.Error("a text file is a font")
	}
	if _, err := ParseFont([]byte("ttcf")); err == nil {
		t.Error("a truncated collection is a font")
	}
}

func TestBadData(t *testing.T) {
	s := DefaultStyle()
	for name, f := range map[string]func() (*Figure, error){
		"three classes": func() (*Figure, error) { return ConfusionCounts(eval.Confusion{{1}}, "", s) },
		"empty bins":    func() (*Figure, error) { return Reliability(make([]eval.Bin, 3), "", s) },
		"bad bin":       func() (*Figure, error) { return Reliability([]eval.Bin{{Low: .5, High: 2, N: 1}}, "", s) },
		"no series":     func() (*Figure, error) { return Curves("", "", "", nil, s) },
		"NaN": func() (*Figure, error) {
			return Curves("", "", "", []Series{{X: []float64{1}, Y: []float64{math.NaN()}}}, s)
		},
		"lengths":   func() (*Figure, error) { return Curves("", "", "", []Series{{X: []float64{1}}}, s) },
		"no unsafe": func() (*Figure, error) { return FalseAllow("", []eval.Record{{Truth: label.Allow}}, nil, s) },
		"no class":  func() (*Figure, error) { return ROC("", nil, s) },
	} {
		if _, err := f(); !errors.Is(err, ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.DPI = 1
	if _, err := ConfusionCounts(sample, "", s); err == nil {
		t.Error("1 dpi is accepted")
	}
}

// An outline advances as the layout measured it: the last letter's right edge lies
// within the width.
func TestOutlineIsAsWideAsMeasured(t *testing.T) {
	f := DefaultStyle().font().cache.Lookup(liberationSans().key, 20)
	for _, s := range []string{"H", "ESCALATION", "AVAVAV", "n = 1234"} {
		lo, hi := vg.Length(math.Inf(1)), vg.Length(math.Inf(-1))
		for _, c := range outline(f, vg.Point{X: 100, Y: 50}, s) {
			if c.Type != vg.CloseComp {
				lo, hi = min(lo, c.Pos.X), max(hi, c.Pos.X)
			}
		}
		if lo < 100 || lo > 103 || hi > 100+f.Width(s) || hi < 97+f.Width(s) {
			t.Errorf("%q runs from %g to %g, measured 100 to %g", s, lo, hi, 100+f.Width(s))
		}
	}
}
