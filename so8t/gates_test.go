package so8t

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// randomGates has angles N(0, std²).
func randomGates(t testing.TB, layers, cols int, std float64) *Gates {
	t.Helper()
	g, err := New(layers, cols)
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.Layers {
		g.Layers[i] = narrow(normals(len(g.Layers[i])+i, std)[i:])
	}
	return g
}

func reader(t testing.TB, b []byte) *safetensors.Reader {
	t.Helper()
	r, err := safetensors.NewReader(bytes.NewReader(b), int64(len(b)), safetensors.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGatesRoundTrip(t *testing.T) {
	g := randomGates(t, 3, 16, 0.1)
	var b bytes.Buffer
	if err := Write(&b, g); err != nil {
		t.Fatal(err)
	}
	r := reader(t, b.Bytes())
	if info, ok := r.Info("model.layers.2.self_attn.o_proj.so8t.theta"); !ok || !slices.Equal(info.Shape, []int{2, 28}) || info.DType != "F32" {
		t.Errorf("%+v", info)
	}
	got, err := Read(r)
	if err != nil || len(got.Layers) != 3 {
		t.Fatal(got, err)
	}
	for i := range g.Layers {
		if !slices.Equal(g.Layers[i], got.Layers[i]) {
			t.Errorf("layer %d differs", i)
		}
	}
}

func TestReport(t *testing.T) {
	g := randomGates(t, 2, 16, 0.1)
	clear(g.Layers[0])
	r := g.Report()
	if r.Layers != 2 || r.Blocks != 4 || r.Orthogonality > 1e-6 || r.PerLayer[0] != 0 || r.PerLayer[1] < 0.3 ||
		math.Abs(r.FromIdentity-r.PerLayer[1]/2) > 1e-12 {
		t.Errorf("%+v", r)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range [][2]int{{1, 12}, {1, 0}, {0, 8}, {1, -8}} {
		if _, err := New(c[0], c[1]); err == nil {
			t.Errorf("%v: no error", c)
		}
	}
}

func TestDamagedGatesAreRefused(t *testing.T) {
	meta := map[string]string{"format": fileFormat, "rotation": fileRotation}
	theta := func(layer int, shape []int, v ...float32) safetensors.Tensor {
		return safetensors.F32Tensor(tensorName(layer), shape, append(v, make([]float32, shape[0]*shape[1]-len(v))...))
	}
	for _, c := range []struct {
		name, want string
		tensors    []safetensors.Tensor
		meta       map[string]string
	}{
		{"another format", "metadata", []safetensors.Tensor{theta(0, []int{1, 28})}, map[string]string{"format": "pt"}},
		{"another format with our rotation", "metadata", []safetensors.Tensor{theta(0, []int{1, 28})}, map[string]string{"format": "pt", "rotation": fileRotation}},
		{"Cayley", "metadata", []safetensors.Tensor{theta(0, []int{1, 28})}, map[string]string{"format": fileFormat, "rotation": "cayley"}},
		{"a layer missing", "layers.1.", []safetensors.Tensor{theta(0, []int{1, 28}), theta(2, []int{1, 28})}, meta},
		{"full matrices", "[blocks 28]", []safetensors.Tensor{theta(0, []int{1, 64})}, meta},
		{"half precision", "F16", []safetensors.Tensor{safetensors.F16Tensor(tensorName(0), []int{1, 28}, make([]float32, 28))}, meta},
		{"NaN", "layers.0.self_attn.o_proj.so8t.theta: angle 1 of block 0", []safetensors.Tensor{theta(0, []int{1, 28}, 0, float32(math.NaN()))}, meta},
		{"no blocks", "whole blocks", []safetensors.Tensor{theta(0, []int{0, 28})}, meta},
		{"no layers", "no gates", nil, meta},
	} {
		var b bytes.Buffer
		if err := safetensors.Write(&b, c.tensors, c.meta); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(reader(t, b.Bytes())); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := Write(io.Discard, &Gates{Layers: [][]float32{{1}}}); err == nil {
		t.Error("Write of half a block: no error")
	}
}
