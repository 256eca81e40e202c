package cuda

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Rounding is what blocks of memory leave unused between and behind what lies in
// them, and what grows before it is large enough, at most in what notes.md lists.
const Rounding = 2 * arenaBlock

// ContextBytes is what the driver takes of an H100 beside what a Device holds; other
// GPUs have fewer multiprocessors and give it less.
const ContextBytes = 280 << 20

const (
	arenaBlock = 64 << 20 // of small pieces
	granule    = 2 << 20  // what the driver allocates in
	nf4Block   = 64
	// narrowRows is up to how many rows mma_narrow beats wgmma's tiles, of which so
	// few rows give too few (measured: 2048 rows 26 against 35 µs, 8192 rows 68
	// against 48).
	narrowRows = 4096
)

// layout returns the bytes of a row and its number of scales.
func layout(f compute.Format, cols int) (bytes, scales int, err error) {
	switch f {
	case compute.FormatF32:
		return 4 * cols, 0, nil
	case compute.FormatBF16:
		return 2 * cols, 0, nil
	case compute.FormatInt8, compute.FormatInt8W:
		return cols, 1, nil
	case compute.FormatNF4:
		return ceil(cols, 2), ceil(cols, nf4Block), nil
	}
	return 0, 0, fmt.Errorf("cuda: weight format %d: %w", f, compute.ErrUnsupported)
}

// WeightBytes returns the device memory of a frozen matrix in format f.
func WeightBytes(f compute.Format, rows, cols int) int64 {
	bytes, scales, _ := layout(f, cols)
	return int64(rows) * int64(bytes+4*scales)
}

// Shape is what the scratch memory of a training step follows from.
type Shape struct {
	Tokens, Hidden, MLP, Vocab int
	Heads                      compute.Heads
	Rank                       int
	Dropout                    bool
	Linear, Head               compute.Format
}

// multiprocessors is how many Scratch reckons with, for parts of sums: an H100's.
const multiprocessors = 132

// Scratch returns the bytes that a training step of shape s takes for its
// operations, at most, with activations in bfloat16: what the neediest of them takes.
func Scratch(o Options, s Shape) int64 {
	n, c, wide := s.Tokens, s.Hidden, s.Heads.H*s.Heads.D
	logits := 4 * s.Vocab * min(n, o.LossRows)
	if s.Head != compute.FormatBF16 {
		logits += 2 * s.Vocab * c
	}
	most := max(logits, 8*ceil(n, 128)*128*s.Heads.H)
	for _, l := range [][2]int{{s.Heads.QKV(), c}, {c, wide}, {2 * s.MLP, c}, {c, s.MLP}} {
		most = max(most, s.linear(o, l[0], l[1]))
	}
	return int64(ceil(most, granule) * granule)
}

// linear is the scratch memory of a linear's backward pass, as linear.go takes it.
func (s Shape) linear(o Options, rows, cols int) int {
	n, r := s.Tokens, s.Rank
	dropped := 0
	if s.Dropout {
		dropped = 2 * n * cols
	}
	back := 0
	switch {
	case s.Linear == compute.FormatInt8 && o.InputGrad == "int8":
		back = max(rows*(n+cols), dropped)
	case s.Linear == compute.FormatBF16:
		back = dropped
	default:
		back = 2*rows*cols + dropped
	}
	parts := max(4*r*rows*depths(multiprocessors, rows, r, n), 4*r*cols*depths(multiprocessors, cols, r, n))
	if n <= narrowRows {
		parts = max(parts, 4*n*r*depths(multiprocessors, n, r, max(rows, cols)))
	}
	return 2*(n+rows+cols)*r + 8*n + max(back, parts+dropped)
}

// depths is into how many parts a depth k is cut so that every multiprocessor has
// work on the tiles of m × n sums.
func depths(sms, m, n, k int) int {
	return max(1, min(ceil(2*sms, ceil(m, 128)*ceil(n, 128)), ceil(k, 256)))
}

func ceil(n, by int) int { return (n + by - 1) / by }
