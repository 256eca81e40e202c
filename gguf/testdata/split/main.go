// Split cuts a GGUF file into parts, or merges them; split_check.sh drives it.
//
//	go run ./gguf/testdata/split -max-tensors 7 -prefix PREFIX FILE
//	go run ./gguf/testdata/split -merge OUT PREFIX-00001-of-0000N.gguf
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/borea-go/borea/gguf"
)

func main() {
	opts := gguf.SplitOptions{}
	flag.Int64Var(&opts.MaxBytes, "max-bytes", 0, "largest part")
	flag.IntVar(&opts.MaxTensors, "max-tensors", 0, "most tensors of a part")
	flag.BoolVar(&opts.EmptyFirst, "empty-first", false, "no tensors in the first part")
	prefix := flag.String("prefix", "", "of the parts' names")
	merge := flag.String("merge", "", "file to merge into")
	flag.Parse()
	if err := run(flag.Arg(0), *prefix, *merge, opts); err != nil {
		fmt.Fprintln(os.Stderr, "split:", err)
		os.Exit(1)
	}
}

func run(in, prefix, merge string, opts gguf.SplitOptions) error {
	if merge != "" {
		return gguf.MergeFile(context.Background(), in, merge, gguf.Env{})
	}
	paths, err := gguf.SplitFile(context.Background(), in, prefix, opts, gguf.Env{})
	if err == nil {
		fmt.Println(paths[0])
	}
	return err
}
