package split

import (
	"errors"
	"fmt"
	"math"
)

// Mode is the rule that sets how many records of a class each part gets.
type Mode string

// Modes.
const (
	// LargestRemainder gives class c of n records floor(n·fraction) to each part
	// and the rest to the largest fractional parts; ties go to the part that is
	// furthest below its share of all records, then to the earlier part.
	LargestRemainder Mode = "largest_remainder"
	// Sklearn gives the counts of scikit-learn's train_test_split(stratify=…),
	// applied once for two parts and again to the rest for each further part
	// (formula: sklearn.utils.extmath._approximate_mode and
	// sklearn.model_selection._validate_shuffle_split). Where scikit-learn draws
	// among equal remainders at random, the earlier class name wins here. It knows
	// neither groups nor a minimum.
	Sklearn Mode = "sklearn"
)

// Part is one of the parts to make.
type Part struct {
	// Name is unique among the parts ("train").
	Name string `json:"name" yaml:"name"`
	// Fraction of all records, in (0, 1); the fractions sum to 1.
	Fraction float64 `json:"fraction" yaml:"fraction"`
}

// Options of Stratified.
type Options struct {
	// Parts to make, 2 to 255; default train 0.8, val 0.1, test 0.1.
	Parts []Part `json:"parts" yaml:"parts"`
	// Seed enters the hash that orders records; any value, default 42.
	Seed uint64 `json:"seed" yaml:"seed"`
	// MinPerClass is the least number of records of each class in each part, ≥ 0;
	// default 1. A class with too few units is a *ScarceError.
	MinPerClass int `json:"min_per_class" yaml:"min_per_class"`
	// AllowEmpty accepts a part that gets no record; default false.
	AllowEmpty bool `json:"allow_empty" yaml:"allow_empty"`
	// Mode is LargestRemainder (default) or Sklearn.
	Mode Mode `json:"mode" yaml:"mode"`
}

// DefaultOptions returns the documented defaults.
func DefaultOptions() Options {
	return Options{
		Parts:       []Part{{"train", 0.8}, {"val", 0.1}, {"test", 0.1}},
		Seed:        42,
		MinPerClass: 1,
		Mode:        LargestRemainder,
	}
}

// OptionError names an option that is out of range.
type OptionError struct {
	Option string
	Value  any
	Want   string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("split: option %s is %v, want %s", e.Option, e.Value, e.Want)
}

// Validate reports the first option out of range as an *OptionError.
func (o Options) Validate() error {
	if len(o.Parts) < 2 || len(o.Parts) > 255 {
		return &OptionError{"parts", len(o.Parts), "2 to 255 parts"}
	}
	sum, seen := 0.0, map[string]bool{}
	for _, p := range o.Parts {
		if !(p.Fraction > 0 && p.Fraction < 1) {
			return &OptionError{"parts." + p.Name + ".fraction", p.Fraction, "a number between 0 and 1"}
		}
		if p.Name == "" || seen[p.Name] {
			return &OptionError{"parts.name", p.Name, "a name used once"}
		}
		seen[p.Name] = true
		sum += p.Fraction
	}
	switch {
	case math.Abs(sum-1) > 1e-9:
		return &OptionError{"parts.fraction", sum, "a sum of 1"}
	case o.MinPerClass < 0:
		return &OptionError{"min_per_class", o.MinPerClass, "0 or more"}
	case o.Mode != LargestRemainder && o.Mode != Sklearn:
		return &OptionError{"mode", o.Mode, "largest_remainder or sklearn"}
	}
	return nil
}

// Sentinels for errors.Is.
var (
	// ErrNoItems means an empty input.
	ErrNoItems = errors.New("split: nothing to split")
	// ErrGroups means group keys in a mode without groups.
	ErrGroups = errors.New("split: mode sklearn knows no groups")
	// ErrNoID means that Keys.ID is nil.
	ErrNoID = errors.New("split: Keys.ID is required: the order of records must not matter")
)

// ScarceError means a class too small for what is asked.
type ScarceError struct {
	Class string
	Part  string // the part that stays short; "" when it is not about one part
	Have  int    // records, or units that could have been moved
	Want  int
	What  string
}

// Error implements error.
func (e *ScarceError) Error() string {
	part := ""
	if e.Part != "" {
		part = fmt.Sprintf(" for part %q", e.Part)
	}
	return fmt.Sprintf("split: class %q%s: %d %s, want at least %d", e.Class, part, e.Have, e.What, e.Want)
}

// EmptyPartError means a part that would get no record.
type EmptyPartError struct {
	Part  string
	Items int
	Units int
}

// Error implements error.
func (e *EmptyPartError) Error() string {
	return fmt.Sprintf("split: part %q stays empty: %d records in %d units", e.Part, e.Items, e.Units)
}
