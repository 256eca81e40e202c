package gorgonia_test

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/qlora/gorgonia"
)

func ExampleFromFactor() {
	p, err := gorgonia.FromFactor(qlora.Factor{
		In: 3, Out: 2, R: 1, Scale: 2,
		A: []float32{1, 2, 3},
		B: []float32{10, 20},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	product, err := tensor.MatMul(p.B, p.A)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(product.Shape(), product.Data())
	// Output: (2, 3) [10 20 30 20 40 60]
}
