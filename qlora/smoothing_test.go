package qlora

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// plantedModel is the bundled model with six outlier channels before each of three
// linears of every block: what makes the channel is 20 to 100 times as large, the
// weight's column as much smaller. As a function it is the same.
func plantedModel(t *testing.T) string {
	return shardedCopy(t, bundledModel, func(name string, shape []int, v []float32) ([]int, []float32) {
		var layer int
		if _, err := fmt.Sscanf(name, "model.layers.%d.", &layer); err != nil {
			return shape, v
		}
		scale := func(site string, first, n, step int, up bool) {
			for c, f := range planted(layer, site, n) {
				if !up {
					f = 1 / f
				}
				for i := first + c*step; i < min(len(v), first+c*step+max(1, step)); i++ {
					v[i] *= f
				}
			}
		}
		columns := func(site string) {
			cols := shape[1]
			for c, f := range planted(layer, site, cols) {
				for i := c; i < len(v); i += cols {
					v[i] /= f
				}
			}
		}
		switch {
		case strings.Contains(name, "input_layernorm"):
			scale(QKVProj, 0, shape[0], 1, true)
		case strings.Contains(name, "post_attention"):
			scale(GateUpProj, 0, shape[0], 1, true)
		case strings.Contains(name, QKVProj):
			columns(QKVProj)
		case strings.Contains(name, DownProj):
			columns(DownProj)
		case strings.Contains(name, GateUpProj):
			columns(GateUpProj)
			scale(DownProj, len(v)/2, shape[0]/2, shape[1], true)
		}
		return shape, v
	})
}

// planted returns the channels and factors of a place.
func planted(layer int, site string, n int) map[int]float32 {
	rng := rand.New(rand.NewPCG(uint64(layer), uint64(len(site))))
	out := map[int]float32{}
	for len(out) < 6 {
		out[rng.IntN(n)] = float32(20 + 80*rng.Float64())
	}
	return out
}

