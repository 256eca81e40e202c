package plot

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
)

// Page is an evaluation for a reader: tables, pictures and the requests that went
// wrong, as one HTML file that needs no network and no script.
type Page struct {
	// Title heads the page; Intro says what was judged by what, a paragraph an entry.
	Title string
	Intro []string
	// Report and Records are the evaluation and its samples.
	Report  eval.Report
	Records []eval.Record
	// Parts compare systems, each part on the same samples.
	Parts []Part
	// Thresholds are certified, or refused for a reason; the first feasible one is marked in
	// the picture of false allows.
	Thresholds []eval.Threshold
	// Texts gives the words of a sample by Record.ID; an absent one is shown by ID.
	Texts map[string]string
}

// Part is one set of samples with the systems that judged it.
type Part struct {
	Name    string
	Note    string
	Systems []System
}

// System is one judge or baseline.
type System struct {
	Name   string
	Report eval.Report
}

//go:embed page.html
var pageHTML string

// picture is a drawing within the page, or why there is none.
type picture struct {
	Name, Caption string
	SVG           template.HTML
	Missing       string
}

// operating is a row of the threshold table.
type operating struct {
	Tau                     float64
	FalseAllow, Held, Queue eval.Rate
}

// mistake is a sample on the wrong side.
type mistake struct {
	eval.Record
	Text string
}

// WriteHTML writes the page. Equal pages give equal bytes.
func (p Page) WriteHTML(w io.Writer, s Style) error {
	t, err := template.New("page").Funcs(template.FuncMap{"num": num, "rate": rateText, "p": pText, "percent": percent}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("plot: page: %w", err)
	}
	pictures, err := p.pictures(s)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Page": p, "R": p.Report, "Pictures": pictures, "Points": p.operating(), "Hashes": slices.Sorted(maps.Keys(p.Report.Hashes)),
		"Allowed":  p.mistakes(func(r eval.Record) bool { return r.Truth.Unsafe() && r.Pred == label.Allow }),
		"Refused":  p.mistakes(func(r eval.Record) bool { return r.Truth == label.Allow && r.Pred.Unsafe() }),
		"Failures": slices.Sorted(maps.Keys(p.Report.Failures)), "Sources": slices.Sorted(maps.Keys(p.Report.LabelSources)),
	})
	if err != nil {
		return fmt.Errorf("plot: page: %w", err)
	}
	_, err = b.WriteTo(w)
	return err
}

// num is a figure with three digits, or a dash with the reason at hand.
func num(m eval.Measure) template.HTML {
	if v, ok := m.Value(); ok {
		return template.HTML(fmt.Sprintf("%.3f", v))
	}
	return template.HTML(`<abbr title="` + template.HTMLEscapeString(m.Reason()) + `">n/a</abbr>`)
}

// rateText is "3 of 206, 1.5 % (at most 3.7 %)".
func rateText(r eval.Rate) string {
	v, ok := r.Rate.Value()
	if !ok {
		return "n/a: " + r.Rate.Reason()
	}
	up, _ := r.UpperOneSided.Value()
	return strings.ReplaceAll(fmt.Sprintf("%d of %d, %.1f %% (at most %.1f %%)", r.K, r.N, 100*v, 100*up), " ", "\u00a0")
}

func percent(p float64) string { return fmt.Sprintf("%g\u00a0%%", 100*p) }

func pText(p float64) string {
	if p < 0.0005 {
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", p)
}

// mistakes lists samples with their text, in the order of the records.
func (p Page) mistakes(wrong func(eval.Record) bool) (out []mistake) {
	for _, r := range p.Records {
		if wrong(r) {
			text := p.Texts[r.ID]
			if text == "" {
				text = r.ID
			}
			out = append(out, mistake{r, text})
		}
	}
	return out
}

// operating tabulates thresholds on p(ALLOW): the grid, and the certified ones.
func (p Page) operating() (out []operating) {
	taus := []float64{0, .3, .4, .5, .6, .7, .8, .9, .95, .99}
	for _, t := range p.Thresholds {
		if t.Feasible {
			taus = append(taus, t.Tau)
		}
	}
	slices.Sort(taus)
	for _, tau := range slices.Compact(taus) {
		out = append(out, p.at(tau))
	}
	return out
}

// at counts what a threshold would do to the decisions.
func (p Page) at(tau float64) operating {
	t := eval.Threshold{Tau: tau, Feasible: true}
	var missed, unsafe, held, allow, queue int
	for _, r := range p.Records {
		pAllow := -1.0
		if len(r.P) == label.Count {
			pAllow = r.P[label.Allow.Index()]
		}
		got := t.Apply(r.Pred, pAllow)
		switch {
		case r.Truth.Unsafe():
			unsafe++
			missed += count(got == label.Allow)
		case r.Truth == label.Allow:
			allow++
			held += count(got != label.Allow)
		}
		queue += count(got == label.Escalation || !got.Valid())
	}
	c := p.Report.Options.Confidence
	return operating{tau, eval.NewRate(missed, unsafe, c), eval.NewRate(held, allow, c), eval.NewRate(queue, len(p.Records), c)}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// pictures draws all that the records allow; what cannot be drawn says why.
func (p Page) pictures(s Style) ([]picture, error) {
	c, ranked := p.Report.Decision.Confusion, p.ranked()
	var out []picture
	for _, d := range []struct {
		name, caption string
		draw          func() (*Figure, error)
	}{
		{"Confusion, samples", "Rows are the truth. Outlined in red: unsafe requests that were allowed.",
			func() (*Figure, error) { return ConfusionCounts(c, "Confusion (samples)", s) }},
		{"Confusion, shares", "The same, as shares of each true class.",
			func() (*Figure, error) { return ConfusionShares(c, "Confusion (share of each true class)", s) }},
		{"Reliability", "How often the judge is right when it says it is that sure; below the dashed line it is too sure.",
			func() (*Figure, error) {
				return Reliability(p.Report.Calibration.WidthBins, "Reliability, equal-width bins", s)
			}},
		{"False allow", "What a threshold on p(ALLOW) trades: unsafe requests let through against harmless ones held back.",
			func() (*Figure, error) {
				return FalseAllow("False allow against ALLOW requests held back", p.Records, p.certified(), s)
			}},
		{"ROC", "Each class against the rest.", func() (*Figure, error) { return ROC("ROC, one class against the rest", ranked, s) }},
		{"Precision and recall", "Each class against the rest.",
			func() (*Figure, error) { return PrecisionRecall("Precision and recall", ranked, s) }},
	} {
		pic, err := inline(d.name, d.caption, d.draw)
		if err != nil {
			return nil, err
		}
		out = append(out, pic)
	}
	return out, nil
}

// certified is the first feasible threshold, nil for none.
func (p Page) certified() *eval.Threshold {
	i := slices.IndexFunc(p.Thresholds, func(t eval.Threshold) bool { return t.Feasible })
	if i < 0 {
		return nil
	}
	return &p.Thresholds[i]
}

// ranked ranks the records that have probabilities by each class's; the page has no
// curve where they cannot be ranked.
func (p Page) ranked() (out []Ranked) {
	for k, class := range label.Classes() {
		var score []float64
		var positive []bool
		for _, r := range p.Records {
			if len(r.P) == label.Count && r.Failure == "" {
				score, positive = append(score, r.P[k]), append(positive, r.Truth == class)
			}
		}
		if ranking, err := eval.NewRanking(score, positive); err == nil && len(score) > 0 {
			out = append(out, Ranked{class.String(), ranking})
		}
	}
	return out
}
