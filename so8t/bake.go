package so8t

// BakeRow replaces a row w of a linear by w·Q, Q = blockdiag(rotations), so that
// W'x = W(Rx). rotations is [len(w)/8, 8, 8].
func BakeRow(w, rotations []float64) {
	for b := 0; b < len(w); b += Size {
		var out [Size]float64
		for i := range Size {
			for j := range Size {
				out[j] += w[b+i] * rotations[(b+i)*Size+j]
			}
		}
		copy(w[b:b+Size], out[:])
	}
}

// BakeRows replaces a matrix [rows, cols] by W·Q, in float64, rounding once.
func BakeRows(w []float32, rows int, rotations []float64) error {
	cols := len(rotations) / Size
	if err := check(SizeError{"matrix", len(w), rows * cols}); err != nil {
		return err
	}
	row := make([]float64, cols)
	for r := range rows {
		for k := range row {
			row[k] = float64(w[r*cols+k])
		}
		BakeRow(row, rotations)
		for k, v := range row {
			w[r*cols+k] = float32(v)
		}
	}
	return nil
}
