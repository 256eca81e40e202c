package classifier

import (
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// Steps of 2⁻⁸ are exact in float32, so the differences are those of the function.
func TestHeadGradientIsTheDerivative(t *testing.T) {
	for _, hidden := range []int{0, 5} {
		for _, rate := range []float64{0, .4} {
			h, r := NewHead(3, hidden, 4, 7), rand.New(rand.NewPCG(1, 1))
			x, c := make([]float32, 6), make([]float64, 8)
			for i := range x {
				x[i] = float32(math.Round(r.NormFloat64()*256) / 256)
			}
			for i := range c {
				c[i] = r.NormFloat64()
			}
			pass := func() *headPass { return h.train(x, rate, rand.New(rand.NewPCG(2, 2))) }
			value := func() (sum float64) {
				for i, z := range pass().logits {
					sum += c[i] * z
				}
				return sum
			}
			var grads [][]float64
			for _, p := range h.params() {
				for i, v := range p.data {
					p.data[i] = float32(math.Round(float64(v)*256) / 256)
				}
				grads = append(grads, make([]float64, len(p.data)))
			}
			dx := pass().backward(c, grads)
			compare := func(what string, data []float32, grad func(i int) float64) {
				for i := range data {
					// Richardson's extrapolation removes the error of order h².
					d := func(h float32) float64 {
						was := data[i]
						data[i] = was + h
						up := value()
						data[i] = was - h
						down := value()
						data[i] = was
						return (up - down) / (2 * float64(h))
					}
					near(t, what, grad(i), (4*d(1./256)-d(1./128))/3, 2e-7)
				}
			}
			for k, p := range h.params() {
				compare(p.name, p.data, func(i int) float64 { return grads[k][i] })
			}
			compare("features", x, func(i int) float64 { return float64(dx[i]) })
		}
	}
}

func TestSavedHeadsLoadBack(t *testing.T) {
	for _, hidden := range []int{0, 6} {
		o, dir := testOptions(), filepath.Join(t.TempDir(), "judge")
		o.Hidden = hidden
		h := NewHead(5, hidden, 4, 3)
		if err := SaveHead(dir, h, o); err != nil {
			t.Fatal(err)
		}
		back, opts, err := LoadHead(os.DirFS(dir))
		if err != nil || !reflect.DeepEqual(opts, o) {
			t.Fatal(opts, err)
		}
		a, _ := h.Forward([]float32{1, 2, 3, 4, 5})
		b, _ := back.Forward([]float32{1, 2, 3, 4, 5})
		if !reflect.DeepEqual(a, b) {
			t.Errorf("hidden %d: %v became %v", hidden, a, b)
		}
	}
	if err := SaveHead(t.TempDir(), NewHead(5, 6, 4, 3), testOptions()); !errors.Is(err, ErrShape) {
		t.Errorf("options without the hidden layer: %v", err)
	}
}

func TestDamagedHeadsAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := SaveHead(dir, NewHead(5, 0, 4, 3), testOptions()); err != nil {
		t.Fatal(err)
	}
	good := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	info, head := good(infoFile), good(headFile)
	edit := func(old, new string) []byte { return []byte(strings.Replace(string(info), old, new, 1)) }
	for name, c := range map[string]struct {
		info, head []byte
	}{
		"no info": {nil, head}, "no head": {info, nil}, "truncated head": {info, head[:len(head)-3]}, "not JSON": {[]byte("{"), head},
		"other classes": {edit("DENY", "BLOCK"), head}, "other width": {edit(`"width": 5`, `"width": 6`), head},
		"width 0": {edit(`"width": 5`, `"width": 0`), head}, "huge": {edit(`"width": 5`, `"width": 5000000000`), head},
		"newer": {edit(`"version": 1`, `"version": 2`), head}, "hidden": {edit(`"hidden": 0`, `"hidden": 4`), head},
	} {
		files := fstest.MapFS{}
		if c.info != nil {
			files[infoFile] = &fstest.MapFile{Data: c.info, Mode: fs.ModePerm}
		}
		if c.head != nil {
			files[headFile] = &fstest.MapFile{Data: c.head, Mode: fs.ModePerm}
		}
		if _, _, err := LoadHead(files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
