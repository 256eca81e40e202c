package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/borea-go/borea/label"
)

// Schema names the version of Report's JSON.
const Schema = "borea.eval.report/1"

// Report is the outcome of Evaluate. Equal records and options give equal bytes.
type Report struct {
	Schema  string  `json:"schema"`
	Options Options `json:"options"`
	// N is the number of samples; LabelSources counts them by who labelled them ("" is
	// unknown), Failures those that could not be judged, by reason.
	N            int            `json:"n"`
	LabelSources map[string]int `json:"label_sources"`
	Failures     map[string]int `json:"failures"`
	// Headline holds the figures to quote.
	Headline Headline `json:"headline"`
	Decision Decision `json:"decision"`
	Safety   Safety   `json:"safety"`
	// Calibration and Ranking are over the samples with probabilities.
	Calibration Calibration   `json:"calibration"`
	Ranking     []ClassRanked `json:"ranking"`
	Intervals   Intervals     `json:"intervals"`
	// Domains repeats the main figures by domain, Kinds by kind of sample, if any has
	// one; both sorted.
	Domains []Slice `json:"domains"`
	Kinds   []Slice `json:"kinds,omitempty"`
	// Baselines are others on the same samples, in the order given.
	Baselines []Comparison `json:"baselines"`
	// Hashes name what was judged by what: SHA-256 of data, model and template, for
	// example. Evaluate leaves them to the caller.
	Hashes map[string]string `json:"hashes,omitempty"`
}

// Headline holds the figures to quote. The false-allow bound is withheld, with the
// reason, unless every label came from a person: agreement with rules measures
// imitation, and an author's own set is not independent.
type Headline struct {
	Accuracy        Measure `json:"accuracy"`
	MacroF1         Measure `json:"macro_f1"` // over the fixed four classes
	FalseAllow      Measure `json:"false_allow"`
	FalseAllowUpper Measure `json:"false_allow_upper"` // one-sided bound
}

// Decision holds the figures of the decisions alone.
type Decision struct {
	// Classes are the names in matrix order; Confusion has truths as rows.
	Classes   []string     `json:"classes"`
	Confusion Confusion    `json:"confusion"`
	Accuracy  Rate         `json:"accuracy"`
	PerClass  []ClassScore `json:"per_class"`
	// Averages of precision, recall and F1; an undefined ratio counts 0, as
	// scikit-learn's default has it.
	MacroUnion     Average `json:"macro_union"`
	MacroFixed     Average `json:"macro_fixed"`
	MacroSupported Average `json:"macro_supported"`
	Weighted       Average `json:"weighted"`
	MCC            Measure `json:"mcc"`
}

// ClassScore is one class's precision, recall and F1.
type ClassScore struct {
	Class     string  `json:"class"`
	Support   int     `json:"support"`
	Predicted int     `json:"predicted"`
	Precision Measure `json:"precision"`
	Recall    Measure `json:"recall"`
	F1        Measure `json:"f1"`
}

// Average is a mean over classes.
type Average struct {
	Precision Measure `json:"precision"`
	Recall    Measure `json:"recall"`
	F1        Measure `json:"f1"`
}

// Calibration says how far the probabilities can be believed.
type Calibration struct {
	// N is the number of samples with probabilities.
	N int `json:"n"`
	// Width and Mass are the error of the top label over two binnings; ClassWise is the
	// mean over classes of the one-vs-rest L1 error in equal-width bins.
	Width     CalibrationError `json:"ece_equal_width"`
	Mass      CalibrationError `json:"ece_equal_mass"`
	ClassWise Measure          `json:"ece_class_wise"`
	Brier     Measure          `json:"brier"`
	NLL       Measure          `json:"nll"`
	WidthBins []Bin            `json:"bins_equal_width"`
	MassBins  []Bin            `json:"bins_equal_mass"`
}

// ClassRanked is one class against the rest.
type ClassRanked struct {
	Class            string  `json:"class"`
	AUROC            Measure `json:"auroc"`
	AveragePrecision Measure `json:"average_precision"`
}

// Intervals are bootstrap intervals over clusters.
type Intervals struct {
	Accuracy Interval `json:"accuracy"`
	MacroF1  Interval `json:"macro_f1"`
	MCC      Interval `json:"mcc"`
}

// Slice is the main figures of one domain or kind.
type Slice struct {
	Domain     string  `json:"domain"` // its name
	N          int     `json:"n"`
	Accuracy   Measure `json:"accuracy"`
	MacroF1    Measure `json:"macro_f1"` // over the classes the slice has
	FalseAllow Rate    `json:"false_allow"`
}

// Baseline is another classifier's decisions on the same samples, in the same order.
type Baseline struct {
	Name string
	Pred []label.Class
}

// Comparison sets a baseline beside the judge.
type Comparison struct {
	Name       string  `json:"name"`
	Accuracy   Measure `json:"accuracy"`
	MacroF1    Measure `json:"macro_f1"` // over the fixed four classes
	FalseAllow Rate    `json:"false_allow"`
	// JudgeOnly and BaselineOnly count samples that only one of the two got right.
	JudgeOnly    int `json:"judge_only"`
	BaselineOnly int `json:"baseline_only"`
	// P is McNemar's exact p-value, PHolm the same adjusted over all baselines.
	P     float64 `json:"p"`
	PHolm float64 `json:"p_holm"`
}

// ErrNoRecords says that there is nothing to evaluate.
var ErrNoRecords = errors.New("eval: no records")

// Majority returns the baseline that answers the most frequent of train always, the
// more cautious class at a tie.
func Majority(train []label.Class, n int) Baseline {
	var counts [label.Count]int
	best := label.Escalation.Index()
	for _, c := range train {
		if c.Valid() {
			counts[c.Index()]++
		}
	}
	for k, m := range counts {
		if m > 0 && m >= counts[best] {
			best = k
		}
	}
	class, _ := label.FromIndex(best)
	return Baseline{"majority", slices.Repeat([]label.Class{class}, n)}
}

// Evaluate computes every figure of a Report.
func Evaluate(records []Record, o Options, baselines ...Baseline) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	e, err := newEvaluation(records, o)
	if err != nil {
		return Report{}, err
	}
	r := Report{Schema: Schema, Options: o, N: len(records), LabelSources: map[string]int{}, Failures: e.failures}
	for _, rec := range records {
		r.LabelSources[rec.LabelSource]++
	}
	if r.Decision, r.Safety, err = e.decisions(); err != nil {
		return Report{}, err
	}
	if r.Calibration, r.Ranking, err = e.probabilities(); err != nil {
		return Report{}, err
	}
	if r.Baselines, err = e.compare(baselines); err != nil {
		return Report{}, err
	}
	r.Intervals, r.Domains = e.intervals(), e.slices(func(r Record) string { return r.Domain })
	if slices.ContainsFunc(records, func(r Record) bool { return r.Kind != "" }) {
		r.Kinds = e.slices(func(r Record) string { return r.Kind })
	}
	r.Headline = r.headline()
	return r, nil
}

func (r Report) headline() Headline {
	h := Headline{Accuracy: r.Decision.Accuracy.Rate, MacroF1: r.Decision.MacroFixed.F1,
		FalseAllow: r.Safety.FalseAllow.Rate, FalseAllowUpper: r.Safety.FalseAllow.UpperOneSided}
	if human := r.LabelSources[Human]; human != r.N {
		reason := fmt.Sprintf("%d of %d labels are not from independent people (label_source)", r.N-human, r.N)
		h.FalseAllow, h.FalseAllowUpper = Undefined(reason), Undefined(reason)
	}
	return h
}

// WriteJSON writes the report, indented.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
