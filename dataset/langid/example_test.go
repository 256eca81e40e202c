package langid_test

import (
	"fmt"

	"github.com/borea-go/borea/dataset/langid"
)

func ExampleDetector_Detect() {
	d, err := langid.New(langid.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Detect("港の朝は早い。"))
	// Output: ja 1
}
