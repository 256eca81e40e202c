package tokenizer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWaysOfMerging: scan, cache (cold and warm) and heap agree on runs that
// boundaries would not let through, so that little merges too.
func TestWaysOfMerging(t *testing.T) {
	tok, sc := phi3(t), new(scratch)
	rng := rand.New(rand.NewPCG(3, 4))
	letters := []rune("aeinorstqxz▁<|評の")
	for range 2000 {
		run := make([]int32, 2+rng.IntN(cacheRun-1))
		for i := range run {
			run[i] = max(0, tok.chars.get(letters[rng.IntN(len(letters))]).id)
		}
		want := tok.mergeShort(slices.Clone(run))
		for _, way := range []func([]int32, *scratch) []int32{tok.mergeCached, tok.mergeCached, tok.mergeLong} {
			sameIDs(t, "merge", "", way(slices.Clone(run), sc), want)
		}
	}
}

func TestHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 60 {
		h, want := make([]uint64, n), []uint64{}
		for i := range h {
			h[i] = rng.Uint64N(50)
		}
		want = append(want, h...)
		heapInit(h)
		for range 10 {
			v := rng.Uint64N(50)
			h, want = heapPush(h, v), append(want, v)
		}
		slices.Sort(want)
		for _, w := range want {
			var v uint64
			if v, h = heapPop(h); v != w {
				t.Fatalf("pop = %d, want %d", v, w)
			}
		}
	}
}
