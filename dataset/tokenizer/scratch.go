package tokenizer

// scratch is the working memory of one call, reused through a pool.
type scratch struct {
	next, prev []uint32 // chain of a long run
	heap       []uint64
	marks      []mark
	cache      []cacheEntry
}

// link makes the chain 0, 1, ... n-1; next of the last is n.
func (sc *scratch) link(n int) {
	if cap(sc.next) < n {
		sc.next, sc.prev = make([]uint32, n), make([]uint32, n)
	}
	sc.next, sc.prev = sc.next[:n], sc.prev[:n]
	for i := range sc.next {
		sc.next[i], sc.prev[i] = uint32(i+1), uint32(i-1)
	}
}

// keep bounds what the pool holds on to after a long line.
const keep = 1 << 16

func (t *Tokenizer) giveBack(sc *scratch) {
	if cap(sc.next) > keep {
		sc.next, sc.prev = nil, nil
	}
	if cap(sc.heap) > keep {
		sc.heap = nil
	}
	if cap(sc.marks) > keep {
		sc.marks = nil
	}
	t.scratch.Put(sc)
}

// The cache remembers how short runs merge. It holds what merging gives and
// nothing else, so it can not change a result.
const (
	cacheRun  = 12 // longest run kept, in characters
	cacheMade = 7  // most tokens kept
	cacheBits = 12
)

type cacheEntry struct {
	n, made uint8
	run     [cacheRun]int32
	ids     [cacheMade]int32
}

func (t *Tokenizer) mergeCached(run []int32, sc *scratch) []int32 {
	if sc.cache == nil {
		sc.cache = make([]cacheEntry, 1<<cacheBits)
	}
	h := uint64(len(run))
	for _, id := range run {
		h = (h ^ uint64(uint32(id))) * 0x9E3779B97F4A7C15
		h ^= h >> 32
	}
	e := &sc.cache[h&(1<<cacheBits-1)]
	if int(e.n) == len(run) && equalRun(e.run[:e.n], run) {
		copy(run, e.ids[:e.made])
		return run[:e.made]
	}
	var was [cacheRun]int32
	copy(was[:], run)
	out := t.mergeShort(run)
	if len(out) <= cacheMade {
		e.n, e.made, e.run = uint8(len(run)), uint8(len(out)), was
		copy(e.ids[:], out)
	}
	return out
}

func equalRun(a, b []int32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
