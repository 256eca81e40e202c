//go:build !noasm

package cpu

import (
	"runtime"
	"sync"

	"github.com/borea-go/borea/internal/cpuid"
)

// amxKernels are the AVX-512 ones, but int8 products of more than a few tokens
// run on tiles.
func amxKernels() kernels {
	k := avx512Kernels()
	ints := *k.ints
	ints.name, ints.mr = "amx-int8", panelLanes
	ints.sweep, ints.finish = func(s *sweep) { tilesInt8(s) }, finishTile
	ints.ceiling = func(rounds int) int { return tileCeiling(loopInt8, rounds, 4) }
	k.name, k.ints = "amx", &ints
	return k
}

// amxBF16Kernels round activations as well where the weight is bfloat16.
func amxBF16Kernels() kernels {
	k := amxKernels()
	k.name, k.sweepBF16 = "amx-bf16", func(s *sweep) { tilesBF16(s) }
	k.roundBF16 = func(dst []uint16, src []float32) {
		_ = dst[:len(src)]
		if len(src) > 0 {
			roundBF16(&dst[0], &src[0], len(src))
		}
	}
	k.ceilingBF16 = func(rounds int) int { return tileCeiling(loopBF16, rounds, 2) }
	return k
}

// tileCeiling runs products in registers, n of depth a word.
func tileCeiling(loop func(*tileConfig, int), rounds, n int) int {
	rounds = rounds/32 + 1
	c := configure(tileEdge, tileEdge, tileEdge)
	loop(&c, rounds)
	return rounds * 4 * 2 * n * tileEdge * tileEdge * tileEdge
}

func finishTile(t *intTile, sums []int32) {
	_ = sums[:t.rows*panelLanes]
	finishRows(t.y, t.ldy, &sums[0], t.rows, t.s, t.scale, t.lanes, t.add)
}

// tileState asks the operating system for the tile registers, once. Only Linux
// is asked; its answer holds for all threads of the process.
var tileState = sync.OnceValue(func() bool {
	return cpuid.X86.AMXTile && runtime.GOOS == "linux" && askForTiles() == 0
})

//go:noescape
func tilesInt8(s *sweep)

//go:noescape
func tilesBF16(s *sweep)

//go:noescape
func loopInt8(config *tileConfig, n int)

//go:noescape
func loopBF16(config *tileConfig, n int)

//go:noescape
func finishRows(y *float32, ldy int, sums *int32, rows int, s, scale *float32, lanes int, add bool)

//go:noescape
func roundBF16(dst *uint16, src *float32, n int)

func askForTiles() (errno int)
