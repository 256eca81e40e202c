// Generate writes a random Phi-3 model directory. whole_file.py uses it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/borea-go/borea/gguf/internal/phi3gen"
)

func main() {
	s := phi3gen.Default()
	out := flag.String("out", "", "directory to fill")
	tok := flag.String("tokenizer", "examples/fullpipeline/model", "model directory whose tokenizer is copied")
	flag.IntVar(&s.Hidden, "hidden", s.Hidden, "width")
	flag.IntVar(&s.Heads, "heads", s.Heads, "attention heads")
	flag.IntVar(&s.KVHeads, "kv-heads", s.KVHeads, "key and value heads")
	flag.IntVar(&s.Layers, "layers", s.Layers, "layers")
	flag.IntVar(&s.MLP, "mlp", s.MLP, "MLP width")
	flag.IntVar(&s.Vocab, "vocab", s.Vocab, "rows of the embedding")
	flag.BoolVar(&s.Tied, "tied", s.Tied, "tie embedding and head")
	flag.Parse()
	err := os.MkdirAll(*out, 0o755)
	if err == nil {
		err = phi3gen.Write(*out, s, os.DirFS(*tok))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
