package harness_test

import (
	"context"
	"fmt"

	"github.com/borea-go/borea/eval/harness"
)

// uniform is a model that knows nothing: every one of 256 bytes is equally likely.
type uniform struct{}

func (uniform) Encode(text string) (ids []int32) {
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return ids
}

func (uniform) LogProbs(_ context.Context, seqs [][]int32) ([][]float64, error) {
	out := make([][]float64, len(seqs))
	for i, s := range seqs {
		out[i] = make([]float64, len(s))
		for j := 1; j < len(s); j++ {
			out[i][j] = -5.545177444479562 // ln 1/256
		}
	}
	return out, nil
}

func Example() {
	ctx := context.Background()
	items, err := harness.Knowledge()
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := harness.MultipleChoice(ctx, uniform{}, items, harness.KnowledgeOptions())
	fmt.Printf("%d items, chance %.2f, %v\n", r.Acc.N, r.Chance, err)
	p, err := harness.Perplexity(ctx, uniform{}, []string{"いろはにほへと"}, harness.PerplexityOptions{Window: 8})
	fmt.Printf("perplexity %.0f over %d windows, %v\n", p.PPL, p.Windows, err)
	// Output:
	// 48 items, chance 0.25, <nil>
	// perplexity 256 over 2 windows, <nil>
}
