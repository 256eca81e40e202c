package split

import (
	"cmp"
	"slices"
)

// itemHashes hashes seed and ID of each record.
func itemHashes[T any](items []T, k Keys[T], seed uint64) []uint64 {
	out := make([]uint64, len(items))
	for i, it := range items {
		out[i] = hash64(k.ID(it), seed)
	}
	return out
}

// hash64 is FNV-1a started from the seed and finished with SplitMix64's mixer
// (Steele, Lea, Flood 2014), since FNV's high bits are weak on short strings.
func hash64(s string, seed uint64) uint64 {
	h := uint64(14695981039346656037) ^ mix(seed)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func singles(n int) []int32 {
	root := make([]int32, n)
	for i := range root {
		root[i] = int32(i)
	}
	return root
}

type keyed struct {
	hash uint64
	item int32
}

// join returns each item's root: items of equal ID or a common group key share
// one, transitively.
func join[T any](items []T, k Keys[T], hash []uint64) []int32 {
	root := singles(len(items))
	pairs := make([]keyed, len(items))
	for i, h := range hash {
		pairs[i] = keyed{h, int32(i)}
	}
	unite(root, pairs)
	if k.Groups != nil {
		pairs = pairs[:0]
		for i, it := range items {
			for _, g := range k.Groups(it) {
				if g != "" {
					pairs = append(pairs, keyed{hash64(g, 0), int32(i)})
				}
			}
		}
		unite(root, pairs)
	}
	for i := range root {
		root[i] = find(root, int32(i))
	}
	return root
}

// unite joins neighbours of equal hash after sorting: no map of all keys.
func unite(root []int32, pairs []keyed) {
	slices.SortFunc(pairs, func(a, b keyed) int { return cmp.Compare(a.hash, b.hash) })
	for i := 1; i < len(pairs); i++ {
		if pairs[i].hash == pairs[i-1].hash {
			a, b := find(root, pairs[i-1].item), find(root, pairs[i].item)
			root[max(a, b)] = min(a, b)
		}
	}
}

// find halves paths on the way to the root.
func find(root []int32, i int32) int32 {
	for root[i] != i {
		root[i] = root[root[i]]
		i = root[i]
	}
	return i
}
