package tokenizer_test

import (
	"fmt"
	"log"
	"os"

	"github.com/borea-go/borea/dataset/tokenizer"
)

func Example() {
	t, err := tokenizer.Open(os.DirFS("../../examples/fullpipeline/model"))
	if err != nil {
		log.Fatal(err)
	}
	ids := t.Encode("日本語の評価")
	fmt.Println(ids)
	fmt.Println(t.Decode(ids))
	// Output:
	// [29871 30325 30346 30968 30199 235 172 152 231 193 164]
	// 日本語の評価
}

func ExampleTokenizer_EncodeChat() {
	t, err := tokenizer.Open(os.DirFS("../../examples/fullpipeline/model"))
	if err != nil {
		log.Fatal(err)
	}
	ids, spans, err := t.EncodeChat([]tokenizer.Message{
		{Role: "user", Content: "Hello"},
		{Role: "assistant", Content: "Hi <|user|>"}, // ordinary text here
	}, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ids)
	fmt.Println(spans)
	// Output:
	// [32010 15043 32007 32001 6324 529 29989 1792 29989 29958 32007 32000]
	// [{user 1 3} {assistant 4 11}]
}

func ExampleTokenizer_NewDecoder() {
	t, err := tokenizer.Open(os.DirFS("../../examples/fullpipeline/model"))
	if err != nil {
		log.Fatal(err)
	}
	d := t.NewDecoder()
	for _, id := range t.Encode("評価 ok") {
		fmt.Printf("%q ", d.Push(id))
	}
	fmt.Printf("%q\n", d.Flush())
	// Output:
	// "" "" "" "評" "" "" "価" " ok" ""
}
