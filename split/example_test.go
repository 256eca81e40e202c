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

func ExampleNearDuplicates() {
	texts := []string{
		"港湾の運営では、船舶の入港予定と荷役の計画を合わせる必要がある。",
		"衛星は、地球の自転と同じ周期で赤道の上を回る。",
		"港湾の運営では、船舶の入港予定と荷役の計画をよく合わせる必要がある。",
	}
	clusters, err := split.NearDuplicates(len(texts), func(i int) string { return texts[i] }, split.DefaultNearOptions())
	fmt.Println(clusters, err)
	// Output: [0 1 0] <nil>
}
