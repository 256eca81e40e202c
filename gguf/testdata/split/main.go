// Split cuts a GGUF file into parts, merges them, or edits the name in one;
// split_check.sh drives it.
//
//	go run ./gguf/testdata/split -max-tensors 7 -prefix PREFIX FILE
//	go run ./gguf/testdata/split -merge OUT PREFIX-00001-of-0000N.gguf
//	go run ./gguf/testdata/split -name NAME FILE
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/borea-go/borea/gguf"
)

func main() {
	opts := gguf.SplitOptions{}
	flag.Int64Var(&opts.MaxBytes, "max-bytes", 0, "largest part")
	flag.IntVar(&opts.MaxTensors, "max-tensors", 0, "most tensors of a part")
	flag.BoolVar(&opts.EmptyFirst, "empty-first", false, "no tensors in the first part")
	prefix := flag.String("prefix", "", "of the parts' names")
	merge := flag.String("merge", "", "file to merge into")
	name := flag.String("name", "", "edit general.name")
	flag.Parse()
	var err error
	if *name != "" {
		err = edit(flag.Arg(0), *name)
	} else {
		err = run(flag.Arg(0), *prefix, *merge, opts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "split:", err)
		os.Exit(1)
	}
}

func edit(path, name string) error {
	start := time.Now()
	set := func(m *gguf.Metadata) error { m.SetString("general.name", name); return nil }
	r, err := gguf.EditFile(context.Background(), path, set, gguf.DefaultEditOptions(), gguf.Env{})
	if err == nil {
		fmt.Printf("in place %v, %d bytes written, %d free, %v\n", r.InPlace, r.Written, r.Free, time.Since(start).Round(time.Millisecond))
	}
	return err
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
