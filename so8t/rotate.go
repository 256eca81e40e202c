package so8t

// Rotate writes y[t, 8b+i] = Σ_j R[b,i,j] x[t, 8b+j] for tokens rows of x
// [tokens, cols]; rotations is [cols/8, 8, 8]. Sums are float64, rounded once.
// y may not overlap x.
func Rotate[T float32 | float64](y, x []T, rotations []float64, tokens int) error {
	cols := len(rotations) / Size
	if err := check(SizeError{"x", len(x), tokens * cols}, SizeError{"y", len(y), tokens * cols}); err != nil {
		return err
	}
	for t := range tokens {
		for c := range cols {
			in, sum := x[t*cols+c/Size*Size:], 0.0
			for j, r := range rotations[c*Size : (c+1)*Size] {
				sum += r * float64(in[j])
			}
			y[t*cols+c] = T(sum)
		}
	}
	return nil
}

// RotateBackward writes dx = Rᵀ dy and adds Σ_t dy xᵀ to dr [cols/8, 8, 8], for
// dy and x [tokens, cols]. dx may not overlap dy.
func RotateBackward[T float32 | float64](dx []T, dr []float64, dy, x []T, rotations []float64, tokens int) error {
	cols := len(rotations) / Size
	n := tokens * cols
	if err := check(SizeError{"dx", len(dx), n}, SizeError{"dy", len(dy), n}, SizeError{"x", len(x), n}, SizeError{"dr", len(dr), len(rotations)}); err != nil {
		return err
	}
	for at := 0; at < n; at += Size {
		b := at % cols * Size // of the block in rotations
		r, g := rotations[b:b+Size*Size], dr[b:b+Size*Size]
		var sums [Size]float64
		for i := range Size {
			d := float64(dy[at+i])
			for j := range Size {
				sums[j] += r[i*Size+j] * d
				g[i*Size+j] += d * float64(x[at+j])
			}
		}
		for j, v := range sums {
			dx[at+j] = T(v)
		}
	}
	return nil
}

// check returns the first size that is not as wanted.
func check(sizes ...SizeError) error {
	for _, s := range sizes {
		if s.Got != s.Want {
			return &s
		}
	}
	return nil
}
