package dataset_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/borea-go/borea/dataset"
)

func ExampleClean() {
	in := strings.NewReader(`{"text":"港の朝は早い。夜明け前の岸壁には、荷を積み下ろす人たちの声と、冷たい潮の匂いが満ちている。沖に停泊していた貨物船が、ゆっくりと近づいてくる。"}
{"text":"港の朝は早い。夜明け前の岸壁には、荷を積み下ろす人たちの声と、冷たい潮の匂いが満ちている。　沖に停泊していた貨物船が、ゆっくりと近づいてくる。"}
{"text":"短い文。"}
not JSON
`)
	samples, report := dataset.Clean(context.Background(), dataset.Read(in, dataset.DefaultReadOptions()), dataset.DefaultCleanOptions(), dataset.Env{})
	for s, err := range samples {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s quality %.2f\n", s.ID[:8], s.Quality)
	}
	fmt.Println("in", report.In, "kept", report.Kept, "dropped", report.Dropped)
	// Output:
	// 96d07179 quality 1.00
	// in 4 kept 1 dropped map[duplicate:1 malformed_json:1 too_short:1]
}

func ExampleSynthesize() {
	opts := dataset.DefaultSynthOptions()
	opts.Total, opts.Only, opts.Triple = 1, []string{"qa/what.meaning"}, 0
	for s, err := range dataset.Synthesize(opts) {
		fmt.Println(s.Request(), s.Label, s.TemplateID, err)
	}
	// Output:
	// 社内の勉強会の準備をしています。PKOとは何ですか。 ALLOW qa/what.meaning <nil>
}
