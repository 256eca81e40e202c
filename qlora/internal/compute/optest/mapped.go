package optest

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// mapped holds weights that are used where they lie against stored ones: every
// operation that takes a weight gives the same bits.
func mapped(t *testing.T, d compute.Device) {
	m, ok := d.(compute.Mapper)
	if !ok {
		t.Skip("the device maps nothing")
	}
	for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16} {
		for _, n := range []int{1, 4, 70} {
			v := newTrial(d).exact(90, 48)
			raw := littleEndian(f, v)
			w, err := m.MappedWeight(f, 90, 48, raw)
			if errors.Is(err, compute.ErrUnsupported) {
				t.Skip(err)
			}
			check(t, err)
			if w.Rows() != 90 || w.Cols() != 48 || w.Format() != f || w.Bytes() != int64(len(raw)) {
				t.Errorf("%d×%d %s, %d bytes", w.Rows(), w.Cols(), w.Format(), w.Bytes())
			}
			got, want := useWeight(t, d, w, n), useWeight(t, d, newTrial(d).weight(f, 90, 48, v), n)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %d tokens: a mapped weight gives other numbers", f, n)
			}
		}
		raw := littleEndian(f, make([]float32, 13))
		for name, try := range map[string]func() (compute.Weight, error){
			"too short":   func() (compute.Weight, error) { return m.MappedWeight(f, 3, 4, raw[:len(raw)-2*width(f)]) },
			"too long":    func() (compute.Weight, error) { return m.MappedWeight(f, 3, 4, raw) },
			"odd address": func() (compute.Weight, error) { return m.MappedWeight(f, 3, 4, raw[1:1+12*width(f)]) },
			"no rows":     func() (compute.Weight, error) { return m.MappedWeight(f, 0, 4, nil) },
			"codes":       func() (compute.Weight, error) { return m.MappedWeight(compute.FormatInt8, 3, 4, raw[:12]) },
		} {
			if _, err := try(); !errors.Is(err, compute.ErrUnsupported) {
				t.Errorf("%s %s: %v", f, name, err)
			}
		}
	}
}

func width(f compute.Format) int {
	if f == compute.FormatBF16 {
		return 2
	}
	return 4
}

// littleEndian is v as a file holds it; v is exact in f.
func littleEndian(f compute.Format, v []float32) (raw []byte) {
	for _, x := range v {
		if b := math.Float32bits(x); f == compute.FormatBF16 {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(b>>16))
		} else {
			raw = binary.LittleEndian.AppendUint32(raw, b)
		}
	}
	return raw
}

// useWeight runs a weight as linear, head and embedding.
func useWeight(t *testing.T, d compute.Device, w compute.Weight, n int) (out []float32) {
	r := newTrial(d)
	rows, cols := w.Rows(), w.Cols()
	x, y := r.putReal(r.normal(n*cols)), r.real(n*rows)
	d.Linear(y, nil, compute.Activation{X: x}, w, nil, nil, n, none)
	out = append(out, download[float32](t, d, y, n*rows)...)
	d.LinearBackward(x, y, compute.Activation{X: x}, w, nil, compute.AdapterGrad{}, nil, n, none)
	out = append(out, download[float32](t, d, x, n*cols)...)
	ids, one := make([]int32, n), make([]float32, n)
	for i := range ids {
		ids[i], one[i] = int32(r.rng.IntN(rows)), 1
	}
	d.Embed(x, w, r.put(ids), n, 0, compute.Sequence{}, none)
	nll := d.Alloc(compute.F32, n)
	d.CrossEntropy(nll, nil, x, w, r.put(ids), r.put(one), n)
	out = append(out, download[float32](t, d, x, n*cols)...)
	return append(out, download[float32](t, d, nll, n)...)
}
