package cpu

import (
	"encoding/binary"
	"unsafe"
)

// A tile register has 16 rows of 16 words; a word is four codes or two bfloat16
// of neighbouring depth. A block is 32 × 32 sums, in four registers.
const tileEdge = 16

// tileConfig is what LDTILECFG reads.
type tileConfig [64]byte

// configure describes tiles for blocks of rows × lanes sums over steps of words,
// each at most tileEdge.
func configure(rows, lanes, words int) (c tileConfig) {
	c[0] = 1 // palette
	shape := func(tile, rows, words int) {
		binary.LittleEndian.PutUint16(c[16+2*tile:], uint16(4*words))
		c[48+tile] = byte(rows)
	}
	for t := range 4 {
		shape(t, rows, lanes)
	}
	for t := range 2 {
		shape(4+t, rows, words)
		shape(6+t, words, lanes)
	}
	return c
}

// sweep is the argument of the assembly: blocks of equal shape below each other
// on one panel. Distances are in bytes: ld between rows, lower and right between
// the tiles of a block, next between blocks.
type sweep struct {
	config                      tileConfig
	a                           *uint8
	b                           *int8
	from, to                    *uint32
	lda, lowerA, nextA          int
	ldFrom, lowerFrom, nextFrom int
	ldTo, lowerTo, nextTo       int
	rightC, blocks, steps       int
}

// tileRun is rows × lanes sums of one panel: to = from + a·b. Rows of a are lda
// bytes apart, those of the sums ldFrom and ldTo; with ldFrom 0 they all start
// from the same.
type tileRun struct {
	a            *uint8
	lda          int
	b            *int8 // [words][32][4]
	words        int
	from, to     *uint32
	ldFrom, ldTo int
	rows, lanes  int
}

// do splits r into sweeps of blocks that are alike: whole ones and the rows that
// are left, whole steps of depth and the words that are left.
//
// A block of less than 32 rows or lanes has tiles that overlap, which compute the
// sums that they share twice; all four are read before one is written.
func (r tileRun) do(run func(*sweep), s *sweep) {
	for part, w := r, 0; w < r.words; {
		depth, steps := tileEdge, (r.words-w)/tileEdge
		if steps == 0 {
			depth, steps = r.words-w, 1
		}
		part.rowsOf(run, s, w, depth, steps)
		w += depth * steps
		part.from, part.ldFrom = r.to, r.ldTo
	}
}

func (r tileRun) rowsOf(run func(*sweep), s *sweep, w, depth, steps int) {
	for i := 0; i < r.rows; {
		high, blocks := panelLanes, (r.rows-i)/panelLanes
		if blocks == 0 {
			high, blocks = r.rows-i, 1
		}
		m, n := min(high, tileEdge), min(r.lanes, tileEdge)
		*s = sweep{
			config: configure(m, n, depth),
			a:      past(r.a, i*r.lda+4*w), b: past(r.b, w*panelBytes),
			from: past(r.from, i*r.ldFrom/4), to: past(r.to, i*r.ldTo/4),
			lda: r.lda, lowerA: (high - m) * r.lda, nextA: high * r.lda,
			ldFrom: r.ldFrom, lowerFrom: (high - m) * r.ldFrom, nextFrom: high * r.ldFrom,
			ldTo: r.ldTo, lowerTo: (high - m) * r.ldTo, nextTo: high * r.ldTo,
			rightC: 4 * (r.lanes - n), blocks: blocks, steps: steps,
		}
		run(s)
		i += high * blocks
	}
}

// oddLines rounds bytes up to an odd number of cache lines.
func oddLines(n int) int { return (roundUp(n, 64) | 64) }

// past is the element n behind p.
func past[T any](p *T, n int) *T { return &view(p, n+1)[n] }

// bits views sums as words.
func bits[T int32 | float32](p *T) *uint32 { return (*uint32)(unsafe.Pointer(p)) }
