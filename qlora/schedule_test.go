package qlora

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/so8t"
)

func TestLearningRate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		total  int
		want   map[int]float64 // step: rate
	}{
		"cosine": {func(o *Options) { o.Scheduler = "cosine" }, 100,
			map[int]float64{0: 1.0 / 11, 9: 10.0 / 11, 10: 1, 40: 0.75, 55: 0.5, 70: 0.25, 100: 0}},
		"linear": {func(o *Options) { o.Scheduler = "linear" }, 100,
			map[int]float64{0: 1.0 / 11, 10: 1, 55: 0.5, 99: 1.0 / 90, 100: 0}},
		"constant": {func(o *Options) { o.Scheduler = "constant" }, 100,
			map[int]float64{0: 1.0 / 11, 9: 10.0 / 11, 10: 1, 99: 1}},
		"steps before ratio": {func(o *Options) { o.Scheduler, o.WarmupSteps = "constant", 4 }, 100,
			map[int]float64{0: 0.2, 3: 0.8, 4: 1}},
		"a begun step of warm-up counts": {func(o *Options) { o.Scheduler, o.WarmupRatio = "constant", 0.11 }, 10,
			map[int]float64{0: 1.0 / 3, 1: 2.0 / 3, 2: 1}},
		"no warm-up": {func(o *Options) { o.Scheduler, o.WarmupRatio = "linear", 0 }, 4,
			map[int]float64{0: 1, 1: 0.75, 2: 0.5, 3: 0.25}},
		"warm-up only": {func(o *Options) { o.WarmupRatio = 1 }, 3,
			map[int]float64{0: 0.25, 1: 0.5, 2: 0.75}},
		"warm-up longer than the run": {func(o *Options) { o.WarmupSteps = 9 }, 3,
			map[int]float64{0: 0.1, 2: 0.3, 9: 1}},
	} {
		o := DefaultOptions()
		o.LearningRate = 2e-4
		c.change(&o)
		for step, share := range c.want {
			require.InDelta(t, share*2e-4, learningRate(o, step, c.total), 1e-12, "%s, step %d", name, step)
		}
	}
}

func TestPETPhases(t *testing.T) {
	o := DefaultOptions().PET
	require.Zero(t, petLambda(o, 0, 10), "off by default")
	o.Enabled = true
	series := func(total int) (v []float64) {
		for step := range total {
			v = append(v, petLambda(o, step, total))
		}
		return v
	}
	require.Equal(t, []float64{0.01, 0.01, 0.05, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1, 0.1}, series(10))
	for total := 1; total <= 100; total++ {
		for step := range total {
			require.Equal(t, so8t.DefaultSchedule().At(step, total), petLambda(o, step, total), "step %d of %d", step, total)
		}
		require.NotContains(t, series(total), 0.0, "shares of 1 cover every one of %d steps", total)
	}
	o.Phase = [3]float64{0.7, 0.2, 0.1} // sums to just below 1
	require.NotContains(t, series(1000), 0.0)
	o.Phase = [3]float64{0, 0.5, 0.25}
	require.Equal(t, []float64{0.05, 0.05, 0.1, 0}, series(4))
}
