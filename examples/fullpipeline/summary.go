package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// summary prints what was made, where, and how good it is.
func (p *pipeline) summary(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\nphase\toutput\t")
	for _, d := range p.done {
		how := fmt.Sprintf("%.1f s", d.took.Seconds())
		if d.Skipped {
			how = "skipped: " + d.Reason
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", d.Name, d.Dir, how)
	}
	p.scores(t)
	p.verdict(t)
	t.Flush()
}

func (p *pipeline) scores(w io.Writer) {
	var scores []modelScore
	if !readReport(filepath.Join(p.dir("benchmark"), "report.json"), &scores) {
		return
	}
	fmt.Fprintln(w, "\nperplexity\theld back\ttemplates\tpages\tprose\tmultiple choice\t")
	for _, s := range scores {
		pages := "-"
		if s.Pages != nil {
			pages = fmt.Sprintf("%.3f", s.Pages.PPL)
		}
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%s\t%.3f\t%s\t\n", s.Model, s.HeldBack.PPL, s.Templates.PPL, pages, s.Prose.PPL, percent(s.Choice.Acc))
	}
}

// readReport reads a phase's report; false if it is not there.
func readReport(path string, v any) bool {
	b, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(b, v) == nil
}
