package classifier

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/borea-go/borea/label"
)

// Vectors is a Backbone over vectors that are known already: the texts it is given are
// the vectors' names. It needs no model.
type Vectors struct {
	width int
	rows  map[string][]float32
}

// NewVectors returns an empty set of vectors of a width of at least 1.
func NewVectors(width int) *Vectors {
	return &Vectors{width: max(1, width), rows: map[string][]float32{}}
}

// ErrVector says that a vector has another width, a value that is not finite, or a name
// that is taken or empty.
var ErrVector = errors.New("classifier: bad vector")

// Add names a vector.
func (v *Vectors) Add(name string, vector []float32) error {
	if _, taken := v.rows[name]; taken || name == "" || len(vector) != v.width {
		return fmt.Errorf("%w: %q with %d values, want %d and a name of its own", ErrVector, name, len(vector), v.width)
	}
	if i := notFinite(vector); i >= 0 {
		return fmt.Errorf("%w: %q: value %d is %v", ErrVector, name, i+1, vector[i])
	}
	v.rows[name] = vector
	return nil
}

// notFinite is the index of the first value that is NaN or infinite, -1 for none.
func notFinite(x []float32) int {
	return slices.IndexFunc(x, func(v float32) bool { return v-v != 0 })
}

// Width returns the width of the vectors.
func (v *Vectors) Width() int { return v.width }

// Features returns the vectors of some names; an unknown one is an *InputError.
func (v *Vectors) Features(ctx context.Context, names []string) ([]float32, error) {
	out := make([]float32, 0, len(names)*v.width)
	for i, name := range names {
		row, ok := v.rows[name]
		if !ok {
			return nil, &InputError{i, fmt.Errorf("no vector is named %q", name)}
		}
		out = append(out, row...)
	}
	return out, ctx.Err()
}

// ReadVectors reads comma-separated lines of class name and features, all of the same
// number, and names the vectors by line, "1" and up. Lines that start with # are skipped.
func ReadVectors(r io.Reader) (*Vectors, []Example, error) {
	in := csv.NewReader(r)
	in.Comment, in.ReuseRecord = '#', true
	var v *Vectors
	var examples []Example
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("classifier: vectors: %w", err)
		}
		if v == nil {
			v = NewVectors(len(fields) - 1)
		}
		line, _ := in.FieldPos(0)
		ex := Example{Text: strconv.Itoa(len(examples) + 1)}
		if ex.Class, err = v.addLine(ex.Text, fields); err != nil {
			return nil, nil, fmt.Errorf("classifier: vectors, line %d: %w", line, err)
		}
		examples = append(examples, ex)
	}
	if v == nil {
		return nil, nil, fmt.Errorf("%w: the file is empty", ErrVector)
	}
	return v, examples, nil
}

func (v *Vectors) addLine(name string, fields []string) (label.Class, error) {
	class, err := label.ParseClass(fields[0])
	if err != nil || !class.Valid() {
		return class, errors.Join(err, fmt.Errorf("%w: class %q", ErrVector, fields[0]))
	}
	row := make([]float32, 0, len(fields)-1)
	for i, s := range fields[1:] {
		x, err := strconv.ParseFloat(s, 32)
		if err != nil {
			return class, fmt.Errorf("value %d: %w", i+1, err)
		}
		row = append(row, float32(x))
	}
	return class, v.Add(name, row)
}
