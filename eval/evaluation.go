package eval

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/borea-go/borea/label"
)

// evaluation holds records as plain indices.
type evaluation struct {
	o           Options
	records     []Record
	truth, pred []int
	failures    map[string]int
}

const noDecision = "no decision"

func newEvaluation(records []Record, o Options) (*evaluation, error) {
	if len(records) == 0 {
		return nil, ErrNoRecords
	}
	e := &evaluation{o: o, records: records, failures: map[string]int{}}
	for i, r := range records {
		if !r.Truth.Valid() {
			return nil, &ValueError{i, "no true class"}
		}
		reason := r.Failure
		if !r.Pred.Valid() {
			r.Pred = label.Escalation
			reason = cmp.Or(reason, noDecision)
		}
		if reason != "" {
			e.failures[reason]++
		}
		e.truth, e.pred = append(e.truth, r.Truth.Index()), append(e.pred, r.Pred.Index())
	}
	return e, nil
}

func (e *evaluation) decisions() (d Decision, s Safety, err error) {
	c, err := NewConfusion(label.Count, e.truth, e.pred)
	if err != nil {
		return d, s, err
	}
	d = Decision{Confusion: c, Accuracy: NewRate(c.Correct(), c.Total(), e.o.Confidence), MCC: c.MCC()}
	for k, class := range label.Classes() {
		d.Classes = append(d.Classes, class.String())
		d.PerClass = append(d.PerClass, ClassScore{class.String(), c.Support(k), c.Predicted(k), c.Precision(k), c.Recall(k), c.F1(k)})
	}
	d.MacroUnion, d.MacroFixed, d.MacroSupported = c.average(OverUnion), c.average(OverFixed), c.average(OverSupported)
	d.Weighted = Average{c.Weighted(c.Precision), c.Weighted(c.Recall), c.Weighted(c.F1)}
	s, err = NewSafety(c, e.o.Confidence, e.o.Cost)
	return d, s, err
}

func (c Confusion) average(over Over) Average {
	return Average{c.Macro(c.Precision, over, 0), c.Macro(c.Recall, over, 0), c.Macro(c.F1, over, 0)}
}

// scored returns the probabilities [N, 4] and truths of records that have them.
func (e *evaluation) scored() (p []float64, truth []int, err error) {
	for i, r := range e.records {
		if r.P == nil || r.Failure != "" {
			continue
		}
		if len(r.P) != label.Count {
			return nil, nil, &ValueError{i, fmt.Sprintf("%d probabilities, want %d", len(r.P), label.Count)}
		}
		if err := CheckProbabilities(r.P, label.Count); err != nil {
			return nil, nil, &ValueError{i, err.Error()}
		}
		p, truth = append(p, r.P...), append(truth, e.truth[i])
	}
	return p, truth, nil
}

func (e *evaluation) probabilities() (cal Calibration, ranked []ClassRanked, err error) {
	p, truth, err := e.scored()
	if err != nil {
		return cal, nil, err
	}
	cal = Calibration{N: len(truth), Brier: Brier(p, label.Count, truth), NLL: NLL(p, label.Count, truth)}
	conf, right := TopLabel(p, label.Count, truth)
	if cal.WidthBins, err = Bins(conf, right, e.o.Bins, EqualWidth); err != nil {
		return cal, nil, err
	}
	if cal.MassBins, err = Bins(conf, right, e.o.Bins, EqualMass); err != nil {
		return cal, nil, err
	}
	cal.Width, cal.Mass = ErrorOf(cal.WidthBins), ErrorOf(cal.MassBins)
	if cal.ClassWise, err = ClassWiseError(p, label.Count, truth, e.o.Bins); err != nil {
		return cal, nil, err
	}
	for k, class := range label.Classes() {
		r, err := NewRanking(OneVsRest(p, label.Count, truth, k))
		if err != nil {
			return cal, nil, err
		}
		ranked = append(ranked, ClassRanked{class.String(), r.AUROC(), r.AveragePrecision()})
	}
	return cal, ranked, nil
}

// ClassWiseError is the mean over classes of the L1 calibration error of p_k against
// [y = k] in equal-width bins (Nixon et al. 2019, arXiv:1904.01685, static).
func ClassWiseError(p []float64, classes int, truth []int, bins int) (Measure, error) {
	var sum float64
	for k := range classes {
		score, positive := OneVsRest(p, classes, truth, k)
		b, err := Bins(score, positive, bins, EqualWidth)
		if err != nil {
			return Measure{}, err
		}
		l1, ok := ErrorOf(b).L1.Value()
		if !ok {
			return ErrorOf(b).L1, nil
		}
		sum += l1
	}
	return Defined(sum / float64(classes)), nil
}

