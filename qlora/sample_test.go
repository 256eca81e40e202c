package qlora

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// logitsOf returns logits whose softmax is p.
func logitsOf(p ...float64) []float32 {
	v := make([]float32, len(p))
	for i := range p {
		v[i] = float32(math.Log(p[i]))
	}
	return v
}

// frequencies draws n tokens and returns how often each came.
func frequencies(t *testing.T, o GenerateOptions, n int, p ...float64) []float64 {
	t.Helper()
	require.NoError(t, o.Validate())
	s := newSampler(o, 0, nil)
	f := make([]float64, len(p))
	for range n {
		id, err := s.choose(logitsOf(p...))
		require.NoError(t, err)
		f[id] += 1 / float64(n)
	}
	return f
}

func sampling(change func(*GenerateOptions)) GenerateOptions {
	o := DefaultGenerateOptions()
	o.Temperature, o.Seed = 1, 3
	if change != nil {
		change(&o)
	}
	return o
}

// TestSamplerFrequencies: 20,000 draws; the tolerance is over four standard
// deviations of any frequency.
func TestSamplerFrequencies(t *testing.T) {
	p := []float64{0.15, 0.5, 0.05, 0.3}
	for name, c := range map[string]struct {
		change func(*GenerateOptions)
		want   []float64
	}{
		"plain":             {nil, p},
		"top-k 2":           {func(o *GenerateOptions) { o.TopK = 2 }, []float64{0, 0.625, 0, 0.375}},
		"top-k above all":   {func(o *GenerateOptions) { o.TopK = 9 }, p},
		"top-p 0.4":         {func(o *GenerateOptions) { o.TopP = 0.4 }, []float64{0, 1, 0, 0}},
		"top-p 0.6":         {func(o *GenerateOptions) { o.TopP = 0.6 }, []float64{0, 0.625, 0, 0.375}},
		"top-p 0.9":         {func(o *GenerateOptions) { o.TopP = 0.9 }, []float64{0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95}},
		"min-p 0.2":         {func(o *GenerateOptions) { o.MinP = 0.2 }, []float64{0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95}},
		"min-p 1":           {func(o *GenerateOptions) { o.MinP = 1 }, []float64{0, 1, 0, 0}},
		"top-k then top-p":  {func(o *GenerateOptions) { o.TopK, o.TopP = 2, 0.62 }, []float64{0, 1, 0, 0}},
		"temperature 0.5":   {func(o *GenerateOptions) { o.Temperature = 0.5 }, []float64{0.0225 / 0.365, 0.25 / 0.365, 0.0025 / 0.365, 0.09 / 0.365}},
		"temperature 1e-30": {func(o *GenerateOptions) { o.Temperature = 1e-30 }, []float64{0, 1, 0, 0}},
		"smallest":          {func(o *GenerateOptions) { o.Temperature = 5e-324 }, []float64{0, 1, 0, 0}},
		"greedy":            {func(o *GenerateOptions) { o.Temperature = 0 }, []float64{0, 1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			got := frequencies(t, sampling(c.change), 20000, p...)
			for i := range p {
				require.InDelta(t, c.want[i], got[i], 0.015)
				require.Equal(t, c.want[i] == 0, got[i] == 0, "token %d", i)
			}
		})
	}
}

func TestSamplerIsItsSeed(t *testing.T) {
	draw := func(seed uint64) []int32 {
		o := sampling(func(o *GenerateOptions) { o.Seed = seed })
		s := newSampler(o, 0, nil)
		var out []int32
		for range 50 {
			id, err := s.choose(logitsOf(0.2, 0.3, 0.1, 0.4))
			require.NoError(t, err)
			out = append(out, id)
		}
		return out
	}
	require.Equal(t, draw(1), draw(1))
	require.NotEqual(t, draw(1), draw(2))
}

func TestSamplerTiesGoToTheLowestID(t *testing.T) {
	for _, o := range []GenerateOptions{DefaultGenerateOptions(), sampling(func(o *GenerateOptions) { o.TopK = 1 })} {
		id, err := newSampler(o, 0, nil).choose([]float32{0, 2, 2, 1})
		require.NoError(t, err)
		require.Equal(t, int32(1), id)
	}
}

// TestRepetitionPenalty: positive logits are divided, negative multiplied, for
// tokens of the prompt and tokens drawn since.
func TestRepetitionPenalty(t *testing.T) {
	o := DefaultGenerateOptions()
	o.RepetitionPenalty = 2
	s := newSampler(o, 0, []int32{0, 2, 2})
	logits := []float32{4, 3, -1, -3}
	id, err := s.choose(logits)
	require.NoError(t, err)
	require.Equal(t, []float32{2, 3, -2, -3}, logits)
	require.Equal(t, int32(1), id)
	logits = []float32{0, 3, 0, 2}
	id, err = s.choose(logits)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 1.5, 0, 2}, logits)
	require.Equal(t, int32(3), id)
}

func TestSamplerRefusesNonFiniteLogits(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, o := range []GenerateOptions{DefaultGenerateOptions(), sampling(nil)} {
			logits := slices.Repeat([]float32{1}, 5)
			logits[3] = float32(bad)
			_, err := newSampler(o, 0, nil).choose(logits)
			require.ErrorIs(t, err, ErrNotFinite)
		}
	}
}

func TestGenerateOptionsValidate(t *testing.T) {
	require.NoError(t, DefaultGenerateOptions().Validate())
	for name, change := range map[string]func(*GenerateOptions){
		"max_new_tokens":     func(o *GenerateOptions) { o.MaxNewTokens = 0 },
		"temperature":        func(o *GenerateOptions) { o.Temperature = math.NaN() },
		"top_k":              func(o *GenerateOptions) { o.TopK = -1 },
		"top_p":              func(o *GenerateOptions) { o.TopP = 0 },
		"min_p":              func(o *GenerateOptions) { o.MinP = 1.1 },
		"repetition_penalty": func(o *GenerateOptions) { o.RepetitionPenalty = 0 },
	} {
		o := DefaultGenerateOptions()
		change(&o)
		requireOption(t, o.Validate(), name)
	}
}
