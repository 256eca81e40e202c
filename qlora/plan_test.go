package qlora

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// planData has examples of 1 to 60 tokens.
func planData(n int) []Example {
	out := make([]Example, n)
	for i := range out {
		out[i].IDs = make([]int32, 1+i*37%60)
	}
	return out
}

func planOptions(packing bool) Options {
	o := DefaultOptions()
	o.Epochs, o.BatchSize, o.MaxLength, o.Accumulation, o.Packing = 3, 2, 48, 3, packing
	return o
}

// allSteps returns the micro-batches of every step.
func allSteps(p *plan) [][][]int {
	var out [][][]int
	for n := range p.total {
		out = append(out, p.step(n))
	}
	return out
}

func TestPlanVisitsEachExampleOnceAnEpoch(t *testing.T) {
	data := planData(101)
	for _, packing := range []bool{false, true} {
		o := planOptions(packing)
		p := newPlan(data, o)
		require.Len(t, p.starts, o.Epochs)
		var orders [][]int
		for e := range o.Epochs {
			end := p.total
			if e+1 < o.Epochs {
				end = p.starts[e+1]
			}
			var order []int
			for n := p.starts[e]; n < end; n++ {
				order = append(order, slices.Concat(p.step(n)...)...)
			}
			orders = append(orders, order)
			sorted := slices.Sorted(slices.Values(order))
			for i := range data {
				require.Equal(t, i, sorted[i])
			}
			require.Len(t, sorted, len(data))
		}
		require.NotEqual(t, orders[0], orders[1], "epochs differ in order")
	}
}

func TestPlanKeepsItsBounds(t *testing.T) {
	data := planData(101)
	for _, packing := range []bool{false, true} {
		o := planOptions(packing)
		counts := 0
		for _, step := range allSteps(newPlan(data, o)) {
			require.LessOrEqual(t, len(step), o.Accumulation)
			for _, micro := range step {
				tokens := 0
				for _, i := range micro {
					tokens += min(len(data[i].IDs), o.MaxLength)
				}
				require.LessOrEqual(t, tokens, o.BatchSize*o.MaxLength)
				counts = max(counts, len(micro))
			}
		}
		require.Equal(t, packing, counts > o.BatchSize, "only packing puts more than BatchSize examples together")
	}
}

func TestPlanFollowsFromSeedAndData(t *testing.T) {
	data, o := planData(50), planOptions(true)
	want := allSteps(newPlan(data, o))
	require.Equal(t, want, allSteps(newPlan(data, o)))
	p := newPlan(data, o)
	for n := p.total - 1; n >= 0; n-- {
		require.Equal(t, want[n], p.step(n), "any order of asking")
	}
	o.Seed++
	require.NotEqual(t, want, allSteps(newPlan(data, o)))
}

func TestPlanStopsAtMaxSteps(t *testing.T) {
	data, o := planData(50), planOptions(true)
	whole := allSteps(newPlan(data, o))
	o.MaxSteps = len(whole) - 1
	require.Equal(t, whole[:o.MaxSteps], allSteps(newPlan(data, o)))
	o.MaxSteps = 10 * len(whole)
	require.Len(t, allSteps(newPlan(data, o)), len(whole), "never more than Epochs")
}

func TestPlanEpochNumbers(t *testing.T) {
	o := planOptions(false)
	o.Epochs, o.BatchSize, o.Accumulation = 2, 1, 1
	p := newPlan(planData(4), o)
	for step, want := range []float64{0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2} {
		require.Equal(t, want, p.epochOf(step))
	}
}

func TestFingerprintTellsExamplesApart(t *testing.T) {
	a := []Example{{IDs: []int32{1, 2}}, {IDs: []int32{3}}}
	require.Equal(t, fingerprint(a), fingerprint(slices.Clone(a)))
	for _, b := range [][]Example{
		{{IDs: []int32{1}}, {IDs: []int32{2, 3}}},
		{{IDs: []int32{3}}, {IDs: []int32{1, 2}}},
		{{IDs: []int32{1, 2}, Weight: []float32{0, 1}}, {IDs: []int32{3}}},
		a[:1],
	} {
		require.NotEqual(t, fingerprint(a), fingerprint(b))
	}
}
