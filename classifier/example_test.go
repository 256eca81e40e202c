package classifier_test

import (
	"fmt"

	"github.com/borea-go/borea/classifier"
)

func ExampleFocalLoss() {
	f := classifier.FocalLoss{Gamma: 2, Weights: []float64{1, 3, 5, 5}}
	grad := make([]float64, 4)
	loss, err := f.Hard([]float64{2, 0.5, -1, 0}, 4, []int{0}, classifier.ReduceMean, grad)
	fmt.Printf("%.4f %.4f %v\n", loss.Value, grad[0], err)
	// Output: 0.0288 -0.0652 <nil>
}
