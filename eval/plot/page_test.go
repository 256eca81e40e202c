package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
)

func page(t *testing.T, records []eval.Record) Page {
	t.Helper()
	rep, err := eval.Evaluate(records, eval.DefaultOptions(), eval.Majority(nil, len(records)))
	if err != nil {
		t.Fatal(err)
	}
	rep.Hashes = map[string]string{"data": "00ff"}
	return Page{Title: "Judge <1>", Intro: []string{"Judged by & for people."}, Report: rep, Records: records,
		Parts: []Part{{"All requests", "", []System{{"judge", rep}, {"rules", rep}}}},
		Thresholds: []eval.Threshold{{Method: eval.LearnThenTest, Alpha: .01, Delta: .05, Tau: 1, Unsafe: 8, Reason: "too few"},
			{Method: eval.ConformalRisk, Alpha: .2, Tau: .42, Feasible: true, Unsafe: 8, Misses: 1}},
		Texts: map[string]string{"r1": `<script>alert("x")</script>機密を教えて`}}
}

func written(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteHTML(&b, DefaultStyle()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func someRecords() []eval.Record {
	var out []eval.Record
	for i, p := range [][]float64{{.7, .1, .1, .1}, {.6, .2, .1, .1}, {.1, .6, .2, .1}, {.1, .2, .6, .1}, {.1, .1, .1, .7}, {.8, .1, .05, .05}, {.2, .2, .5, .1}, {.3, .4, .2, .1}} {
		truth, _ := label.FromIndex([]int{0, 2, 1, 2, 3, 0, 0, 3}[i])
		pred, _ := label.FromIndex([]int{0, 0, 1, 2, 3, 0, 2, 1}[i])
		out = append(out, eval.Record{ID: "r" + string(rune('0'+i)), Truth: truth, Pred: pred, P: p, LabelSource: "author", Domain: "general", Kind: "pair"})
	}
	return out
}

func TestPageIsSelfContained(t *testing.T) {
	html := written(t, page(t, someRecords()))
	if again := written(t, page(t, someRecords())); again != html {
		t.Error("two pages differ")
	}
	for _, bad := range []string{"<script", "<link", "<img", "src=", "@import", "url("} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, address := range regexp.MustCompile(`[a-z]+://[^"]*`).FindAllString(html, -1) {
		if !strings.HasPrefix(address, "http://www.w3.org/") { // names of XML name spaces, not fetched
			t.Errorf("the page refers to %s", address)
		}
	}
	if n := strings.Count(html, `<svg role="img"`); n != 6 {
		t.Errorf("%d pictures, want 6", n)
	}
	wellFormed(t, html)
}

// wellFormed wants every element closed, as HTML's parser would forgive it not to be.
func wellFormed(t *testing.T, html string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(html, "<!DOCTYPE html>")))
	d.Entity = xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageSaysWhatItMust(t *testing.T) {
	if path := os.Getenv("BOREA_PLOT_DIR"); path != "" { // to look at it
		if err := os.WriteFile(path+"/page.html", []byte(written(t, page(t, someRecords()))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	html := written(t, page(t, someRecords()))
	for _, want := range []string{
		"Judge &lt;1&gt;", "Judged by &amp; for people.", "No false-allow rate is given as a headline",
		"&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;機密を教えて", // the request that was let through, harmless here
		"infeasible", "too few", "0.4200", "1\u00a0of\u00a04", "majority", "00ff", "borea.eval.report/1",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	records := someRecords()
	for i := range records {
		records[i].LabelSource = eval.Human
	}
	if html := written(t, page(t, records)); strings.Contains(html, "No false-allow rate") || !strings.Contains(html, "False-allow rate") {
		t.Error("a rate measured on human labels is withheld")
	}
}

// Decisions without probabilities, and one class only, leave gaps that explain themselves.
func TestPageWithoutProbabilities(t *testing.T) {
	html := written(t, page(t, []eval.Record{{Truth: label.Deny, Pred: label.Deny}, {Truth: label.Deny}}))
	if n := strings.Count(html, "No picture"); n != 4 {
		t.Errorf("%d pictures are missed, want 4", n)
	}
	if !strings.Contains(html, "Could not be judged") || !strings.Contains(html, "no decision (1)") {
		t.Error("a failure is not told")
	}
	wellFormed(t, html)
}

// The table's rows are what the threshold would have done.
func TestOperatingPoints(t *testing.T) {
	p := page(t, someRecords())
	for _, c := range []struct {
		tau                 float64
		missed, held, queue int
	}{{0, 1, 1, 2}, {.6, 0, 1, 3}, {.75, 0, 2, 4}, {1, 0, 3, 5}} {
		o := p.at(c.tau)
		if o.FalseAllow.K != c.missed || o.FalseAllow.N != 4 || o.Held.K != c.held || o.Held.N != 3 || o.Queue.K != c.queue {
			t.Errorf("τ %g: %+v", c.tau, o)
		}
	}
	p.Records = append(p.Records, eval.Record{Truth: label.Deny})
	if o := p.at(0); o.Queue.K != 3 || o.FalseAllow.K != 1 {
		t.Errorf("a sample without a decision goes to a person: %+v", o)
	}
	rows := p.operating()
	if len(rows) != 11 || rows[3].Tau != .42 {
		t.Errorf("%d rows, %+v", len(rows), rows[3])
	}
}

// Confidence and bins on the page are those of the report.
func TestPageTellsItsOptions(t *testing.T) {
	p := page(t, someRecords())
	p.Report.Options.Confidence, p.Report.Options.Bins = .9, 7
	html := written(t, p)
	if !strings.Contains(html, "one-sided at 90\u00a0%") || !strings.Contains(html, "(7 equal-width bins)") || strings.Contains(html, "95\u00a0%") {
		t.Error("other options are told")
	}
}

func TestPageTextNeedsNoFontHere(t *testing.T) {
	p := page(t, someRecords())
	p.Title = "判定の評価" // text of the page is the browser's to draw
	_ = written(t, p)
	if _, err := element("no picture", "x"); !errors.Is(err, ErrData) {
		t.Errorf("%v", err)
	}
}
