package eval_test

import (
	"fmt"

	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
)

func ExampleEvaluate() {
	truth := []label.Class{label.Allow, label.Deny, label.Refuse, label.Allow}
	pred := []label.Class{label.Allow, label.Deny, label.Escalation, label.Deny}
	records, err := eval.RecordsOf(truth, pred, nil, "author")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := eval.Evaluate(records, eval.DefaultOptions())
	fmt.Println(r.Headline.Accuracy, r.Headline.FalseAllow, err)
	fmt.Printf("%d of %d, at most %v\n", r.Safety.FalseAllow.K, r.Safety.FalseAllow.N, r.Safety.FalseAllow.UpperOneSided)
	// Output:
	// 0.5 n/a (4 of 4 labels are not from independent people (label_source)) <nil>
	// 0 of 2, at most 0.776393
}

func ExampleNewRate() {
	fmt.Println(eval.NewRate(0, 299, 0.95).UpperOneSided)
	// Output: 0.00996915
}
