package plot_test

import (
	"bytes"
	"fmt"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/eval/plot"
)

func ExampleConfusionCounts() {
	c := eval.Confusion{{8, 1, 1, 0}, {2, 5, 0, 3}, {1, 2, 6, 1}, {0, 3, 4, 3}}
	f, err := plot.ConfusionCounts(c, "Confusion matrix", plot.DefaultStyle())
	if err != nil {
		fmt.Println(err)
		return
	}
	var png bytes.Buffer
	err = f.WritePNG(&png)
	fmt.Printf("%q %v\n", png.Bytes()[1:4], err)
	// Output: "PNG" <nil>
}
