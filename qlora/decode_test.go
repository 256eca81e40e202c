package qlora

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/phi3"
)

// TestCacheDecodesAsTheWholeForward: greedy decoding with keys and values cached
// chooses the tokens that forward passes over the whole text choose.
func TestCacheDecodesAsTheWholeForward(t *testing.T) {
	m := loadModel(t, bundledModel, "f32")
	prompt := openGolden(t, "testdata/phi3-aozora-10m.safetensors").ints("chat.prompt_ids")
	got := greedy(t, m, prompt, 24)
	require.Greater(t, len(got), len(prompt)+8)
	for n := len(prompt); n < len(got); n++ {
		p := forwardAll(t, m, got[:n], phi3.Infer)
		logits := m.testLogits(t, p.Hidden(), []int32{int32(n - 1)})
		best := 0
		for i, v := range logits {
			if v > logits[best] {
				best = i
			}
		}
		require.EqualValues(t, best, got[n], "token %d", n)
	}
}
