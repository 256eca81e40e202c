package so8t

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

func TestBakeRowEqualsRotatingTheInput(t *testing.T) {
	const rows, cols = 5, 24
	var rot []float64
	for i := range cols / Size {
		rot = append(rot, Rotation(normals(Angles+i, 0.7)[:Angles])...)
	}
	w, x := normals(rows*cols, 1), normals(cols, 1)
	y := make([]float64, cols)
	if err := Rotate(y, x, rot, 1); err != nil {
		t.Fatal(err)
	}
	for r := range rows {
		row := slices.Clone(w[r*cols : (r+1)*cols])
		want := dot(row, y)
		BakeRow(row, rot)
		if got := dot(row, x); math.Abs(got-want) > 1e-12 {
			t.Errorf("row %d: %g, want %g", r, got, want)
		}
	}
}

func TestBakeRowsRefusesWrongSize(t *testing.T) {
	var se *SizeError
	if err := BakeRows(make([]float32, 9), 1, Rotation(normals(Angles, 1))); !errors.As(err, &se) {
		t.Error(err)
	}
}

// bundled is the small model of the repository.
func bundled(t testing.TB) fs.FS {
	t.Helper()
	dir := filepath.Join("..", "examples", "fullpipeline", "model")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the bundled model is not here:", err)
	}
	return os.DirFS(dir)
}

func bakeTo(t testing.TB, src fs.FS, g *Gates) (fs.FS, BakeReport) {
	t.Helper()
	dst := t.TempDir()
	rep, err := BakeDir(t.Context(), src, g, dst, Env{})
	if err != nil {
		t.Fatal(err)
	}
	return os.DirFS(dst), rep
}

// At the identity a baked directory is the source, byte for byte.
func TestIdentityGatesBakeToEqualBytes(t *testing.T) {
	src := bundled(t)
	g, err := New(6, 192)
	if err != nil {
		t.Fatal(err)
	}
	dst, rep := bakeTo(t, src, g)
	if rep.Baked != 6 || rep.Tensors != 38 || rep.FromIdentity != 0 || rep.Orthogonality != 0 || slices.Max(rep.MaxDelta) != 0 || slices.Max(rep.MaxRounded) != 0 {
		t.Errorf("%+v", rep)
	}
	entries, err := fs.ReadDir(src, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "go.mod" || strings.HasSuffix(e.Name(), ".md") {
			continue
		}
		want, err1 := fs.ReadFile(src, e.Name())
		got, err2 := fs.ReadFile(dst, e.Name())
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs: %v", e.Name(), err)
		}
	}
	if rep.Copied[len(rep.Copied)-1] != "config.json" {
		t.Errorf("order %v", rep.Copied)
	}
}

// W'x against W(Rx) on the bundled model's own weights at θ ~ N(0, 0.1²).
func TestBakedModelEqualsGatedModel(t *testing.T) {
	src, g := bundled(t), randomGates(t, 6, 192, 0.1)
	dst, rep := bakeTo(t, src, g)
	before, err1 := safetensors.OpenModel(src)
	after, err2 := safetensors.OpenModel(dst)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	defer after.Close()
	if rep.Orthogonality > 1e-13 || rep.FromIdentity < 0.5 || rep.Baked != 6 {
		t.Errorf("%+v", rep)
	}
	for _, info := range before.Tensors() {
		if !strings.HasSuffix(info.Name, weightSuffix) {
			if !bytes.Equal(section(t, before, info.Name), section(t, after, info.Name)) {
				t.Errorf("%s changed", info.Name)
			}
			continue
		}
		if after.Shard(info.Name) != before.Shard(info.Name) {
			t.Errorf("%s moved", info.Name)
		}
		compareProducts(t, before, after, info, g, rep)
	}
}

