package so8t_test

import (
	"fmt"

	"github.com/borea-go/borea/so8t"
)

// A gate on the input of a linear, and the same after folding it into the weights.
func Example() {
	theta := make([]float64, so8t.Angles)
	theta[0] = 0.5 // turn columns 0 and 1
	r := so8t.Rotation(theta)

	w := []float64{1, 2, 0, 0, 0, 0, 0, 0} // one row of W
	x := []float64{3, 4, 0, 0, 0, 0, 0, 0}
	y := make([]float64, 8)
	if err := so8t.Rotate(y, x, r, 1); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("W(Rx) = %.6f\n", w[0]*y[0]+w[1]*y[1])

	so8t.BakeRow(w, r)
	fmt.Printf("(WQ)x = %.6f\n", w[0]*x[0]+w[1]*x[1])
	// Output:
	// W(Rx) = 8.694557
	// (WQ)x = 8.694557
}
