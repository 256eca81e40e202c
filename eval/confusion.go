package eval

import "fmt"

// Confusion counts samples by truth (row) and prediction (column), K by K.
type Confusion [][]int

// NewConfusion counts class indices 0…classes−1.
func NewConfusion(classes int, truth, pred []int) (Confusion, error) {
	if classes < 1 || len(truth) != len(pred) {
		return nil, fmt.Errorf("%w: %d truths and %d predictions of %d classes", ErrShape, len(truth), len(pred), classes)
	}
	c := make(Confusion, classes)
	for k := range c {
		c[k] = make([]int, classes)
	}
	for i, y := range truth {
		if y < 0 || y >= classes || pred[i] < 0 || pred[i] >= classes {
			return nil, &ValueError{i, fmt.Sprintf("truth %d, prediction %d; want 0 to %d", y, pred[i], classes-1)}
		}
		c[y][pred[i]]++
	}
	return c, nil
}

// Total is the number of samples.
func (c Confusion) Total() (n int) {
	for k := range c {
		n += c.Support(k)
	}
	return n
}

// Support is how many samples truly are of class k.
func (c Confusion) Support(k int) (n int) {
	for _, v := range c[k] {
		n += v
	}
	return n
}

// Predicted is how many samples were called class k.
func (c Confusion) Predicted(k int) (n int) {
	for _, row := range c {
		n += row[k]
	}
	return n
}

// Correct is the sum of the diagonal.
func (c Confusion) Correct() (n int) {
	for k := range c {
		n += c[k][k]
	}
	return n
}
