package tokenizer

import "math/bits"

// noMerge is the value of a pair that does not merge; it sorts after all others.
const noMerge = ^uint64(0)

// mergeTable maps a pair of ids to rank<<32 | made id, by open addressing with
// linear probing at a load of at most one half.
type mergeTable struct {
	slots []mergeSlot
	shift uint
}

type mergeSlot struct{ key, value uint64 }

const emptySlot = ^uint64(0) // no pair of non-negative ids

func (m *mergeTable) init(n int) {
	width := max(4, bits.Len(uint(2*n)))
	m.slots = make([]mergeSlot, 1<<width)
	m.shift = uint(64 - width)
	for i := range m.slots {
		m.slots[i] = mergeSlot{emptySlot, noMerge}
	}
}

// The multiplier is 2^64 divided by the golden ratio (Knuth, The Art of Computer
// Programming 3, 6.4: Fibonacci hashing).
func (m *mergeTable) slot(key uint64) uint64 {
	return (key ^ key>>29) * 0x9E3779B97F4A7C15 >> m.shift
}

// put stores a merge; a pair listed twice keeps the later rank, as in the
// reference.
func (m *mergeTable) put(p mergePair, rank uint32) {
	key := uint64(uint32(p.left))<<32 | uint64(uint32(p.right))
	mask := uint64(len(m.slots) - 1)
	i := m.slot(key)
	for m.slots[i].key != emptySlot && m.slots[i].key != key {
		i = (i + 1) & mask
	}
	m.slots[i] = mergeSlot{key, uint64(rank)<<32 | uint64(uint32(p.made))}
}

func (m *mergeTable) get(left, right int32) uint64 {
	key := uint64(uint32(left))<<32 | uint64(uint32(right))
	mask := uint64(len(m.slots) - 1)
	for i := m.slot(key); ; i = (i + 1) & mask {
		s := &m.slots[i&mask]
		if s.key == key || s.key == emptySlot {
			return s.value
		}
	}
}

// shortRun is the longest run merged by scanning for the least rank.
const shortRun = 32

// mergeRun merges run in place, lowest rank first and leftmost first among equal
// ranks, and returns what is left of it.
func (t *Tokenizer) mergeRun(run []int32, sc *scratch) []int32 {
	switch {
	case len(run) < 2:
		return run
	case len(run) == 2:
		if v := t.merges.get(run[0], run[1]); v != noMerge {
			run[0] = int32(uint32(v))
			return run[:1]
		}
		return run
	case len(run) <= cacheRun:
		return t.mergeCached(run, sc)
	case len(run) <= shortRun:
		return t.mergeShort(run)
	}
	return t.mergeLong(run, sc)
}

func (t *Tokenizer) mergeShort(run []int32) []int32 {
	var buf [shortRun]uint64
	n := len(run)
	next := buf[:n] // next[i]: what run[i] and run[i+1] merge to
	for i := 0; i+1 < n; i++ {
		next[i] = t.merges.get(run[i], run[i+1])
	}
	next[n-1] = noMerge
	for {
		at, best := 0, noMerge
		for i, v := range next[:n-1] {
			if v < best {
				at, best = i, v
			}
		}
		if best == noMerge {
			return run[:n]
		}
		run[at] = int32(uint32(best))
		copy(run[at+1:n], run[at+2:n])
		copy(next[at:n], next[at+1:n])
		n--
		if at+1 < n {
			next[at] = t.merges.get(run[at], run[at+1])
		}
		if at > 0 {
			next[at-1] = t.merges.get(run[at-1], run[at])
		}
	}
}

// mergeLong keeps candidates in a heap of rank<<32 | position. An entry is stale
// when the pair at its position no longer has its rank; every merge pushes the
// two new pairs, so no live pair is missed.
func (t *Tokenizer) mergeLong(run []int32, sc *scratch) []int32 {
	sc.link(len(run))
	heap := sc.heap[:0]
	for i := 0; i+1 < len(run); i++ {
		if v := t.merges.get(run[i], run[i+1]); v != noMerge {
			heap = append(heap, v&^0xFFFFFFFF|uint64(i))
		}
	}
	heapInit(heap)
	for len(heap) > 0 {
		var top uint64
		top, heap = heapPop(heap)
		i := uint32(top)
		j := sc.next[i]
		if run[i] < 0 || int(j) >= len(run) {
			continue
		}
		v := t.merges.get(run[i], run[j])
		if v == noMerge || v>>32 != top>>32 {
			continue
		}
		run[i] = int32(uint32(v))
		run[j] = -1
		heap = t.relink(run, heap, sc, i, j)
	}
	sc.heap = heap
	return squeeze(run)
}

// relink takes j out of the chain after it merged into i and adds the pairs that
// i now forms.
func (t *Tokenizer) relink(run []int32, heap []uint64, sc *scratch, i, j uint32) []uint64 {
	after := sc.next[j]
	sc.next[i] = after
	if int(after) < len(run) {
		sc.prev[after] = i
		if v := t.merges.get(run[i], run[after]); v != noMerge {
			heap = heapPush(heap, v&^0xFFFFFFFF|uint64(i))
		}
	}
	if i > 0 {
		before := sc.prev[i]
		if v := t.merges.get(run[before], run[i]); v != noMerge {
			heap = heapPush(heap, v&^0xFFFFFFFF|uint64(before))
		}
	}
	return heap
}

func squeeze(run []int32) []int32 {
	n := 0
	for _, id := range run {
		if id >= 0 {
			run[n] = id
			n++
		}
	}
	return run[:n]
}

func heapInit(h []uint64) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		heapDown(h, i)
	}
}

func heapDown(h []uint64, i int) {
	v := h[i]
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1] < h[c] {
			c++
		}
		if h[c] >= v {
			break
		}
		h[i] = h[c]
		i = c
	}
	h[i] = v
}

func heapPop(h []uint64) (uint64, []uint64) {
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	if last > 0 {
		heapDown(h, 0)
	}
	return top, h
}

func heapPush(h []uint64, v uint64) []uint64 {
	h = append(h, v)
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if h[p] <= v {
			break
		}
		h[i] = h[p]
		i = p
	}
	h[i] = v
	return h
}
