package eval

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Bin is one bin of a reliability diagram.
type Bin struct {
	// Low and High are its edges; for equal-mass bins the smallest and largest
	// confidence in it.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// N is the number of samples; Confidence and Accuracy are means over them, 0 if none.
	N          int     `json:"n"`
	Confidence float64 `json:"confidence"`
	Accuracy   float64 `json:"accuracy"`
}

// Binning says how confidences are grouped.
type Binning string

// Binnings.
const (
	EqualWidth Binning = "equal_width" // [k/B, (k+1)/B), 1 into the last bin
	EqualMass  Binning = "equal_mass"  // as equal counts as ties allow
)

// Bins groups confidences in [0, 1] with whether each was right.
func Bins(conf []float64, right []bool, bins int, by Binning) ([]Bin, error) {
	if len(conf) != len(right) || bins < 1 {
		return nil, fmt.Errorf("%w: %d confidences, %d outcomes, %d bins", ErrShape, len(conf), len(right), bins)
	}
	for i, c := range conf {
		if !(c >= 0 && c <= 1) {
			return nil, &ValueError{i, fmt.Sprintf("confidence %v", c)}
		}
	}
	if by == EqualMass {
		return massBins(conf, right, bins), nil
	}
	out := make([]Bin, bins)
	for b := range out {
		out[b].Low, out[b].High = float64(b)/float64(bins), float64(b+1)/float64(bins)
	}
	for i, c := range conf {
		out[widthBin(c, bins)].add(c, right[i])
	}
	return finish(out), nil
}

// widthBin compares with the edges themselves: c·bins may round across one.
func widthBin(c float64, bins int) int {
	b := min(int(c*float64(bins)), bins-1)
	switch {
	case b > 0 && c < float64(b)/float64(bins):
		b--
	case b < bins-1 && c >= float64(b+1)/float64(bins):
		b++
	}
	return b
}

func (b *Bin) add(conf float64, right bool) {
	b.N++
	b.Confidence += conf
	if right {
		b.Accuracy++
	}
}

func finish(bins []Bin) []Bin {
	for i := range bins {
		if b := &bins[i]; b.N > 0 {
			b.Confidence /= float64(b.N)
			b.Accuracy /= float64(b.N)
		}
	}
	return bins
}

// massBins cuts the sorted confidences at i·N/B, moved past equal values so that the
// result does not depend on the order of ties.
func massBins(conf []float64, right []bool, bins int) (out []Bin) {
	order := make([]int, len(conf))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(conf[a], conf[b]) })
	for first, b := 0, 1; b <= bins && first < len(order); b++ {
		end := b * len(order) / bins
		if end <= first {
			continue
		}
		for end < len(order) && conf[order[end]] == conf[order[end-1]] {
			end++
		}
		bin := Bin{Low: conf[order[first]], High: conf[order[end-1]]}
		for _, i := range order[first:end] {
			bin.add(conf[i], right[i])
		}
		out, first = append(out, bin), end
	}
	return finish(out)
}

// CalibrationError is the gap between confidence and accuracy over bins, weighted by
// their samples: L1 is the expected calibration error (ECE), L2 its root mean square,
// Max the largest gap.
type CalibrationError struct {
	L1  Measure `json:"l1"`
	L2  Measure `json:"l2"`
	Max Measure `json:"max"`
}

// ErrorOf computes the calibration error of bins.
func ErrorOf(bins []Bin) CalibrationError {
	var n, l1, l2, worst float64
	for _, b := range bins {
		w, gap := float64(b.N), math.Abs(b.Accuracy-b.Confidence)
		if b.N > 0 {
			n, l1, l2, worst = n+w, l1+w*gap, l2+w*gap*gap, max(worst, gap)
		}
	}
	if n == 0 {
		none := Undefined("no samples with probabilities")
		return CalibrationError{none, none, none}
	}
	return CalibrationError{Defined(l1 / n), Defined(math.Sqrt(l2 / n)), Defined(worst)}
}

// CheckProbabilities verifies rows [N, classes] of probabilities: each in [0, 1] and
// each row summing to 1 within 1e-3, wide enough for float32 output.
func CheckProbabilities(p []float64, classes int) error {
	if classes < 2 || len(p)%classes != 0 {
		return fmt.Errorf("%w: %d probabilities of %d classes", ErrShape, len(p), classes)
	}
	for i := 0; i < len(p); i += classes {
		var sum float64
		for k, v := range p[i : i+classes] {
			if !(v >= 0 && v <= 1) {
				return &ValueError{i / classes, fmt.Sprintf("probability %v of class %d", v, k)}
			}
			sum += v
		}
		if !(math.Abs(sum-1) <= 1e-3) {
			return &ValueError{i / classes, fmt.Sprintf("probabilities sum to %v", sum)}
		}
	}
	return nil
}

// TopLabel returns the largest probability of each row of p [N, classes] and whether
// its class (the first at a tie) is the truth.
func TopLabel(p []float64, classes int, truth []int) (conf []float64, right []bool) {
	for i, y := range truth {
		row, top := p[i*classes:(i+1)*classes], 0
		for k, v := range row {
			if v > row[top] {
				top = k
			}
		}
		conf, right = append(conf, row[top]), append(right, top == y)
	}
	return conf, right
}

// OneVsRest returns the probabilities of class k and whether the truth is k.
func OneVsRest(p []float64, classes int, truth []int, k int) (score []float64, positive []bool) {
	for i, y := range truth {
		score, positive = append(score, p[i*classes+k]), append(positive, y == k)
	}
	return score, positive
}

// Brier is the mean over samples of Σ_k (p_k − 1[y=k])², between 0 and 2 (Brier 1950).
// For two classes it is twice scikit-learn's binary score.
func Brier(p []float64, classes int, truth []int) Measure {
	var sum float64
	for i, y := range truth {
		for k, v := range p[i*classes : (i+1)*classes] {
			if k == y {
				v = 1 - v
			}
			sum += v * v
		}
	}
	return ratio(sum, float64(len(truth)), "no samples with probabilities")
}

// NLL is the mean of −ln p_y; undefined when some p_y is 0.
func NLL(p []float64, classes int, truth []int) Measure {
	var sum float64
	for i, y := range truth {
		if p[i*classes+y] == 0 {
			return Undefined("the true class of a sample has probability 0")
		}
		sum -= math.Log(p[i*classes+y])
	}
	return ratio(sum, float64(len(truth)), "no samples with probabilities")
}
