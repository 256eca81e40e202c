package safetensors_test

import (
	"bytes"
	"fmt"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

func Example() {
	var file bytes.Buffer
	w := safetensors.BF16Tensor("weight", []int{2, 2}, []float32{1, 0.5, -2, 3})
	if err := safetensors.Write(&file, []safetensors.Tensor{w}, map[string]string{"format": "pt"}); err != nil {
		fmt.Println(err)
		return
	}
	r, err := safetensors.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()), safetensors.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	info := r.Tensors()[0]
	values, err := r.Float32(info.Name)
	fmt.Println(info.Name, info.DType, info.Shape, values, err)
	// Output: weight BF16 [2 2] [1 0.5 -2 3] <nil>
}
