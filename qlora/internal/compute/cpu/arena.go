package cpu

import "slices"

// arena gives memory in a stack: release rewinds it. Slabs are kept, so that a
// loop of mark, allocate, release settles without asking the system.
type arena struct {
	pages *pages
	slabs [][]float32
	slab  int // the one in use
	used  int // floats used of it
	live  []*region
	marks []mark
}

type mark struct{ slab, used, live int }

// region is the life of one allocation; views of a buffer share it.
type region struct {
	owner    *Device
	released bool
}

const (
	lineFloats = 16      // 64 bytes: no two allocations share a cache line
	slabFloats = 1 << 20 // 4 MiB
)

// take returns zeroed memory for n floats.
func (a *arena) take(n int) ([]float32, error) {
	n = (n + lineFloats - 1) &^ (lineFloats - 1)
	for a.slab == len(a.slabs) || a.used+n > len(a.slabs[a.slab]) {
		switch {
		case a.slab == len(a.slabs):
			s, err := taken[float32](a.pages, max(n, slabFloats))
			if err != nil {
				return nil, err
			}
			a.slabs = append(a.slabs, s)
		case a.used > 0:
			a.slab, a.used = a.slab+1, 0
		default: // free and too small: sizes that keep growing must not pile up
			dropped(a.pages, a.slabs[a.slab])
			a.slabs = slices.Delete(a.slabs, a.slab, a.slab+1)
		}
	}
	m := a.slabs[a.slab][a.used : a.used+n : a.used+n]
	a.used += n
	clear(m)
	return m, nil
}

// mark returns a point to release to.
func (a *arena) mark() int {
	a.marks = append(a.marks, mark{a.slab, a.used, len(a.live)})
	return len(a.marks) - 1
}

// release frees everything since mark m, and reports whether there is such one.
func (a *arena) release(m int) bool {
	if m < 0 || m >= len(a.marks) {
		return false
	}
	to := a.marks[m]
	for _, r := range a.live[to.live:] {
		r.released = true
	}
	a.slab, a.used, a.live, a.marks = to.slab, to.used, a.live[:to.live], a.marks[:m]
	return true
}
