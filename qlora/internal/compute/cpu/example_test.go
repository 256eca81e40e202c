package cpu_test

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

// A linear layer of two outputs over three inputs, one token.
func Example() {
	dev, err := cpu.New(cpu.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Close()
	w, err := dev.Weight(compute.FormatF32, 2, 3, func(_ int, dst []float32) error {
		copy(dst, []float32{1, 2, 3, 4, 5, 6})
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	x, y := dev.Alloc(compute.F32, 3), dev.Alloc(compute.F32, 2)
	dev.Upload(x, []float32{1, 0, -1})
	dev.Linear(y, nil, compute.Activation{X: x}, w, nil, nil, 1, compute.Random{})
	out := make([]float32, 2)
	if err := dev.Download(out, y); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out)
	// Output: [-2 -2]
}
