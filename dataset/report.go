package dataset

import (
	"errors"
	"math"
	"unicode/utf8"
)

// CleanReport says what Clean did. In + Split = Kept + Σ Dropped.
type CleanReport struct {
	Options CleanOptions     `json:"options"`
	In      int64            `json:"in"`    // samples and unreadable lines
	Split   int64            `json:"split"` // pieces made of over-long texts, beyond the first of each
	Cut     int64            `json:"cut"`   // texts that lost their end
	Kept    int64            `json:"kept"`
	Dropped map[Reason]int64 `json:"dropped"`
	Rejects []Reject         `json:"rejects"` // the first MaxRejects drops

	// Statistics of what was kept.
	Runes    Spread           `json:"runes"`
	Quality  Spread           `json:"quality"`
	Japanese Spread           `json:"japanese"`
	Domains  map[string]int64 `json:"domains"`
	Sources  map[string]int64 `json:"sources"`
	Labels   map[string]int64 `json:"labels"`
}

// Reject is one drop: which sample, or which line, and why.
type Reject struct {
	ID      string  `json:"id,omitempty"`
	URL     string  `json:"url,omitempty"`
	Path    string  `json:"path,omitempty"`
	Line    int64   `json:"line,omitempty"`
	Offset  int64   `json:"offset,omitempty"` // decoded bytes before the line
	Reason  Reason  `json:"reason"`
	Quality float64 `json:"quality,omitempty"`
	Detail  string  `json:"detail,omitempty"`
}

func newCleanReport(o CleanOptions) *CleanReport {
	return &CleanReport{
		Options: o, Dropped: map[Reason]int64{}, Rejects: []Reject{},
		Domains: map[string]int64{}, Sources: map[string]int64{}, Labels: map[string]int64{},
	}
}

// ErrUnbalanced means a report in which the counts do not add up.
var ErrUnbalanced = errors.New("dataset: in + split is not kept + dropped")

// Check verifies the report's balance.
func (r *CleanReport) Check() error {
	total := r.Kept
	for _, n := range r.Dropped {
		total += n
	}
	if r.In+r.Split != total {
		return ErrUnbalanced
	}
	return nil
}

func (r *CleanReport) drop(s Sample, why Reason, line *LineError) {
	r.Dropped[why]++
	if len(r.Rejects) >= r.Options.MaxRejects {
		return
	}
	x := Reject{ID: s.ID, URL: s.URL, Reason: why, Quality: s.Quality}
	if line != nil {
		x.Path, x.Line, x.Offset, x.Detail = line.Path, line.Line, line.Offset, line.Err.Error()
	}
	r.Rejects = append(r.Rejects, x)
}

func (r *CleanReport) keep(s Sample, japanese float64) {
	r.Kept++
	r.Runes.add(float64(utf8.RuneCountInString(s.Content())))
	r.Quality.add(s.Quality)
	r.Japanese.add(japanese)
	r.Domains[s.Domain]++
	r.Sources[s.Source]++
	r.Labels[s.Label.String()]++
}

// Spread sums up one figure over many samples.
type Spread struct {
	N    int64   `json:"n"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	// Deviation is the standard deviation of the population.
	Deviation float64 `json:"deviation"`

	m2 float64 // Welford's sum of squared differences
}

// add follows Welford (Technometrics 4(3), 1962).
func (s *Spread) add(x float64) {
	s.N++
	if s.N == 1 {
		s.Min, s.Max = x, x
	}
	s.Min, s.Max = min(s.Min, x), max(s.Max, x)
	d := x - s.Mean
	s.Mean += d / float64(s.N)
	s.m2 += d * (x - s.Mean)
	s.Deviation = math.Sqrt(s.m2 / float64(s.N))
}