func (e *evaluation) compare(baselines []Baseline) ([]Comparison, error) {
	out, p := []Comparison{}, []float64{}
	for _, b := range baselines {
		c, err := e.against(b)
		if err != nil {
			return nil, fmt.Errorf("baseline %q: %w", b.Name, err)
		}
		out, p = append(out, c), append(p, c.P)
	}
	for i, adjusted := range Holm(p) {
		out[i].PHolm = adjusted
	}
	return out, nil
}

func (e *evaluation) against(b Baseline) (Comparison, error) {
	if len(b.Pred) != len(e.truth) {
		return Comparison{}, fmt.Errorf("%w: %d decisions for %d samples", ErrShape, len(b.Pred), len(e.truth))
	}
	pred, c := make([]int, len(b.Pred)), Comparison{Name: b.Name}
	for i, class := range b.Pred {
		if !class.Valid() {
			class = label.Escalation
		}
		pred[i] = class.Index()
		switch judge, other := e.pred[i] == e.truth[i], pred[i] == e.truth[i]; {
		case judge && !other:
			c.JudgeOnly++
		case other && !judge:
			c.BaselineOnly++
		}
	}
	m, err := NewConfusion(label.Count, e.truth, pred)
	if err != nil {
		return Comparison{}, err
	}
	s, err := NewSafety(m, e.o.Confidence, nil)
	c.Accuracy, c.MacroF1, c.FalseAllow = m.Accuracy(), m.Macro(m.F1, OverFixed, 0), s.FalseAllow
	c.P = McNemar(c.JudgeOnly, c.BaselineOnly)
	return c, err
}

// clusters groups sample indices; order of first appearance.
func (e *evaluation) clusters() (out [][]int) {
	at := map[string]int{}
	for i, r := range e.records {
		k, seen := at[r.Cluster]
		if !seen || r.Cluster == "" {
			k = len(out)
			at[r.Cluster] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], i)
	}
	return out
}

// intervals resamples clusters as matrices: one a cluster, added up.
func (e *evaluation) intervals() Intervals {
	var parts []Confusion
	for _, samples := range e.clusters() {
		parts = append(parts, e.subset(samples))
	}
	iv := func(f func(Confusion) Measure) Interval {
		return bootstrap(matrices{parts, f}, e.o.Confidence, e.o.Bootstrap)
	}
	return Intervals{
		Accuracy: iv(Confusion.Accuracy),
		MacroF1:  iv(func(c Confusion) Measure { return c.Macro(c.F1, OverFixed, 0) }),
		MCC:      iv(Confusion.MCC),
	}
}

// matrices is a statistic of summed confusion matrices.
type matrices struct {
	parts     []Confusion
	statistic func(Confusion) Measure
}

func (m matrices) units() int { return len(m.parts) }

func (m matrices) drawn(counts []int) Measure {
	sum := Confusion{make([]int, 4), make([]int, 4), make([]int, 4), make([]int, 4)}
	for u, n := range counts {
		if n != 0 {
			sum.add(m.parts[u], n)
		}
	}
	return m.statistic(sum)
}

func (c Confusion) add(part Confusion, times int) {
	for i, row := range part {
		for j, n := range row {
			c[i][j] += n * times
		}
	}
}

// without subtracts from the total, so that the jackknife is linear in the units.
func (m matrices) without() []Measure {
	out, all := make([]Measure, len(m.parts)), Confusion{make([]int, 4), make([]int, 4), make([]int, 4), make([]int, 4)}
	for _, p := range m.parts {
		all.add(p, 1)
	}
	for i, p := range m.parts {
		all.add(p, -1)
		out[i] = m.statistic(all)
		all.add(p, 1)
	}
	return out
}

// subset counts some samples, repeats included.
func (e *evaluation) subset(samples []int) Confusion {
	c := Confusion{make([]int, 4), make([]int, 4), make([]int, 4), make([]int, 4)}
	for _, i := range samples {
		c[e.truth[i]][e.pred[i]]++
	}
	return c
}

func (e *evaluation) slices(key func(Record) string) []Slice {
	members := map[string][]int{}
	for i, r := range e.records {
		members[key(r)] = append(members[key(r)], i)
	}
	out := []Slice{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		c := e.subset(members[name])
		s, _ := NewSafety(c, e.o.Confidence, nil)
		out = append(out, Slice{name, c.Total(), c.Accuracy(), c.Macro(c.F1, OverSupported, 0), s.FalseAllow})
	}
	return out
}
