package split

import (
	"cmp"
	"math"
	"slices"
)

// Keys says what the records are split by.
type Keys[T any] struct {
	// ID is the record's content hash; required. Records of equal ID stay together.
	ID func(T) string
	// Class is the stratum; nil puts all records in one.
	Class func(T) string
	// Groups lists keys (template, host, cluster) whose records stay together; nil
	// means none. Empty strings are ignored.
	Groups func(T) []string
}

func (k Keys[T]) class(item T) string {
	if k.Class == nil {
		return ""
	}
	return k.Class(item)
}

// Result says which part each record went to.
type Result struct {
	// Part[i] is the index in Options.Parts of item i.
	Part []uint8
	// Report has the counts and the proof.
	Report Report
}

// Stratified splits items. Errors: *OptionError, ErrNoItems, ErrNoID, ErrGroups,
// *ScarceError, *EmptyPartError. Memory: about 80 bytes a record beside items.
func Stratified[T any](items []T, k Keys[T], o Options) (*Result, error) {
	if err := check(items, k, o); err != nil {
		return nil, err
	}
	d := newDeal(items, k, o)
	if err := d.run(o); err != nil {
		return nil, err
	}
	part := make([]uint8, len(items))
	for i := range part {
		part[i] = d.part[d.unit[i]]
	}
	r := &Result{Part: part, Report: d.report(o)}
	r.Report.Proof = Verify(items, k, part, o.Parts)
	return r, nil
}

func check[T any](items []T, k Keys[T], o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	switch {
	case k.ID == nil:
		return ErrNoID
	case len(items) == 0:
		return ErrNoItems
	case o.Mode == Sklearn && k.Groups != nil:
		return ErrGroups
	}
	return nil
}

// Take returns the items of one part, in input order; nil for an index that is
// no part.
func Take[T any](items []T, r *Result, part int) []T {
	var out []T
	for i, p := range r.Part {
		if int(p) == part && i < len(items) {
			out = append(out, items[i])
		}
	}
	return out
}

// deal is the state of one split. Units are in the order in which they are dealt.
type deal struct {
	names []string    // classes, sorted
	total []int       // records per class
	class []int32     // per item
	unit  []int32     // per item
	start []int32     // unit u's items are byUnit[start[u]:start[u+1]]
	items []int32     // item indices by unit
	part  []uint8     // per unit
	have  [][]int     // per part and class
	want  [][]float64 // per part and class
	count []int       // scratch per class
}

func newDeal[T any](items []T, k Keys[T], o Options) *deal {
	d := &deal{}
	d.names, d.total, d.class = classes(items, k)
	hash := itemHashes(items, k, o.Seed)
	root := singles(len(items))
	if o.Mode != Sklearn {
		root = join(items, k, hash)
	}
	d.order(root, hash, o.Mode)
	d.part = make([]uint8, len(d.start)-1)
	d.count = make([]int, len(d.names))
	d.have = make([][]int, len(o.Parts))
	d.want = make([][]float64, len(o.Parts))
	for p := range d.have {
		d.have[p] = make([]int, len(d.names))
		d.want[p] = make([]float64, len(d.names))
	}
	return d
}

// classes returns the class names in order, their sizes, and each item's index.
func classes[T any](items []T, k Keys[T]) (names []string, total []int, class []int32) {
	index := map[string]int32{}
	for _, it := range items {
		index[k.class(it)] = 0
	}
	for n := range index {
		names = append(names, n)
	}
	slices.Sort(names)
	for i, n := range names {
		index[n] = int32(i)
	}
	total, class = make([]int, len(names)), make([]int32, len(items))
	for i, it := range items {
		class[i] = index[k.class(it)]
		total[class[i]]++
	}
	return names, total, class
}

// order numbers the units in dealing order: large ones first, because a small
// unit can still fill what a large one left, then by hash. The hash of a unit is
// the least of its records', which does not depend on the order of input.
func (d *deal) order(root []int32, hash []uint64, m Mode) {
	least, size := slices.Clone(hash), make([]int32, len(root))
	var roots []int32
	for i, r := range root {
		least[r] = min(least[r], hash[i])
		size[r]++
		if int32(i) == r {
			roots = append(roots, r)
		}
	}
	slices.SortFunc(roots, func(a, b int32) int {
		return cmp.Or(cmp.Compare(size[b], size[a]), cmp.Compare(least[a], least[b]), cmp.Compare(a, b))
	})
	d.start = make([]int32, 1, len(roots)+1)
	rank := size // by root, from here on
	for u, r := range roots {
		d.start = append(d.start, d.start[u]+size[r])
		rank[r] = int32(u)
	}
	d.unit, d.items = make([]int32, len(root)), make([]int32, len(root))
	next := slices.Clone(d.start)
	for i, r := range root {
		u := rank[r]
		d.unit[i] = u
		d.items[next[u]] = int32(i)
		next[u]++
	}
}

// run sets the quotas, deals, and repairs what falls short.
func (d *deal) run(o Options) error {
	if o.Mode == Sklearn {
		if err := d.sklearnQuotas(o.Parts); err != nil {
			return err
		}
	} else {
		d.quotas(o.Parts)
	}
	d.assign()
	if o.Mode == LargestRemainder {
		if err := d.repair(o); err != nil {
			return err
		}
	}
	for p := range o.Parts {
		if sum(d.have[p]) == 0 && !o.AllowEmpty {
			return &EmptyPartError{o.Parts[p].Name, len(d.unit), len(d.part)}
		}
	}
	return nil
}

func sum[N int | float64](v []N) (s N) {
	for _, x := range v {
		s += x
	}
	return s
}

// tally counts unit u's records per class in d.count and returns the classes in
// it; the caller clears them.
func (d *deal) tally(u int, found []int32) []int32 {
	found = found[:0]
	for _, i := range d.items[d.start[u]:d.start[u+1]] {
		c := d.class[i]
		if d.count[c] == 0 {
			found = append(found, c)
		}
		d.count[c]++
	}
	return found
}

func (d *deal) clear(found []int32) {
	for _, c := range found {
		d.count[c] = 0
	}
}

// assign gives each unit, in order, to the part whose distance from its quotas
// shrinks most; ties go to the part with the largest total need, then to
// the earlier one. Units of one record each fill the quotas exactly.
func (d *deal) assign() {
	var found []int32
	for u := range d.part {
		found = d.tally(u, found)
		best, bestCost, bestNeed := 0, math.Inf(1), math.Inf(-1)
		for p := range d.have {
			cost, need := d.cost(p, found)
			if cost < bestCost || cost == bestCost && need > bestNeed {
				best, bestCost, bestNeed = p, cost, need
			}
		}
		d.give(u, best, found, 1)
		d.clear(found)
	}
}

// cost is the change of Σ_c (have−want)²/want (Pearson's χ², so that a rare class
// weighs as much as a common one) if the tallied unit goes to
// part p, and the need of p for the unit's classes.
func (d *deal) cost(p int, found []int32) (cost, need float64) {
	for _, c := range found {
		gap, n := d.want[p][c]-float64(d.have[p][c]), float64(d.count[c])
		cost += n * (n - 2*gap) / max(1, d.want[p][c])
		need += gap
	}
	return cost, need
}

func (d *deal) give(u, p int, found []int32, sign int) {
	if sign > 0 {
		d.part[u] = uint8(p)
	}
	for _, c := range found {
		d.have[p][c] += sign * d.count[c]
	}
}
