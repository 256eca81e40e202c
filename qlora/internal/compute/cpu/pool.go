package cpu

import "sync/atomic"

// pool shares the tasks of one operation among workers. Which worker runs a task
// is left to chance; what a task computes, and where it writes, is not.
type pool struct{ workers []*worker }

// worker owns scratch memory that survives between operations.
type worker struct {
	scratch scratch
	tile    intTile             // where micro-kernels find their arguments
	unit    [panelLanes]float32 // ones
	sweep   sweep
	zero    [panelLanes]float32
	crew    *crew
	state   atomic.Int32
}

func newPool(n int, mem *pages) pool {
	p := pool{workers: make([]*worker, n)}
	for i := range p.workers {
		p.workers[i] = &worker{scratch: scratch{pages: mem}}
		for l := range p.workers[i].unit {
			p.workers[i].unit[l] = 1
		}
	}
	return p
}

// run calls f for every task in [0, tasks) and returns when all are done.
func (p pool) run(tasks int, f func(w *worker, task int)) {
	n := min(len(p.workers), tasks)
	if n <= 1 {
		for i := range tasks {
			f(p.workers[0], i)
		}
		return
	}
	c := &crew{f: f, tasks: int64(tasks)}
	c.left.Store(int64(n - 1))
	c.done.Add(n - 1)
	for _, w := range p.workers[1:n] {
		w.join(c)
	}
	c.work(p.workers[0])
	c.wait()
}

// grain is the number of elements below which sharing costs more than it saves.
const grain = 16384

// rows splits n rows of about cost elements each into tasks of whole rows; the
// split follows from n and cost alone.
func (p pool) rows(n, cost int, f func(w *worker, lo, hi int)) {
	per := max(1, grain/max(cost, 1))
	p.run((n+per-1)/per, func(w *worker, i int) { f(w, i*per, min(n, i*per+per)) })
}

// scratch hands out numbered regions that grow and are reused; their content is
// undefined.
type scratch struct {
	pages *pages
	f     [slots][]float32
	q     []int8
	u     []uint8
	i     []int32
}

// The regions of scratch.
const (
	slotA      = iota // packed left operand
	slotB             // packed right operand
	slotTile          // one micro-tile
	slotEdge          // last rows of a left operand, packed
	slotX             // dropped-out input, adapter path
	slotU             // gradient at the adapter's inner activation
	slotK             // packed keys
	slotV             // packed values
	slotS             // scores
	slotP             // packed scores
	slotO             // attention output
	slotG             // packed output gradient
	slotD             // row statistics
	slotZ             // logits
	slotH             // gathered hidden rows
	slotDeep          // parts of a long sum
	slotKeys          // keys of a half precision cache, widened
	slotValues        // its values
	slotN             // one row of 4-bit codes, widened
	slots
)

// floats returns region slot with n elements.
func (s *scratch) floats(slot, n int) []float32 { return grow(s.pages, &s.f[slot], n) }

// bytes returns the int8 region with n elements.
func (s *scratch) bytes(n int) []int8 { return grow(s.pages, &s.q, n) }

// raised returns the uint8 region with n elements.
func (s *scratch) raised(n int) []uint8 { return grow(s.pages, &s.u, n) }

// ints returns the int32 region with n elements.
func (s *scratch) ints(n int) []int32 { return grow(s.pages, &s.i, n) }

// grow gives a region n elements. Without memory from the system it falls back
// on the heap, whose failure no operation could report either.
func grow[T any](p *pages, region *[]T, n int) []T {
	if cap(*region) < n {
		dropped(p, *region)
		mem, err := taken[T](p, n)
		if err != nil {
			mem = make([]T, n)
		}
		*region = mem
	}
	return (*region)[:n]
}
