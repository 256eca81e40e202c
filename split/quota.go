package split

import (
	"math"
	"slices"
)

// quotas fills want by the largest-remainder method, class by class.
func (d *deal) quotas(parts []Part) {
	behind := make([]float64, len(parts)) // share of all records so far, less what was given
	for c, n := range d.total {
		left, rest := n, make([]float64, len(parts))
		for p, part := range parts {
			share := float64(n) * part.Fraction
			whole := math.Floor(share)
			d.want[p][c], rest[p] = whole, share-whole
			behind[p] += share - whole
			left -= int(whole)
		}
		for ; left > 0; left-- {
			p := neediest(rest, behind)
			d.want[p][c]++
			rest[p]--
			behind[p]--
		}
	}
}

// neediest is the part with the largest remainder; among equals, the one
// furthest behind its overall share, then the earliest.
func neediest(rest, behind []float64) int {
	const same = 1e-9
	best := 0
	for p := range rest {
		if rest[p] > rest[best]+same || rest[p] > rest[best]-same && behind[p] > behind[best]+same {
			best = p
		}
	}
	return best
}

// sklearnQuotas splits the first part off the rest, then the next, as nested
// calls of train_test_split do.
func (d *deal) sklearnQuotas(parts []Part) error {
	rest := slices.Clone(d.total)
	for p := 0; p < len(parts)-1; p++ {
		var later float64
		for _, q := range parts[p+1:] {
			later += q.Fraction
		}
		train, test, err := d.sklearnPair(rest, later/(later+parts[p].Fraction), parts[p].Name)
		if err != nil {
			return err
		}
		for c := range train {
			d.want[p][c], d.want[p+1][c] = float64(train[c]), float64(test[c])
		}
		rest = test
	}
	return nil
}

// sklearnPair returns the counts per class of one stratified split. It keeps
// scikit-learn's order of float64 operations, on which the rounding depends.
func (d *deal) sklearnPair(counts []int, testSize float64, name string) (train, test []int, err error) {
	n := sum(counts)
	present := 0
	for c, m := range counts {
		if m == 1 {
			return nil, nil, &ScarceError{d.names[c], name, 1, 2, "records"}
		}
		present += min(m, 1)
	}
	nTest := int(math.Ceil(testSize * float64(n)))
	nTrain := n - nTest
	if least := min(nTest, nTrain); least < present {
		return nil, nil, &ScarceError{"(all)", name, least, present, "records"}
	}
	train = approximateMode(counts, nTrain)
	left := make([]int, len(counts))
	for c := range counts {
		left[c] = counts[c] - train[c]
	}
	return train, approximateMode(left, nTest), nil
}

// approximateMode draws n records in proportion to counts: floors first, then
// one each to the largest remainders.
func approximateMode(counts []int, n int) []int {
	total := float64(sum(counts))
	out, rest, order := make([]int, len(counts)), make([]float64, len(counts)), make([]int, len(counts))
	for c, m := range counts {
		x := float64(m) / total * float64(n)
		out[c] = int(math.Floor(x))
		rest[c], order[c] = x-math.Floor(x), c
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case rest[a] > rest[b]:
			return -1
		case rest[a] < rest[b]:
			return 1
		}
		return 0
	})
	for i, need := 0, n-sum(out); i < need && i < len(order); i++ {
		out[order[i]]++
	}
	return out
}
