package beam_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/borea-go/borea/dataset"
	cleaning "github.com/borea-go/borea/dataset/beam"
)

// A pipeline that reads, cleans and writes, on the local runner; any other takes the same.
func Example() {
	dir, err := os.MkdirTemp("", "beam")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	p, s := beam.NewPipelineWithRoot()
	out, err := pipeline(s, dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := beam.Run(context.Background(), "prism", p); err != nil {
		fmt.Println(err)
		return
	}
	for sample, err := range dataset.ReadFile(out.Path(0), dataset.DefaultReadOptions()) {
		fmt.Printf("%s quality %.2f %v\n", sample.ID[:8], sample.Quality, err)
	}
	// Output:
	// 96d07179 quality 1.00 <nil>
}

func pipeline(s beam.Scope, dir string) (cleaning.WriteOptions, error) {
	out := cleaning.DefaultWriteOptions()
	out.Prefix, out.Format = filepath.Join(dir, "clean"), dataset.Gzip
	lines := `{"text":"港の朝は早い。夜明け前の岸壁には、荷を積み下ろす人たちの声と、冷たい潮の匂いが満ちている。沖に停泊していた貨物船が、ゆっくりと近づいてくる。"}
{"text":"港の朝は早い。夜明け前の岸壁には、荷を積み下ろす人たちの声と、冷たい潮の匂いが満ちている。　沖に停泊していた貨物船が、ゆっくりと近づいてくる。"}
{"text":"短い文。"}
`
	if err := os.WriteFile(filepath.Join(dir, "raw.jsonl"), []byte(lines), 0o600); err != nil {
		return out, err
	}
	in, err := cleaning.Read(s, filepath.Join(dir, "raw*.jsonl"), dataset.DefaultReadOptions())
	if err != nil {
		return out, err
	}
	clean, err := cleaning.Clean(s, dataset.DefaultCleanOptions(), nil, in.Kept)
	if err != nil {
		return out, err
	}
	_, err = cleaning.Write(s, out, clean.Kept)
	return out, err
}
