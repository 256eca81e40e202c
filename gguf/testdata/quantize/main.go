// Quantize reads float32 weights from standard input and writes blocks to standard
// output, or with -decode the other way round. compare.py drives it.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/borea-go/borea/gguf"
)

func main() {
	name := flag.String("type", "Q5_K", "tensor type")
	row := flag.Int("row", 4096, "row length")
	importance := flag.String("imatrix", "", "file of row float32 importances")
	decode := flag.Bool("decode", false, "read blocks, write float32")
	flag.Parse()
	if err := run(*name, *row, *importance, *decode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, row int, importance string, decode bool) error {
	t, err := gguf.ParseType(name)
	if err != nil {
		return err
	}
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if decode {
		dst := make([]float32, len(in)/t.BlockBytes()*t.BlockSize())
		if err := gguf.Dequantize(t, dst, in); err != nil {
			return err
		}
		return binary.Write(os.Stdout, binary.LittleEndian, dst)
	}
	var v []float32
	if importance != "" {
		b, err := os.ReadFile(importance)
		if err != nil {
			return err
		}
		v = floats(b)
	}
	src := floats(in)
	n, err := t.Bytes(int64(len(src)))
	if err != nil {
		return err
	}
	dst := make([]byte, n)
	if err := gguf.Quantize(t, dst, src, row, v); err != nil {
		return err
	}
	_, err = os.Stdout.Write(dst)
	return err
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
