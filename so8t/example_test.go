package so8t_test

import (
	"fmt"

	"github.com/borea-go/borea/so8t"
)

func Example() {
	theta := make([]float64, so8t.Angles)
	theta[0] = 0.5 // turn columns 0 and 1
	w := []float64{1, 0, 0, 0, 0, 0, 0, 0}
	so8t.BakeRow(w, so8t.Rotation(theta))
	fmt.Printf("%.4f %.4f\n", w[0], w[1])
	// Output: 0.8776 0.4794
}
