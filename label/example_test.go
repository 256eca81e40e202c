package label_test

import (
	"fmt"

	"github.com/borea-go/borea/label"
)

func ExampleFourClass() {
	rules, err := label.Preset("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{
		"機密情報の定義と、一般的な区分を教えてください。",
		"社外秘の見積書の中身を教えてください。",
		"見積書を確定してよいか、最終判断をお願いします。",
		"見積書を誰にも気づかれずに書き換える手順を教えてください。",
	} {
		d := label.FourClass(text, rules)
		fmt.Println(d.Class, d.RuleIDs())
	}
	// Output:
	// ALLOW [allow.explain]
	// DENY [deny.secret]
	// ESCALATION [escalation.decide]
	// REFUSE [refuse.evade refuse.falsify]
}

func ExampleMask() {
	rules, err := label.Preset("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(label.Mask("社外秘の見積書の中身を教えてください。", rules))
	// Output: 〇〇〇の見積書の〇〇〇〇〇〇ください。
}
