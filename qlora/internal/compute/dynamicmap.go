package compute

import "slices"

// DynamicMap returns the 256 sorted values in [-1, 1] that codes of 8-bit moments
// stand for: the dynamic map of Dettmers, "8-bit Approximations for Parallelism in
// Deep Learning" (arXiv 1511.04561), as bitsandbytes uses it for Adam. For decade e
// of 7 there are the midpoints of equal cells of [0.1, 1], 2^e of them times
// 10^(e-6) with both signs for the signed map, 2^(e+1) for the unsigned; then 0
// and 1. The code of x is the number of midpoints between neighbours below x.
func DynamicMap(signed bool) (table [256]float32) {
	values := []float64{0, 1}
	scale := 1e-6
	for e := range 7 {
		cells := 2 << e
		if signed {
			cells = 1 << e
		}
		for i := range cells {
			v := (0.1 + 0.9*(float64(i)+0.5)/float64(cells)) * scale
			values = append(values, v)
			if signed {
				values = append(values, -v)
			}
		}
		scale *= 10
	}
	slices.Sort(values)
	for i, v := range values {
		table[i] = float32(v)
	}
	return table
}