func section(t *testing.T, m *safetensors.Model, name string) []byte {
	t.Helper()
	s, err := m.Section(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compareProducts holds W'x against W(Rx): each stored weight is within half a
// unit of bfloat16 of W·Q, which is within MaxRounded.
func compareProducts(t *testing.T, before, after *safetensors.Model, info safetensors.Info, g *Gates, rep BakeReport) {
	t.Helper()
	w, err1 := before.Float32(info.Name)
	baked, err2 := after.Float32(info.Name)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	layer := slices.Index([]string{"0", "1", "2", "3", "4", "5"}, strings.Split(info.Name, ".")[2])
	rows, cols := info.Shape[0], info.Shape[1]
	x, y := normals(cols, 1), make([]float64, cols)
	rot := Rotations(g.Layers[layer])
	if err := Rotate(y, x, rot, 1); err != nil {
		t.Fatal(err)
	}
	worst, moved := 0.0, 0.0
	for r := range rows {
		gated, folded, exact := 0.0, 0.0, make([]float64, cols)
		for k := range cols {
			exact[k] = float64(w[r*cols+k])
			gated += exact[k] * y[k]
			folded += float64(baked[r*cols+k]) * x[k]
		}
		BakeRow(exact, rot)
		worst = math.Max(worst, math.Abs(dot(exact, x)-gated))
		for k := range cols {
			moved = math.Max(moved, math.Abs(exact[k]-float64(baked[r*cols+k])))
			if safetensors.BF16(safetensors.RoundToOdd(exact[k])) != safetensors.BF16(baked[r*cols+k]) {
				t.Fatalf("%s: element %d,%d is not the nearest", info.Name, r, k)
			}
		}
		if math.Abs(folded-gated) > rep.MaxRounded[layer]*float64(cols)*3 {
			t.Errorf("%s row %d: baked %g, gated %g", info.Name, r, folded, gated)
		}
	}
	if worst > 1e-12 || moved != rep.MaxRounded[layer] || rep.MaxDelta[layer] == 0 {
		t.Errorf("%s: before rounding %g, rounded %g, report %g", info.Name, worst, moved, rep.MaxRounded[layer])
	}
}

// tiny is a one-layer directory in one file of the given type.
func tiny(t testing.TB, make func(string, []int, []float32) safetensors.Tensor, w []float32) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	err := safetensors.Write(&b, []safetensors.Tensor{
		safetensors.F32Tensor("model.norm.weight", []int{1}, []float32{1}),
		make("model.layers.0.self_attn.o_proj.weight", []int{len(w) / 8, 8}, w),
	}, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		safetensors.SingleFile: {Data: b.Bytes()}, "config.json": {Data: []byte("{}")}, "LICENSE": {Data: []byte("MIT")},
		safetensors.IndexFile: {Data: []byte(`{"weight_map":{"stale":"gone.safetensors"}}`)}, "pytorch_model.bin": {Data: []byte("PK")}, ".secret.json": {},
	}
}

func TestBakeOfEachTypeAndWhatIsCopied(t *testing.T) {
	g := randomGates(t, 1, 8, 0.5)
	w := narrow(normals(130*8, 1)) // more rows than are in memory at once
	for name, c := range map[string]struct {
		make      func(string, []int, []float32) safetensors.Tensor
		tolerance float64
	}{"F32": {safetensors.F32Tensor, 1e-6}, "F16": {safetensors.F16Tensor, 4e-3}, "BF16": {safetensors.BF16Tensor, 3e-2}} {
		dst, rep := bakeTo(t, tiny(t, c.make, w), g)
		if !slices.Equal(rep.Copied, []string{"LICENSE", "config.json"}) {
			t.Errorf("%s: copied %v", name, rep.Copied)
		}
		m, err := safetensors.OpenModel(dst)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Float32("model.layers.0.self_attn.o_proj.weight")
		want := slices.Clone(w)
		if err := errors.Join(err, BakeRows(want, 130, Rotations(g.Layers[0])), m.Close()); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > c.tolerance {
				t.Fatalf("%s: element %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
}

func TestBakeRefuses(t *testing.T) {
	w := narrow(normals(16, 1))
	bad := slices.Clone(w)
	bad[9] = float32(math.Inf(1))
	ints := func(name string, shape []int, v []float32) safetensors.Tensor {
		x := safetensors.F32Tensor(name, shape, v)
		x.DType = "I32"
		return x
	}
	for _, c := range []struct {
		name, want string
		src        fs.FS
		gates      *Gates
	}{
		{"too few gates", "layers.2.self_attn.o_proj.weight: there are 2 gates", bundled(t), randomGates(t, 2, 192, 0)},
		{"too many gates", "layers.6.self_attn.o_proj.weight: the model lacks", bundled(t), randomGates(t, 7, 192, 0)},
		{"other width", "the gate turns 184 columns", bundled(t), randomGates(t, 6, 184, 0)},
		{"no model", "model directory", fstest.MapFS{}, randomGates(t, 1, 8, 0)},
		{"integers", "is I32", tiny(t, ints, w), randomGates(t, 1, 8, 0)},
		{"infinite weight", "element 9 is +Inf", tiny(t, safetensors.F32Tensor, bad), randomGates(t, 1, 8, 0)},
		{"NaN angle", "angle 0 of block 0", tiny(t, safetensors.F32Tensor, w), &Gates{Layers: [][]float32{append([]float32{float32(math.NaN())}, make([]float32, 27)...)}}},
		{"angle without meaning", "exceeds 1e-06", tiny(t, safetensors.F32Tensor, w), &Gates{Layers: [][]float32{append([]float32{1e12, 3e11}, make([]float32, 26)...)}}},
		{"no gates", "no gates", tiny(t, safetensors.F32Tensor, w), &Gates{}},
	} {
		dst := t.TempDir()
		_, err := BakeDir(t.Context(), c.src, c.gates, dst, Env{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if left, _ := os.ReadDir(dst); len(left) != 0 {
			t.Errorf("%s: leaves %v", c.name, left)
		}
	}
}

func TestBakeStopsWithTheContextAndReportsProgress(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dst, calls := t.TempDir(), 0
	_, err := BakeDir(ctx, bundled(t), randomGates(t, 6, 192, 0), dst, Env{Progress: func(done, total int) {
		if calls++; done != calls || total != 38 {
			t.Errorf("%d of %d at call %d", done, total, calls)
		}
		if done == 1 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Error(err, calls)
	}
	if left, _ := os.ReadDir(dst); len(left) != 0 {
		t.Errorf("leaves %v", left)
	}
}

func TestBakeReportsAFullDisk(t *testing.T) {
	full := errors.New("no space left")
	for _, name := range []string{safetensors.SingleFile, "config.json"} {
		_, err := Bake(t.Context(), tiny(t, safetensors.F32Tensor, make([]float32, 8)), randomGates(t, 1, 8, 0), func(n string, write func(io.Writer) error) error {
			if n == name {
				return full
			}
			return write(io.Discard)
		}, Env{})
		if !errors.Is(err, full) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBakeHoldsAFewRowsInMemory(t *testing.T) {
	const rows, cols = 4096, 1024 // 16 MiB as float32
	src := fstest.MapFS{"config.json": {}}
	var b bytes.Buffer
	w := safetensors.F32Tensor("model.layers.0.self_attn.o_proj.weight", []int{rows, cols}, make([]float32, rows*cols))
	if err := safetensors.Write(&b, []safetensors.Tensor{w}, nil); err != nil {
		t.Fatal(err)
	}
	src[safetensors.SingleFile] = &fstest.MapFile{Data: b.Bytes()}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Bake(t.Context(), src, randomGates(t, 1, cols, 0.1), func(_ string, write func(io.Writer) error) error { return write(io.Discard) }, Env{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	// In all, not at once: 64 buffers of a quarter of a MiB, and the rotations.
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}
