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

const granule = 2 << 20 // what the driver allocates in

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

const poolBlock = 64 << 20

func (p *pool) take(n int) (uint64, error) {
	for i := range p.blocks {
		if at := p.blocks[i].fit(n); at != 0 {
			return at, nil
		}
	}
	size := n
	if n >= granule { // small pieces share a block, and fill what large ones leave
		size = max(n, min(poolBlock, 4*n))
	}
	at, size, err := p.mem.alloc(size)
	if err != nil {
		return 0, err
	}
	p.blocks = append(p.blocks, block{p: at, size: size})
	return p.blocks[len(p.blocks)-1].fit(n), nil
}

func (p *pool) free() error { return freeBlocks(p.mem, p.blocks) }

// arena gives memory in a stack: release rewinds it. Blocks are kept, so that a
// loop of mark, allocate, release settles without the driver.
type arena struct {
	mem    *budget
	blocks []block // those before live are in use
	live   int
	list   []*region
	marks  []mark
}

type mark struct{ live, used, list int }

// region is the life of one allocation; views of a buffer share it.
type region struct {
	owner    *Device
	released bool
}

const arenaBlock = 32 << 20

// take returns n bytes: from the block in use, else from the smallest idle block
// that fits, else from the driver.
func (a *arena) take(n int) (uint64, error) {
	if a.live > 0 {
		if p := a.blocks[a.live-1].fit(n); p != 0 {
			return p, nil
		}
	}
	best := -1
	for i := a.live; i < len(a.blocks); i++ {
		if a.blocks[i].size >= n+align && (best < 0 || a.blocks[i].size < a.blocks[best].size) {
			best = i
		}
	}
	if best < 0 {
		if err := a.grow(n); err != nil {
			return 0, err
		}
		best = len(a.blocks) - 1
	}
	a.blocks[best], a.blocks[a.live] = a.blocks[a.live], a.blocks[best]
	a.live++
	return a.blocks[a.live-1].fit(n), nil
}

// grow gets a block, and gives idle ones back when there is no room beside them.
func (a *arena) grow(n int) error {
	size := n + align
	if n < arenaBlock/4 {
		size = arenaBlock
	}
	p, size, err := a.mem.alloc(size)
	if errors.Is(err, compute.ErrOutOfMemory) {
		if e := a.trim(); e != nil {
			return errors.Join(err, e)
		}
		p, size, err = a.mem.alloc(n + align)
	}
	if err == nil {
		a.blocks = append(a.blocks, block{p: p, size: size})
	}
	return err
}

func (a *arena) trim() error {
	idle := a.blocks[a.live:]
	a.blocks = a.blocks[:a.live:a.live]
	return freeBlocks(a.mem, idle)
}

func (a *arena) free() error { return freeBlocks(a.mem, a.blocks) }

// mark returns a point to release to.
func (a *arena) mark() int {
	used := 0
	if a.live > 0 {
		used = a.blocks[a.live-1].used
	}
	a.marks = append(a.marks, mark{a.live, used, len(a.list)})
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
	for i := to.live; i < a.live; i++ {
		a.blocks[i].used = 0
	}
	if to.live > 0 {
		a.blocks[to.live-1].used = to.used
	}
	a.live, a.list, a.marks = to.live, a.list[:to.list], a.marks[:m]
	return true
}

// Slots of scratch memory: what operations need only while they run.
type slot int

const (
	slotA slot = iota // an adapter's factor as the product wants it
	slotB
	slotWide // a weight widened or transposed
	slotDrop // a linear's input after dropout
	slotDU   // gradient at the adapter's inner vector
	slotThrough
	slotQ // codes and scales of activations
	slotS
	slotPart   // partial sums
	slotLogits // of CrossEntropy
	slotDelta  // of attention
	slotCount
)

// scratch keeps one growing allocation a slot.
type scratch struct {
	mem    *budget
	slots  [slotCount]block
	frozen bool // while a graph is captured
}

func (s *scratch) bytes(k slot, n int) (uint64, error) {
	b := &s.slots[k]
	if b.size >= n && b.p != 0 {
		return b.p, nil
	}
	if s.frozen {
		return 0, fmt.Errorf("cuda: scratch of %d bytes while a graph is captured; run the operations once before", n)
	}
	if b.p != 0 {
		if err := s.mem.free(b.p, b.size); err != nil {
			return 0, err
		}
		*b = block{}
	}
	p, size, err := s.mem.alloc(n)
	if err != nil {
		return 0, err
	}
	*b = block{p: p, size: size}
	return p, nil
}

func (s *scratch) free() error {
	var list []block
	for _, b := range s.slots {
		if b.p != 0 {
			list = append(list, b)
		}
	}
	return freeBlocks(s.mem, list)
}
