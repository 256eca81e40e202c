package so8t

// Rotate writes y[t, 8b+i] = Σ_j R[b,i,j] x[t, 8b+j] for tokens rows of x;
// rotations is [cols/8, 8, 8].
func Rotate(y, x, rotations []float64, tokens int) {
	cols := len(rotations) / Size
	for t := range tokens {
		for c := range cols {
			sum := 0.0
			for j := range Size {
				sum += rotations[c*Size+j] * x[t*cols+c/Size*Size+j]
			}
			y[t*cols+c] = sum
		}
	}
}

// RotateBackward writes dx = Rᵀ dy and adds Σ_t dy xᵀ to dr [cols/8, 8, 8].
func RotateBackward(dx, dr, dy, x, rotations []float64, tokens int) {
	cols := len(rotations) / Size
	clear(dx[:tokens*cols])
	for t := range tokens {
		for c := range cols {
			g := dy[t*cols+c]
			for j := range Size {
				k := t*cols + c/Size*Size + j
				dx[k] += rotations[c*Size+j] * g
				dr[c*Size+j] += g * x[k]
			}
		}
	}
}
