package eval

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/borea-go/borea/label"
)

// Record is one judged sample: all that is needed to recompute any figure.
type Record struct {
	// ID names the sample.
	ID string `json:"id,omitempty"`
	// Truth is the label, Pred the decision. A missing decision counts as a failure and
	// as ESCALATION, never as ALLOW.
	Truth label.Class `json:"truth"`
	Pred  label.Class `json:"pred"`
	// P holds the four probabilities in index order; nil if there are none.
	P []float64 `json:"p,omitempty"`
	// Failure says why the sample could not be judged; "" if it was. Failures count in
	// decisions and not in probabilities.
	Failure string `json:"failure,omitempty"`
	// Cluster names the document or template; samples of one are resampled together.
	// "" is a cluster of its own.
	Cluster string `json:"cluster,omitempty"`
	// Domain is a slice to report separately.
	Domain string `json:"domain,omitempty"`
	// Kind is another slice: "pair" for minimal pairs, "danger", …; "" for none.
	Kind string `json:"kind,omitempty"`
	// LabelSource says who made Truth: "human", "rules", "author", …
	LabelSource string `json:"label_source,omitempty"`
}

// Human is the label source of independent human gold.
const Human = "human"

// RecordsOf pairs truths with decisions and probabilities (nil for none), for callers
// that have nothing else.
func RecordsOf(truth, pred []label.Class, p [][label.Count]float64, labelSource string) ([]Record, error) {
	if len(truth) != len(pred) || p != nil && len(p) != len(truth) {
		return nil, fmt.Errorf("%w: %d truths, %d decisions, %d rows of probabilities", ErrShape, len(truth), len(pred), len(p))
	}
	out := make([]Record, len(truth))
	for i := range out {
		out[i] = Record{Truth: truth[i], Pred: pred[i], LabelSource: labelSource}
		if p != nil {
			out[i].P = append([]float64(nil), p[i][:]...)
		}
	}
	return out, nil
}

// WriteRecords writes JSON Lines.
func WriteRecords(w io.Writer, records []Record) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for i := range records {
		if err := enc.Encode(&records[i]); err != nil {
			return fmt.Errorf("eval: record %d: %w", i, err)
		}
	}
	return b.Flush()
}

// ReadRecords reads what WriteRecords wrote. The first error ends the sequence.
func ReadRecords(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		dec := json.NewDecoder(r)
		for i := 0; ; i++ {
			var rec Record
			err := dec.Decode(&rec)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(rec, fmt.Errorf("eval: record %d, byte %d: %w", i, dec.InputOffset(), err))
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}
