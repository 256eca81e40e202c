package rewrite

import (
	"bytes"
	"fmt"
	"io"
	"runtime"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// TypeError reports a tensor that is no matrix of numbers that Rows writes.
type TypeError struct{ Info safetensors.Info }

// Error implements error.
func (e *TypeError) Error() string {
	return fmt.Sprintf("tensor %s is %s %v, want a matrix of F32, F16 or BF16", e.Info.Name, e.Info.DType, e.Info.Shape)
}

// chunkRows is how many rows a processor has in memory at once.
const chunkRows = 64

// Rows writes the matrix of info to w, changed. read fills a slice with elements
// from a given index on; change alters whole rows, of which first is the number of
// the first, and says something about them, which note is told in the order of rows.
// read and change are called from several goroutines at the same time.
func Rows[N any](w io.Writer, info safetensors.Info, read func(first int, dst []float32) error, change func(first int, rows []float32) (N, error), note func(N)) error {
	if info.DType != "F32" && info.DType != "F16" && info.DType != "BF16" || len(info.Shape) != 2 {
		return &TypeError{info}
	}
	type chunk struct {
		rows []float32
		out  bytes.Buffer
		said N
	}
	rows, cols := info.Shape[0], info.Shape[1]
	memory := make([]chunk, runtime.GOMAXPROCS(0)) // chunk i lies in i modulo their number
	return inOrder(len(memory), (rows+chunkRows-1)/chunkRows, func(i int) (c *chunk, err error) {
		c = &memory[i%len(memory)]
		if c.rows == nil {
			c.rows = make([]float32, chunkRows*cols)
		}
		first := i * chunkRows
		v := c.rows[:min(chunkRows, rows-first)*cols]
		if err := read(first*cols, v); err != nil {
			return c, err
		}
		if c.said, err = change(first, v); err != nil {
			return c, err
		}
		return c, encoded(info.DType, v).Data(&c.out)
	}, func(c *chunk) error {
		note(c.said)
		_, err := c.out.WriteTo(w)
		return err
	})
}

// encoded is v as a tensor of type t, rounded to nearest even.
func encoded(t safetensors.DType, v []float32) safetensors.Tensor {
	shape := []int{len(v)}
	switch t {
	case "BF16":
		return safetensors.BF16Tensor("", shape, v)
	case "F16":
		return safetensors.F16Tensor("", shape, v)
	}
	return safetensors.F32Tensor("", shape, v)
}
