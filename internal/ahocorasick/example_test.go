package ahocorasick_test

import (
	"fmt"

	"github.com/borea-go/borea/internal/ahocorasick"
)

func ExampleMatcher_Scan() {
	m, err := ahocorasick.New([]string{"he", "she", "hers"})
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Scan([]byte("ushers"), func(x ahocorasick.Match) bool {
		fmt.Println(x.Pattern, x.Start, x.End)
		return true
	})
	// Output:
	// 1 1 4
	// 0 2 4
	// 2 2 6
}
