package eval

import (
	"fmt"
	"slices"

	"github.com/borea-go/borea/label"
)

// Certificate is the way a threshold is guaranteed.
type Certificate string

// Certificates.
const (
	// ConformalRisk bounds the expected false-allow rate: the smallest τ with
	// (misses+1)/(n+1) ≤ α (Angelopoulos et al. 2022, arXiv:2208.02814, with a loss in {0, 1}).
	ConformalRisk Certificate = "conformal_risk_control"
	// LearnThenTest bounds the false-allow rate with probability 1−δ over calibration
	// sets: the smallest τ whose exact binomial upper bound is ≤ α. The bound rises with
	// the misses and those fall with τ, so testing from the strictest τ downwards stops
	// at it (Bates et al. 2021, arXiv:2101.02703; Angelopoulos et al. 2021, arXiv:2110.01052).
	LearnThenTest Certificate = "learn_then_test"
)

// Threshold is a certified rule: ALLOW stays only where p(ALLOW) > Tau.
type Threshold struct {
	// Method, Alpha (the largest false-allow rate) and Delta (Learn-then-Test only) are
	// what was asked for.
	Method Certificate `json:"method"`
	Alpha  float64     `json:"alpha"`
	Delta  float64     `json:"delta"`
	// Tau is the threshold; 1, which allows nothing, when infeasible.
	Tau float64 `json:"tau"`
	// Feasible is false when the calibration set is too small or no Tau below 1 will do.
	Feasible bool `json:"feasible"`
	// Reason says why not.
	Reason string `json:"reason,omitempty"`
	// Unsafe is the number of unsafe calibration samples, Misses those that Tau allows.
	Unsafe int `json:"unsafe"`
	Misses int `json:"misses"`
}

// Apply keeps every decision but ALLOW, and ALLOW where p(ALLOW) exceeds the
// threshold; other ALLOWs become ESCALATION. It can only add refusals.
func (t Threshold) Apply(decision label.Class, pAllow float64) label.Class {
	if decision == label.Allow && !(t.Feasible && pAllow > t.Tau) {
		return label.Escalation
	}
	return decision
}

// CertifyAllow chooses the smallest certified threshold. scores holds, for each unsafe
// (DENY or REFUSE) calibration sample, p(ALLOW) if the judge would decide ALLOW without
// a threshold, and −1 if not. The guarantee needs labels from people, calibration
// samples exchangeable with those met in use, and disjoint from those that fitted a
// temperature or will test; it is void under a shift.
func CertifyAllow(scores []float64, method Certificate, alpha, delta float64) (Threshold, error) {
	t := Threshold{Method: method, Alpha: alpha, Tau: 1, Unsafe: len(scores)}
	accept := t.rule(delta)
	switch {
	case accept == nil:
		return t, &OptionError{"method", method, "conformal_risk_control or learn_then_test"}
	case !(alpha > 0 && alpha < 1):
		return t, &OptionError{"alpha", alpha, "between 0 and 1"}
	case method == LearnThenTest && !(delta > 0 && delta < 1):
		return t, &OptionError{"delta", delta, "between 0 and 1"}
	}
	if method == LearnThenTest {
		t.Delta = delta
	}
	sorted, err := sortScores(scores)
	if err != nil {
		return t, err
	}
	if !accept(0) {
		t.Reason = fmt.Sprintf("%d unsafe calibration samples are too few for a rate of %g even without a miss", len(scores), alpha)
		return t, nil
	}
	t.lower(sorted, accept)
	return t, nil
}

// rule returns whether a number of misses is acceptable; nil for an unknown method.
func (t Threshold) rule(delta float64) func(misses int) bool {
	n := t.Unsafe
	switch t.Method {
	case ConformalRisk:
		return func(m int) bool { return float64(m+1)/float64(n+1) <= t.Alpha }
	case LearnThenTest:
		return func(m int) bool { return n > 0 && UpperBound(m, n, 1-delta) <= t.Alpha }
	}
	return nil
}

func sortScores(scores []float64) ([]float64, error) {
	for i, s := range scores {
		if s != -1 && !(s >= 0 && s <= 1) {
			return nil, &ValueError{i, fmt.Sprintf("score %v, want 0 to 1, or -1", s)}
		}
	}
	sorted := slices.Clone(scores)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	return sorted, nil
}

// lower walks τ down through the scores, largest first: τ equal to a score excludes it
// and lets in all above.
func (t *Threshold) lower(sorted []float64, accept func(int) bool) {
	for i := 0; i <= len(sorted); {
		tau := 0.0
		if i < len(sorted) {
			tau = max(0, sorted[i])
		}
		if !accept(i) {
			break
		}
		t.Tau, t.Misses = tau, i
		if tau == 0 {
			break
		}
		for at := tau; i < len(sorted) && sorted[i] == at; {
			i++
		}
	}
	t.Feasible = t.Tau < 1
	if !t.Feasible {
		t.Reason = "unsafe calibration samples have p(ALLOW) = 1"
	}
}
