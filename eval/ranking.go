package eval

import (
	"cmp"
	"fmt"
	"slices"
)

// Point is one operating point of a classifier that calls a sample positive when its
// score is at least Threshold.
type Point struct {
	Threshold float64 `json:"threshold"`
	TP        int     `json:"tp"`
	FP        int     `json:"fp"`
}

// Ranking holds the operating points of a score, by falling threshold.
type Ranking struct {
	// Points has one entry a distinct score.
	Points []Point
	// Positives and Negatives count the samples.
	Positives, Negatives int
}

// NewRanking sorts scores. NaN is a *ValueError.
func NewRanking(score []float64, positive []bool) (Ranking, error) {
	if len(score) != len(positive) {
		return Ranking{}, fmt.Errorf("%w: %d scores and %d outcomes", ErrShape, len(score), len(positive))
	}
	order := make([]int, len(score))
	for i, s := range score {
		if s != s {
			return Ranking{}, &ValueError{i, "the score is NaN"}
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	var r Ranking
	for rank, i := range order {
		if positive[i] {
			r.Positives++
		} else {
			r.Negatives++
		}
		if rank+1 == len(order) || score[order[rank+1]] != score[i] {
			r.Points = append(r.Points, Point{score[i], r.Positives, r.Negatives})
		}
	}
	return r, nil
}

// AUROC is the chance that a positive scores above a negative, ties counting half
// (the area under the ROC curve by trapezoids; Mann–Whitney with mid-ranks).
func (r Ranking) AUROC() Measure {
	if r.Positives == 0 || r.Negatives == 0 {
		return Undefined(r.missing())
	}
	var area float64
	var was Point
	for _, p := range r.Points {
		area += float64(p.FP-was.FP) * float64(p.TP+was.TP) / 2
		was = p
	}
	return Defined(area / float64(r.Positives) / float64(r.Negatives))
}

// AveragePrecision is Σ (R_n − R_{n−1}) P_n over falling thresholds, without
// interpolation.
func (r Ranking) AveragePrecision() Measure {
	if r.Positives == 0 {
		return Undefined(r.missing())
	}
	var sum float64
	var was Point
	for _, p := range r.Points {
		sum += float64(p.TP-was.TP) / float64(r.Positives) * float64(p.TP) / float64(p.TP+p.FP)
		was = p
	}
	return Defined(sum)
}

func (r Ranking) missing() string {
	if r.Positives == 0 {
		return "no sample of the class"
	}
	return "no sample of any other class"
}
