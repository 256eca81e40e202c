//go:build cuda && cgo && linux && amd64

package cuda

import (
	"errors"
	"testing"
)

// TestReadRows: every row is read once and lands in its place, whatever the number
// of rows, and an error comes back.
func TestReadRows(t *testing.T) {
	const cols = 3
	for _, rows := range []int{1, 2, 7, 8, 9, 63, 64, 100} {
		dst := make([]float32, rows*cols)
		err := readRows(func(first int, part []float32) error {
			for i := range part {
				part[i] += float32(first*cols + i)
			}
			return nil
		}, 5, dst, cols)
		for i, v := range dst {
			if v != float32(5*cols+i) {
				t.Fatalf("%d rows: element %d is %v (%v)", rows, i, v, err)
			}
		}
	}
	broken := errors.New("broken")
	if err := readRows(func(int, []float32) error { return broken }, 0, make([]float32, 9), 3); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
