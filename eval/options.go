package eval

import (
	"fmt"

	"github.com/borea-go/borea/label"
)

// Options of Evaluate; start from DefaultOptions.
type Options struct {
	// Confidence of all bounds and intervals, in (0, 1); default 0.95.
	Confidence float64 `json:"confidence" yaml:"confidence"`
	// Bins of the reliability diagrams, at least 1; default 15.
	Bins int `json:"bins" yaml:"bins"`
	// Bootstrap of accuracy, macro F1 and MCC.
	Bootstrap BootstrapOptions `json:"bootstrap" yaml:"bootstrap"`
	// Cost is what truth i called j costs, [4][4]; nil (default) for none.
	Cost [][]float64 `json:"cost,omitempty" yaml:"cost,omitempty"`
}

// DefaultOptions are 95 %, 15 bins and 2,000 replicates.
func DefaultOptions() Options {
	return Options{Confidence: 0.95, Bins: 15, Bootstrap: BootstrapOptions{Replicates: 2000, Seed: 42}}
}

// Validate reports an option outside its range.
func (o Options) Validate() error {
	switch r := o.Bootstrap.Replicates; {
	case !(o.Confidence > 0 && o.Confidence < 1):
		return &OptionError{"confidence", o.Confidence, "between 0 and 1"}
	case o.Bins < 1:
		return &OptionError{"bins", o.Bins, "at least 1"}
	case r != 0 && r < 100:
		return &OptionError{"bootstrap.replicates", r, "0 or at least 100"}
	}
	if o.Cost == nil {
		return nil
	}
	ok := len(o.Cost) == label.Count
	for _, row := range o.Cost {
		ok = ok && len(row) == label.Count
	}
	if !ok {
		return &OptionError{"cost", o.Cost, fmt.Sprintf("%d rows of %d", label.Count, label.Count)}
	}
	return nil
}
