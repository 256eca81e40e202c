package cpu

import "github.com/borea-go/borea/qlora/internal/compute"

// Shape is what the scratch memory of a training step follows from.
type Shape struct {
	Tokens, Hidden, MLP, Vocab int
	Heads                      compute.Heads
	Rank                       int
	Dropout                    bool
}

// Scratch returns the bytes that a device of so many workers on the path "auto"
// keeps for its operations after a training step of shape s, at most: packed operands, the
// logits of a chunk, panels of attention.
func Scratch(workers int, s Shape) int64 {
	k, _ := choose("auto")
	n, widest := s.Tokens, max(2*s.MLP, s.Heads.QKV(), s.Hidden)
	chunk := min(n, lossRows)
	floats := roundUp(widest, k.mr)*roundUp(n, k.mr) + // a gradient packed for that of B
		n*(s.Rank+s.Heads.H) +
		(n+k.ints.mr)*k.ints.apart(widest+panelLanes)/4 + // left codes
		chunk*(s.Vocab+s.Hidden) +
		deepParts*max(chunk*min(s.Hidden, deepBlock), min(n, deepBlock)*min(s.Rank, deepBlock))
	if s.Dropout {
		floats += n * max(s.MLP, s.Hidden)
	}
	floats += attentionScratch(k, s)
	// Of each worker: a packed right panel, sums of a block, tiles of attention.
	each := (deepBlock+k.nr)*depthBlock + (leftBlock+k.ints.mr)*(rightBlock+panelLanes) + wordBlock*panelLanes +
		4*56*keyBlock + 2*56*s.Heads.D + widest
	return 4 * int64(floats+workers*each)
}

// attentionScratch is the panels of the heads that are worked on together.
func attentionScratch(k kernels, s Shape) int {
	h, n := s.Heads, s.Tokens
	d := Device{kern: k}
	tiles, group := (n+d.queryTile()-1)/d.queryTile(), h.H/h.K
	kvs := min(h.K, max(1, headTasks/(tiles*group)))
	byToken, byDim := roundUp(n, k.nr)*h.D, roundUp(h.D, k.nr)*n
	return kvs * (byToken + byDim + // forward
		2*byToken + byDim + 2*group*(byToken+byDim))
}

// WeightBytes returns the memory of a frozen matrix in format f.
func WeightBytes(f compute.Format, rows, cols int) int64 {
	n := int64(rows) * int64(cols)
	switch f {
	case compute.FormatF32:
		return 4 * n
	case compute.FormatBF16:
		return 2 * n
	case compute.FormatNF4:
		return int64(rows) * int64((cols+1)/2+4*((cols+nf4Block-1)/nf4Block))
	case compute.FormatInt8:
		return codesBytes(rows, cols)
	}
	return n + 4*int64(rows)
}

// Held returns the bytes that the device holds of the system: weights, buffers
// and scratch.
func (d *Device) Held() int64 {
	d.pages.mu.Lock()
	defer d.pages.mu.Unlock()
	return d.pages.bytes
}
