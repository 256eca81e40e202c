package qlora

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/so8t"
)

// randomAdapter has every factor non-zero, with gates when theta > 0.
func randomAdapter(m *Model, rank int, theta float64) *Adapter {
	rng := rand.New(rand.NewPCG(7, 7))
	normal := func(n int, s float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64() * s)
		}
		return v
	}
	a := &Adapter{Rank: rank, Alpha: 2 * float64(rank), Targets: Targets(), Factors: map[string]Factor{}}
	if theta > 0 {
		a.Gates = &so8t.Gates{}
	}
	for i := range m.Layers() {
		for _, target := range Targets() {
			out, in := m.linearShape(target)
			a.Factors[LinearName(i, target)] = Factor{
				In: in, Out: out, R: rank, Scale: 2, A: normal(rank*in, 0.05), B: normal(out*rank, 0.02),
			}
		}
		if theta > 0 {
			_, in := m.linearShape(OProj)
			a.Gates.Layers = append(a.Gates.Layers, normal(in/8*28, theta))
		}
	}
	return a
}

func TestAdapterFilesRoundTrip(t *testing.T) {
	m := loadModel(t, "testdata/phi3-mini-gqa", "f32")
	a := randomAdapter(m, 4, 0)
	for name, o := range map[string]WriteOptions{"fused": {}, "split": {Split: m.SplitShape()}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, a.WriteDir(dir, o))
			b, err := LoadAdapter(os.DirFS(dir))
			require.NoError(t, err)
			requireSameUpdate(t, a, b)
		})
	}
}

// requireSameUpdate compares s·BA of every linear.
func requireSameUpdate(t *testing.T, want, got *Adapter) {
	t.Helper()
	require.Equal(t, want.names(), got.names())
	for _, name := range want.names() {
		a, b := want.Factors[name], got.Factors[name]
		require.Less(t, relNorm(product(b), product(a)), 1e-6, name)
	}
}

func product(f Factor) []float32 {
	out := make([]float32, f.Out*f.In)
	for i := range f.Out {
		for j := range f.R {
			s := float32(f.Scale) * f.B[i*f.R+j]
			for k := range f.In {
				out[i*f.In+k] += s * f.A[j*f.In+k]
			}
		}
	}
	return out
}

func TestGatesAreRefusedByPEFT(t *testing.T) {
	m := loadModel(t, "testdata/phi3-mini-gqa", "f32")
	a := randomAdapter(m, 4, 0.1)
	require.ErrorIs(t, a.WriteDir(t.TempDir(), WriteOptions{}), ErrGated)
	dir := t.TempDir()
	require.NoError(t, a.Save(dir))
	b, err := LoadAdapter(os.DirFS(dir))
	require.NoError(t, err)
	require.Equal(t, a.Gates.Layers, b.Gates.Layers)
	requireSameUpdate(t, a, b)
}

func windowLogProbs(t *testing.T, m *Model) []float64 {
	t.Helper()
	ids := make([]int32, 40)
	for i := range ids {
		ids[i] = int32(7*i+3) % int32(m.VocabSize())
	}
	lp, err := m.LogProbs(context.Background(), [][]int32{ids})
	require.NoError(t, err)
	return lp[0]
}

// TestMergeEqualsAdapter merges into float32 weights, so that no rounding hides
// a wrong side or a transposed rotation.
func TestMergeEqualsAdapter(t *testing.T) {
	m := loadModel(t, "testdata/phi3-mini-gqa", "f32")
	a := randomAdapter(m, 4, 0.1)
	require.NoError(t, m.Attach(a))
	tuned := windowLogProbs(t, m)
	m.Detach()
	plain := windowLogProbs(t, m)
	require.Greater(t, maxDiff(tuned, plain), 1e-2, "the adapter must matter")

	src := filepath.Join(t.TempDir(), "f32")
	widen(t, "testdata/phi3-mini-gqa", src)
	dst := filepath.Join(t.TempDir(), "merged")
	rep, err := Merge(context.Background(), os.DirFS(src), a, dst, Env{})
	require.NoError(t, err)
	alone := filepath.Join(t.TempDir(), "alone")
	processors := runtime.GOMAXPROCS(1)
	_, err = Merge(context.Background(), os.DirFS(src), a, alone, Env{})
	runtime.GOMAXPROCS(processors + 2)
	require.NoError(t, err)
	again := filepath.Join(t.TempDir(), "again")
	_, err = Merge(context.Background(), os.DirFS(src), a, again, Env{})
	runtime.GOMAXPROCS(processors)
	require.NoError(t, err)
	requireSameFile(t, filepath.Join(alone, "model.safetensors"), filepath.Join(again, "model.safetensors"))
	require.Equal(t, 8, rep.Merged)
	require.Equal(t, 2, rep.Baked)
	o := loadOptions()
	o.Weights, o.Embeddings = "f32", "f32"
	merged, err := Load(context.Background(), dst, o, Env{})
	require.NoError(t, err)
	defer merged.Close()
	require.Less(t, maxDiff(tuned, windowLogProbs(t, merged)), 1e-4)

	// The adapter alone, over a base with only the gates baked in.
	onlyGates := &Adapter{Rank: 1, Alpha: 1, Factors: map[string]Factor{}, Gates: a.Gates}
	base := filepath.Join(t.TempDir(), "baked")
	_, err = Merge(context.Background(), os.DirFS(src), onlyGates, base, Env{})
	require.NoError(t, err)
	over, err := a.OverBaked(base)
	require.NoError(t, err)
	baked, err := Load(context.Background(), base, o, Env{})
	require.NoError(t, err)
	defer baked.Close()
	require.NoError(t, baked.Attach(over))
	require.Less(t, maxDiff(tuned, windowLogProbs(t, baked)), 1e-4)
}

func maxDiff(a, b []float64) float64 {
	d := 0.0
	for i := range a {
		d = max(d, max(a[i]-b[i], b[i]-a[i]))
	}
	return d
}

// TestDetachFreesMemory: the device stands where it stood, after a failed Attach
// and after a second one without Detach too.
func TestDetachFreesMemory(t *testing.T) {
	m := loadModel(t, "testdata/phi3-mini-gqa", "f32")
	a := randomAdapter(m, 2, 0)
	mark := m.dev.Mark()
	m.dev.Release(mark)
	for range 3 {
		require.NoError(t, m.Attach(a))
		require.NoError(t, m.Attach(a))
		m.Detach()
		m.Detach()
		bad := *a
		bad.Gates = &so8t.Gates{Layers: [][]float32{{1}}}
		require.Error(t, m.Attach(&bad))
		require.Equal(t, mark, m.dev.Mark())
		m.dev.Release(mark)
	}
}

func requireSameFile(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	require.NoError(t, err)
	y, err := os.ReadFile(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(x, y), "%s and %s differ", a, b)
}
