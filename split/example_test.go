package split_test

import (
	"fmt"

	"github.com/borea-go/borea/split"
)

func ExampleStratified() {
	type page struct{ id, host, class string }
	var pages []page
	for i := range 40 {
		class := "ALLOW"
		if i%4 == 0 {
			class = "DENY"
		}
		pages = append(pages, page{fmt.Sprint("page ", i), fmt.Sprint("host ", i/2), class})
	}
	res, err := split.Stratified(pages, split.Keys[page]{
		ID:     func(p page) string { return p.id },
		Class:  func(p page) string { return p.class },
		Groups: func(p page) []string { return []string{p.host} },
	}, split.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range res.Report.Parts {
		fmt.Println(p.Name, p.Items, p.Classes)
	}
	fmt.Println("hosts in two parts:", res.Report.Proof.SharedGroups)
	// Output:
	// train 32 map[ALLOW:24 DENY:8]
	// val 4 map[ALLOW:3 DENY:1]
	// test 4 map[ALLOW:3 DENY:1]
	// hosts in two parts: 0
}