// smoothed calibrates a model on real text and returns the path of the file.
func smoothed(t *testing.T, dir string) string {
	t.Helper()
	s, err := Calibrate(context.Background(), os.DirFS(dir), loadOptions(), surveyTexts(t), Env{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "smoothing.json")
	require.NoError(t, s.WriteFile(path))
	return path
}

func surveyTexts(t *testing.T) [][]int32 {
	rows := readIDs(t, "testdata/dev32.ids.gz", 1024)
	return [][]int32{rows[0][:512], rows[7][:300]}
}

func loadSmoothed(t *testing.T, dir, weights, smoothing string) *Model {
	t.Helper()
	return loadEvened(t, dir, weights, smoothing, false)
}

func loadEvened(t *testing.T, dir, weights, smoothing string, hadamard bool) *Model {
	t.Helper()
	o := loadOptions()
	o.Weights, o.Smoothing, o.Hadamard = weights, smoothing, hadamard
	m, err := Load(context.Background(), dir, o, Env{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func quantisation(t *testing.T, dir, smoothing string, hadamard bool) *QuantReport {
	t.Helper()
	o := loadOptions()
	o.Smoothing, o.Hadamard = smoothing, hadamard
	r, err := Quantisation(context.Background(), os.DirFS(dir), o, surveyTexts(t), Env{})
	require.NoError(t, err)
	require.Len(t, r.Linears, 4*6)
	require.Equal(t, 812, r.Tokens)
	return r
}

// TestSmoothingMendsPlantedOutliers compares errors of int8 linears and perplexity
// of the bundled model as it is, with planted outliers, and with these smoothed.
func TestSmoothingMendsPlantedOutliers(t *testing.T) {
	dir := plantedModel(t)
	path := smoothed(t, dir)
	base, hurt, mended := quantisation(t, bundledModel, "", false), quantisation(t, dir, "", false), quantisation(t, dir, path, false)
	even := quantisation(t, bundledModel, smoothed(t, bundledModel), false)
	for _, target := range Targets() {
		t.Logf("%s: %.4f, smoothed %.4f, planted %.4f, smoothed %.4f", target, base.Mean(target), even.Mean(target), hurt.Mean(target), mended.Mean(target))
		if target == OProj {
			continue
		}
		require.Greater(t, hurt.Mean(target), 4*base.Mean(target), target)
		require.Less(t, mended.Mean(target), 1.05*base.Mean(target), target)
		require.Less(t, even.Mean(target), 1.02*base.Mean(target), target)
	}
	for _, l := range hurt.Linears {
		site := l.Name[strings.LastIndexByte(l.Name, '.')+1:]
		want := planted(l.Layer, site, 192)
		if site == DownProj {
			want = planted(l.Layer, site, 768)
		}
		var got []int
		for _, o := range l.Outliers {
			got = append(got, o.Channel)
		}
		for c := range want {
			if site != OProj {
				require.Contains(t, got, c, l.Name)
			}
		}
		if site != OProj {
			require.Greater(t, l.Ruled, 0.9, l.Name)
		}
	}
	windows := readIDs(t, "testdata/dev32.ids.gz", 1024)[:4]
	exact := perplexity(t, loadModel(t, dir, "f32"), windows)
	bad, good := perplexity(t, loadModel(t, dir, "int8"), windows), perplexity(t, loadSmoothed(t, dir, "int8", path), windows)
	t.Logf("perplexity %.4f, int8 %.4f, smoothed %.4f; without outliers int8 %.4f", exact, bad, good, perplexity(t, loadModel(t, bundledModel, "int8"), windows))
	require.Greater(t, bad, 1.05*exact)
	require.InEpsilon(t, exact, good, 1e-2)
}

// TestSmoothingChangesNoBit: without rounding to int8 the model is the same, with
// adapters and gates too.
func TestSmoothingChangesNoBit(t *testing.T) {
	dir := plantedModel(t)
	path := smoothed(t, dir)
	seqs := surveyTexts(t)
	for _, weights := range []string{"f32", "bf16"} {
		a, b := loadModel(t, dir, weights), loadSmoothed(t, dir, weights, path)
		ad := randomAdapter(a, 8, 0.1)
		for range 2 {
			want, err := a.LogProbs(context.Background(), seqs)
			require.NoError(t, err)
			got, err := b.LogProbs(context.Background(), seqs)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NoError(t, a.Attach(ad))
			require.NoError(t, b.Attach(ad))
		}
	}
}

// TestHadamardHalvesTheErrorOfDownProj, with planted outliers together with a
// smoothing, and leaves the other linears alone.
func TestHadamardHalvesTheErrorOfDownProj(t *testing.T) {
	dir := plantedModel(t)
	path := smoothed(t, dir)
	base, turned, both := quantisation(t, bundledModel, "", false), quantisation(t, bundledModel, "", true), quantisation(t, dir, path, true)
	t.Logf("down_proj: %.4f, turned %.4f, planted, smoothed and turned %.4f", base.Mean(DownProj), turned.Mean(DownProj), both.Mean(DownProj))
	require.Less(t, turned.Mean(DownProj), 0.6*base.Mean(DownProj))
	require.Less(t, both.Mean(DownProj), 0.6*base.Mean(DownProj))
	require.InEpsilon(t, base.Mean(GateUpProj), turned.Mean(GateUpProj), 1e-3)
	windows := readIDs(t, "testdata/dev32.ids.gz", 1024)[:4]
	exact := perplexity(t, loadModel(t, dir, "f32"), windows)
	good := perplexity(t, loadEvened(t, dir, "int8", path, true), windows)
	t.Logf("perplexity %.4f, int8 smoothed and turned %.4f", exact, good)
	require.InEpsilon(t, exact, good, 5e-3)
}

// TestHadamardKeepsTheFunctionAndGradients in float32, up to its rounding.
func TestHadamardKeepsTheFunctionAndGradients(t *testing.T) {
	o := smallTraining()
	o.Dropout, o.NEFTune = 0, 0
	run := func(m *Model, recompute string) (float64, *trainable) {
		o.Recompute = recompute
		tr, err := NewTrainer(m, o, Dirs{}, Env{})
		require.NoError(t, err)
		require.NoError(t, tr.tr.load(randomAdapter(m, o.Rank, 0)))
		tr.plan = newPlan(trainingRows(t), o)
		loss, err := tr.microStep(tr.batches([][]int{{0, 1}})[0], 0)
		require.NoError(t, err)
		return loss, tr.tr
	}
	plain := loadModel(t, bundledModel, "f32")
	if plain.dev.Real() != compute.F32 {
		t.Skip("the device rounds activations to bfloat16")
	}
	want, a := run(plain, "none")
	for _, recompute := range []string{"none", "selective", "full"} {
		m := loadEvened(t, bundledModel, "f32", "", true)
		got, b := run(m, recompute)
		require.InEpsilon(t, want, got, 1e-5)
		for i, p := range a.params {
			x, y := make([]float32, p.g.Len()), make([]float32, p.g.Len())
			require.NoError(t, plain.dev.Download(x, p.g))
			require.NoError(t, m.dev.Download(y, b.params[i].g))
			if strings.HasSuffix(p.name, DownProj+".lora_A") {
				phi3.Hadamard(y)
			}
			require.Less(t, relNorm(y, x), 1e-3, "%s %s", recompute, p.name)
		}
	}
}

// TestSmoothingTrainsOrdinaryAdapters: a trained adapter leaves the evened model
// as one of the model itself, beside which it gives the same numbers.
func TestSmoothingTrainsOrdinaryAdapters(t *testing.T) {
	for _, hadamard := range []bool{false, true} {
		t.Run(fmt.Sprintf("hadamard %v", hadamard), func(t *testing.T) { trainEvened(t, hadamard) })
	}
}

func trainEvened(t *testing.T, hadamard bool) {
	path := smoothed(t, bundledModel)
	m := loadEvened(t, bundledModel, "f32", path, hadamard)
	o := smallTraining()
	o.MaxSteps, o.SaveSteps = 4, 0
	tr, err := NewTrainer(m, o, Dirs{}, Env{})
	require.NoError(t, err)
	first, err := tr.Adapter()
	require.NoError(t, err)
	plain := loadModel(t, bundledModel, "f32")
	untouched, err := NewTrainer(plain, o, Dirs{}, Env{})
	require.NoError(t, err)
	want, err := untouched.Adapter()
	require.NoError(t, err)
	if hadamard {
		requireSameUpdateOfA(t, want, first)
	} else {
		require.Equal(t, want, first)
	}
	untouched.Close()

	rows := trainingRows(t)
	_, err = tr.Run(context.Background(), rows, rows[:4])
	require.NoError(t, err)
	inside, err := tr.evaluate(context.Background(), rows[:4])
	require.NoError(t, err)
	trained, err := tr.Adapter()
	require.NoError(t, err)
	require.NoError(t, plain.Attach(trained))
	outside, err := plain.NLL(context.Background(), rows[:4])
	require.NoError(t, err)
	t.Logf("loss %v while training, %v outside", inside, outside.NLL)
	tolerance := 1e-6
	if hadamard {
		tolerance = 1e-5
	}
	if m.dev.Real() != compute.F32 {
		tolerance = 1e-3
	}
	require.InEpsilon(t, inside, outside.NLL, tolerance)
}

func requireSameUpdateOfA(t *testing.T, want, got *Adapter) {
	t.Helper()
	for _, name := range want.names() {
		require.Less(t, relNorm(got.Factors[name].A, want.Factors[name].A), 1e-6, name)
	}
}

func TestSmoothingOfOtherWeightsIsRefused(t *testing.T) {
	path := smoothed(t, bundledModel)
	o := loadOptions()
	o.Smoothing = path
	_, err := Load(context.Background(), peftModel, o, Env{})
	require.ErrorIs(t, err, ErrOtherSmoothing)
	for what, edit := range map[string]func(*Smoothing){
		"width":    func(s *Smoothing) { s.Layers[0].Down = s.Layers[0].Down[1:] },
		"layers":   func(s *Smoothing) { s.Layers = s.Layers[1:] },
		"exponent": func(s *Smoothing) { s.Layers[5].QKV[0] = phi3.MaxExponent + 1 },
	} {
		s, err := ReadSmoothing(path)
		require.NoError(t, err)
		edit(s)
		o.Smoothing = filepath.Join(t.TempDir(), "s.json")
		require.NoError(t, s.WriteFile(o.Smoothing))
		_, err = Load(context.Background(), bundledModel, o, Env{})
		require.ErrorIs(t, err, ErrOtherSmoothing, what)
	}
	require.NoError(t, os.WriteFile(o.Smoothing, []byte(`{"layers":1}`), 0o644))
	_, err = Load(context.Background(), bundledModel, o, Env{})
	require.ErrorContains(t, err, o.Smoothing)
}

// TestSmoothingIsPartOfACheckpoint: factors in a checkpoint are those beside the
// smoothed weights.
func TestSmoothingIsPartOfACheckpoint(t *testing.T) {
	o := smallTraining()
	o.MaxSteps = 1
	dirs := Dirs{Checkpoints: t.TempDir()}
	_, _, err := trainModel(t, context.Background(), loadSmoothed(t, bundledModel, "int8", smoothed(t, bundledModel)), o, dirs, nil)
	require.NoError(t, err)
	_, _, err = trainModel(t, context.Background(), loadModel(t, bundledModel, "int8"), o, dirs, nil)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
}
