package label

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
)

// BalanceMode says how Balance evens out the classes.
type BalanceMode string

// Modes of Balance.
const (
	BalanceNone BalanceMode = "none" // nothing changes
	BalanceDown BalanceMode = "down" // every class to the size of the smallest present
	BalanceUp   BalanceMode = "up"   // every class to the size of the largest, by repeating
	BalanceCap  BalanceMode = "cap"  // no class above Cap
)

// BalanceOptions of Balance.
type BalanceOptions struct {
	// Mode defaults to "down".
	Mode BalanceMode `json:"mode" yaml:"mode"`
	// Cap is the most items of a class in mode "cap", ≥ 1; default 1,000.
	Cap int `json:"cap" yaml:"cap"`
	// Seed chooses which items go or are repeated; default 42.
	Seed uint64 `json:"seed" yaml:"seed"`
	// RequireAll makes an absent class an error (*AbsentError); default true. Without
	// it absent classes are listed in the report.
	RequireAll bool `json:"require_all" yaml:"require_all"`
}

// DefaultBalanceOptions returns the documented defaults.
func DefaultBalanceOptions() BalanceOptions {
	return BalanceOptions{Mode: BalanceDown, Cap: 1000, Seed: 42, RequireAll: true}
}

// ErrBalanceOption means options out of range.
var ErrBalanceOption = errors.New("label: balance option")

// Validate reports the first option out of range; it wraps ErrBalanceOption.
func (o BalanceOptions) Validate() error {
	if !slices.Contains([]BalanceMode{BalanceNone, BalanceDown, BalanceUp, BalanceCap}, o.Mode) {
		return fmt.Errorf("%w: mode is %q, want none, down, up or cap", ErrBalanceOption, o.Mode)
	}
	if o.Mode == BalanceCap && o.Cap < 1 {
		return fmt.Errorf("%w: cap is %d, want at least 1", ErrBalanceOption, o.Cap)
	}
	return nil
}

// AbsentError lists classes that no item has.
type AbsentError struct{ Classes []Class }

// Error implements error.
func (e *AbsentError) Error() string {
	return fmt.Sprintf("label: no item of class %v", e.Classes)
}

// BalanceReport says what Balance did, per class name.
type BalanceReport struct {
	Options BalanceOptions `json:"options"`
	Before  map[string]int `json:"before"`
	After   map[string]int `json:"after"`
	// Unlabelled items are left out, whatever the mode but "none".
	Unlabelled int     `json:"unlabelled"`
	Absent     []Class `json:"absent,omitempty"`
}

// Balance evens out the classes of a training part; validation and test parts
// keep their natural shares and must not be balanced. class gives an item's class,
// id its content hash: which items stay depends on seed and ids only, not on
// their order. Items stay in input order, repeats next to each other.
func Balance[T any](items []T, class func(T) Class, id func(T) string, o BalanceOptions) ([]T, BalanceReport, error) {
	r := BalanceReport{Options: o, Before: map[string]int{}, After: map[string]int{}}
	if err := o.Validate(); err != nil {
		return nil, r, err
	}
	var byClass [Count][]ranked
	for i, it := range items {
		if c := class(it); c.Valid() {
			byClass[c.Index()] = append(byClass[c.Index()], ranked{i, rank(id(it), o.Seed)})
		} else {
			r.Unlabelled++
		}
	}
	smallest, largest := r.count(byClass)
	if len(r.Absent) > 0 && o.RequireAll && o.Mode != BalanceNone {
		return nil, r, &AbsentError{r.Absent}
	}
	copies := make([]int, len(items))
	for c, list := range byClass {
		share(list, o.target(len(list), smallest, largest), copies)
		r.After[Class(c+1).String()] = o.target(len(list), smallest, largest)
	}
	if o.Mode == BalanceNone {
		return items, r, nil
	}
	var out []T
	for i, n := range copies {
		for range n {
			out = append(out, items[i])
		}
	}
	return out, r, nil
}

type ranked struct {
	item int
	key  uint64
}

func rank(id string, seed uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s", seed, id)
	// FNV's high bits hardly depend on the last bytes; mix as SplitMix64 does.
	z := h.Sum64()
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *BalanceReport) count(byClass [Count][]ranked) (smallest, largest int) {
	for c, list := range byClass {
		n := len(list)
		r.Before[Class(c+1).String()] = n
		if n == 0 {
			r.Absent = append(r.Absent, Class(c+1))
			continue
		}
		if smallest == 0 || n < smallest {
			smallest = n
		}
		largest = max(largest, n)
	}
	return smallest, largest
}

func (o BalanceOptions) target(n, smallest, largest int) int {
	switch {
	case n == 0:
		return 0
	case o.Mode == BalanceDown:
		return smallest
	case o.Mode == BalanceUp:
		return largest
	case o.Mode == BalanceCap:
		return min(n, o.Cap)
	}
	return n
}

// share gives every item of one class the same number of copies and the rest to
// those of least rank.
func share(list []ranked, target int, copies []int) {
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.item, b.item)) })
	for i, x := range list {
		copies[x.item] = target / len(list)
		if i < target%len(list) {
			copies[x.item]++
		}
	}
}
