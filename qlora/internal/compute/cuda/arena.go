//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
)

// budget counts device memory and keeps to a limit.
type budget struct {
	ctx        *driver.Context
	limit      int64
	used, high int64
}

func (b *budget) alloc(n int) (uint64, int, error) {
	n = (n + granule - 1) / granule * granule
	if b.limit > 0 && b.used+int64(n) > b.limit {
		return 0, 0, fmt.Errorf("cuda: %d bytes on top of %d exceed the limit of %d: %w", n, b.used, b.limit, compute.ErrOutOfMemory)
	}
	p, err := b.ctx.Alloc(n)
	if err != nil {
		return 0, 0, fmt.Errorf("cuda: %d bytes on top of %d: %w", n, b.used, err)
	}
	b.used += int64(n)
	b.high = max(b.high, b.used)
	return p, n, nil
}

func (b *budget) free(p uint64, n int) error {
	b.used -= int64(n)
	return b.ctx.Free(p)
}

// block is memory from the driver.
type block struct {
	p          uint64
	size, used int
}

const align = 256

// fit returns n bytes of the block, or 0.
func (b *block) fit(n int) uint64 {
	n = max(align, (n+align-1)/align*align)
	if b.used+n > b.size {
		return 0
	}
	p := b.p + uint64(b.used)
	b.used += n
	return p
}

// freeBlocks returns the first error: of a lost device all calls fail.
func freeBlocks(mem *budget, blocks []block) (first error) {
	for _, b := range blocks {
		if err := mem.free(b.p, b.size); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// pool gives memory that lives as long as the device: weights.
type pool struct {
	mem    *budget
	blocks []block
}

// take fills what the rounding to granules left of earlier blocks, else gets a
// block of its own.
func (p *pool) take(n int) (uint64, error) {
	for i := range p.blocks {
		if at := p.blocks[i].fit(n); at != 0 {
			return at, nil
		}
	}
	at, size, err := p.mem.alloc(n)
	if err != nil {
		return 0, err
	}
	p.blocks = append(p.blocks, block{p: at, size: size})
	return p.blocks[len(p.blocks)-1].fit(n), nil
}

func (p *pool) free() error { return freeBlocks(p.mem, p.blocks) }

// arena gives memory in a stack: release rewinds it. Blocks are kept, so that a
// loop of mark, allocate, release settles without the driver. Small pieces share
// blocks of their own; a large one is a block.
type arena struct {
	mem          *budget
	small, large stack
	list         []*region
	marks        []mark
}

// stack is blocks of which the first live are in use, perhaps in part.
type stack struct {
	blocks []block
	live   int
}

type mark struct {
	small       []int // how much of each live block was in use
	large, list int
}

// region is the life of one allocation; views of a buffer share it.
type region struct {
	owner    *Device
	released bool
}

// Pieces below smallPiece share blocks: rounded to granules of their own they would
// waste a good part.
const smallPiece = 6 << 20

// take returns n bytes.
func (a *arena) take(n int) (uint64, error) {
	s, size := &a.large, max(n, align)
	if n < smallPiece {
		s, size = &a.small, arenaBlock
		for i := range s.live {
			if p := s.blocks[i].fit(n); p != 0 {
				return p, nil
			}
		}
	}
	best := -1
	for i := s.live; i < len(s.blocks); i++ {
		if s.blocks[i].size >= size && (best < 0 || s.blocks[i].size < s.blocks[best].size) {
			best = i
		}
	}
	if best < 0 {
		p, size, err := a.grow(size)
		if err != nil {
			return 0, err
		}
		s.blocks = append(s.blocks, block{p: p, size: size})
		best = len(s.blocks) - 1
	}
	s.blocks[best], s.blocks[s.live] = s.blocks[s.live], s.blocks[best]
	s.live++
	return s.blocks[s.live-1].fit(n), nil
}

// grow gets a block, and gives idle ones back when there is no room beside them.
func (a *arena) grow(size int) (uint64, int, error) {
	p, got, err := a.mem.alloc(size)
	if !errors.Is(err, compute.ErrOutOfMemory) {
		return p, got, err
	}
	if e := errors.Join(a.small.trim(a.mem), a.large.trim(a.mem)); e != nil {
		return 0, 0, errors.Join(err, e)
	}
	return a.mem.alloc(size)
}

func (s *stack) trim(mem *budget) error {
	idle := s.blocks[s.live:]
	s.blocks = s.blocks[:s.live:s.live]
	return freeBlocks(mem, idle)
}

// rewind leaves live blocks in use.
func (s *stack) rewind(live int) {
	for i := live; i < s.live; i++ {
		s.blocks[i].used = 0
	}
	s.live = live
}

func (a *arena) free() error {
	return errors.Join(freeBlocks(a.mem, a.small.blocks), freeBlocks(a.mem, a.large.blocks))
}

// mark returns a point to release to.
func (a *arena) mark() int {
	m := mark{large: a.large.live, list: len(a.list)}
	for _, b := range a.small.blocks[:a.small.live] {
		m.small = append(m.small, b.used)
	}
	a.marks = append(a.marks, m)
	return len(a.marks) - 1
}

// release frees everything since mark m, and reports whether there is such one.
func (a *arena) release(m int) bool {
	if m < 0 || m >= len(a.marks) {
		return false
	}
	to := a.marks[m]
	for _, r := range a.list[to.list:] {
		r.released = true
	}
	a.small.rewind(len(to.small))
	a.large.rewind(to.large)
	for i, used := range to.small {
		a.small.blocks[i].used = used
	}
	a.list, a.marks = a.list[:to.list], a.marks[:m]
	return true
}
