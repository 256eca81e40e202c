//go:build cuda && cgo && linux && amd64

package cuda

import "fmt"

// scratch is memory that operations need only while they run: a stack that each
// operation starts empty. All of it lies in one block as large as the neediest
// operation so far; one that needs more gets blocks of its own, and the next
// operation finds a single larger one. What is queued stays in order, so memory
// may be taken anew as soon as its last reader is queued.
type scratch struct {
	mem    *budget
	block  block
	spill  []block
	used   int  // by the operation under way, spill included
	need   int  // most that an operation used
	frozen bool // while a graph is captured
	moved  int  // how often the block has changed place
}

// take returns n bytes.
func (s *scratch) take(n int) (uint64, error) {
	n = max(align, (n+align-1)/align*align)
	s.used += n
	s.need = max(s.need, s.used)
	if p := s.block.fit(n); p != 0 {
		return p, nil
	}
	if s.frozen {
		return 0, fmt.Errorf("cuda: scratch of %d bytes while a graph is captured; run the operations once before", n)
	}
	if s.used == n { // nothing is in use
		if err := s.resize(n); err != nil {
			return 0, err
		}
		return s.block.fit(n), nil
	}
	p, size, err := s.mem.alloc(n)
	if err != nil {
		return 0, err
	}
	s.spill = append(s.spill, block{p: p, size: size, used: size})
	return p, nil
}

// depth is how much is in use; back returns to an earlier depth.
type depth struct{ block, used int }

func (s *scratch) depth() depth { return depth{s.block.used, s.used} }

func (s *scratch) back(to depth) { s.block.used, s.used = to.block, to.used }

// reset begins an operation.
func (s *scratch) reset() error {
	s.block.used, s.used = 0, 0
	if len(s.spill) == 0 {
		return nil
	}
	return s.resize(s.need)
}

// expect prepares an operation for n bytes, so that its larger pieces do not spill
// beside a block that is too small.
func (s *scratch) expect(n int) error {
	if s.used > 0 || s.frozen || s.block.size >= n {
		return nil
	}
	return s.resize(n)
}

// resize replaces all blocks by one of n bytes.
func (s *scratch) resize(n int) error {
	if err := s.free(); err != nil {
		return err
	}
	p, size, err := s.mem.alloc(n)
	if err != nil {
		return err
	}
	s.block = block{p: p, size: size}
	s.moved++
	return nil
}

func (s *scratch) free() error {
	list := s.spill
	if s.block.p != 0 {
		list = append(list, s.block)
	}
	s.block, s.spill = block{}, nil
	return freeBlocks(s.mem, list)
}
