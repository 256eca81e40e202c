package eval

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// BootstrapOptions says how to resample.
type BootstrapOptions struct {
	// Replicates is the number of resamples, 0 for no intervals, else at least 100;
	// default 2,000.
	Replicates int `json:"replicates" yaml:"replicates"`
	// Seed of the resampling; default 42.
	Seed uint64 `json:"seed" yaml:"seed"`
}

// Interval holds two bootstrap intervals of one figure.
type Interval struct {
	// Percentile is the plain interval of the replicates' quantiles.
	Percentile [2]Measure `json:"percentile"`
	// BCa corrects it for bias and acceleration (Efron 1987).
	BCa [2]Measure `json:"bca"`
	// Clusters is the number of units that were resampled; Replicates how many resamples
	// had a defined figure.
	Clusters   int `json:"clusters"`
	Replicates int `json:"replicates"`
}

// Bootstrap resamples whole clusters (documents, templates), so that dependent samples
// stay together, and computes statistic on each resample. clusters lists sample
// indices; statistic gets the indices of a resample and may return an undefined
// Measure, whose replicate is left out. Its time is that of Replicates + len(clusters)
// calls. Never use it for a rate without any event: every resample then gives 0 (Rate
// has an exact bound).
func Bootstrap(clusters [][]int, statistic func(samples []int) Measure, confidence float64, o BootstrapOptions) Interval {
	return bootstrap(samples{clusters, statistic}, confidence, o)
}

// resampled is a statistic of units that can be drawn several times or left out.
type resampled interface {
	units() int
	drawn(counts []int) Measure
	without() []Measure // unit i left out, at i
}

// samples is a statistic of sample indices.
type samples struct {
	clusters  [][]int
	statistic func(samples []int) Measure
}

func (s samples) units() int { return len(s.clusters) }

func (s samples) drawn(counts []int) Measure {
	var all []int
	for u, n := range counts {
		for range n {
			all = append(all, s.clusters[u]...)
		}
	}
	return s.statistic(all)
}

func (s samples) without() []Measure {
	out, counts := make([]Measure, len(s.clusters)), ones(len(s.clusters))
	for i := range out {
		counts[i] = 0
		out[i] = s.drawn(counts)
		counts[i] = 1
	}
	return out
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

func bootstrap(s resampled, confidence float64, o BootstrapOptions) Interval {
	iv := Interval{Clusters: s.units()}
	if iv.Clusters < 2 || o.Replicates == 0 {
		return iv.undefined("fewer than two clusters, or no replicates asked for")
	}
	estimate, ok := s.drawn(ones(iv.Clusters)).Value()
	dist := resample(s, o)
	iv.Replicates = len(dist)
	if !ok || len(dist) < o.Replicates/2 {
		return iv.undefined("the figure is undefined on the data or on most resamples")
	}
	tail := (1 - confidence) / 2
	iv.Percentile = [2]Measure{Defined(quantile(dist, tail)), Defined(quantile(dist, 1-tail))}
	iv.BCa = bca(dist, estimate, defined(s.without()), tail)
	return iv
}

func (iv Interval) undefined(reason string) Interval {
	none := Undefined(reason)
	iv.Percentile, iv.BCa = [2]Measure{none, none}, [2]Measure{none, none}
	return iv
}

// resample returns the sorted defined figures. Each replicate has its own generator, so
// that it does not depend on the others.
func resample(s resampled, o BootstrapOptions) (dist []float64) {
	counts := make([]int, s.units())
	for r := range o.Replicates {
		rng := rand.New(rand.NewPCG(o.Seed, uint64(r)))
		clear(counts)
		for range counts {
			counts[rng.IntN(len(counts))]++
		}
		if v, ok := s.drawn(counts).Value(); ok {
			dist = append(dist, v)
		}
	}
	slices.Sort(dist)
	return dist
}

func defined(all []Measure) (out []float64) {
	for _, m := range all {
		if v, ok := m.Value(); ok {
			out = append(out, v)
		}
	}
	return out
}

// quantile interpolates linearly between order statistics (type 7 of Hyndman and Fan).
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// bca is Efron's interval: z0 = Φ⁻¹(share of replicates below the estimate, ties half),
// a = Σd³/(6(Σd²)^1.5) with d the jackknife's deviations from its mean, and quantiles at
// Φ(z0 + (z0+z)/(1−a(z0+z))).
func bca(sorted []float64, estimate float64, jack []float64, tail float64) [2]Measure {
	var below, equal float64
	for _, v := range sorted {
		if v < estimate {
			below++
		} else if v == estimate {
			equal++
		}
	}
	share := (below + equal/2) / float64(len(sorted))
	if share == 0 || share == 1 {
		none := Undefined("all replicates lie on one side of the estimate")
		return [2]Measure{none, none}
	}
	z0, a := distuv.UnitNormal.Quantile(share), acceleration(jack)
	end := func(p float64) Measure {
		z := z0 + distuv.UnitNormal.Quantile(p)
		return Defined(quantile(sorted, distuv.UnitNormal.CDF(z0+z/(1-a*z))))
	}
	return [2]Measure{end(tail), end(1 - tail)}
}

// acceleration is 0 when the jackknife does not vary.
func acceleration(jack []float64) float64 {
	var mean, square, cube float64
	for _, v := range jack {
		mean += v / float64(len(jack))
	}
	for _, v := range jack {
		d := mean - v
		square, cube = square+d*d, cube+d*d*d
	}
	if square == 0 {
		return 0
	}
	return cube / (6 * math.Pow(square, 1.5))
}
