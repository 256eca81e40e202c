package crashfs

import "math/rand/v2"

// Pick chooses one of n possibilities, 0 to n-1. By convention 0 loses what is
// pending and 1 keeps it.
type Pick func(n int) int

// Random returns choices drawn from r.
func Random(r *rand.Rand) Pick { return r.IntN }

// All picks 1 where it can: everything pending survives, as after kill -9.
func All(n int) int { return min(1, n-1) }

// None picks 0: nothing pending survives.
func None(int) int { return 0 }

// Exhaust calls f with every sequence of choices that f asks for, depth first, at
// most limit times (0: no limit). It returns the number of calls and whether they
// were all.
func Exhaust(limit int, f func(Pick)) (calls int, complete bool) {
	type choice struct{ value, n int }
	var path []choice
	for {
		i := 0
		f(func(n int) int {
			if i == len(path) {
				path = append(path, choice{0, n})
			}
			i++
			return path[i-1].value
		})
		calls++
		path = path[:i]
		for len(path) > 0 && path[len(path)-1].value+1 == path[len(path)-1].n {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return calls, true
		}
		if calls == limit {
			return calls, false
		}
		path[len(path)-1].value++
	}
}
