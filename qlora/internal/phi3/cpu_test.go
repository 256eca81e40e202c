package phi3

import (
	"cmp"
	"context"
	"math"
	"os"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/open"
)

// TestCPUEqualsReference compares loss and every gradient of the CPU device with
// the float64 device, on packed documents.
func TestCPUEqualsReference(t *testing.T) {
	m, ids, _ := loadMini(t, "phi3-mini-gqa")
	fsys := os.DirFS("../../testdata/phi3-mini-gqa")
	cfg, err := hfconfig.Read(fsys)
	check(t, err)
	src, err := safetensors.OpenModel(fsys)
	check(t, err)
	defer src.Close()
	c, err := Load(context.Background(), newCPU(t), cfg, src, Formats{}, nil, nil)
	check(t, err)
	c.Fit(64)
	wantTune, want := tuned(m)
	gotTune, got := tunedLike(t, m, c, want)
	lossWant, lossGot := trainOnce(t, m, wantTune, ids), trainOnce(t, c, gotTune, ids)
	if d := math.Abs(lossWant/lossGot - 1); d > 1e-6 {
		t.Errorf("loss %g, want %g", lossGot, lossWant)
	}
	for name := range want {
		a, b := make([]float32, want[name][1].Len()), make([]float32, want[name][1].Len())
		check(t, m.Dev.Download(a, want[name][1]))
		check(t, c.Dev.Download(b, got[name][1]))
		var diff, norm float64
		for i := range a {
			diff += float64(a[i]-b[i]) * float64(a[i]-b[i])
			norm += float64(a[i]) * float64(a[i])
		}
		if r := math.Sqrt(diff / norm); !(r < 1e-4) {
			t.Errorf("%s: gradient differs by %g", name, r)
		}
	}
}

// tunedLike builds the same tuning on device c with the values of want.
func tunedLike(t *testing.T, m, c *Model, want map[string][2]compute.Buffer) (*Tuning, map[string][2]compute.Buffer) {
	// ref accepts []float64 uploads only itself, so build on a shadow of c that
	// shares its shapes, then copy values across.
	shadow := *m
	tune, _ := tuned(&shadow)
	out := map[string][2]compute.Buffer{}
	move := func(name string) (compute.Buffer, compute.Buffer) {
		v := make([]float32, want[name][0].Len())
		check(t, m.Dev.Download(v, want[name][0]))
		p, g := c.Dev.Alloc(compute.F32, len(v)), c.Dev.Alloc(compute.F32, len(v))
		c.Dev.Upload(p, v)
		out[name] = [2]compute.Buffer{p, g}
		return p, g
	}
	for i := range tune.Layers {
		id, l := string(rune('0'+i)), &tune.Layers[i]
		for name, pair := range map[string]*Pair{"qkv": l.QKV, "o": l.O, "gu": l.GateUp, "down": l.Down} {
			pair.A, pair.Grad.A = move(id + name + ".A")
			pair.B, pair.Grad.B = move(id + name + ".B")
		}
		theta, grad := move(id + "theta")
		l.Gate = NewGate(c.Dev, theta, grad)
	}
	return tune, out
}

func trainOnce(t *testing.T, m *Model, tune *Tuning, ids []int32) float64 {
	p := m.NewPass(40, TrainRecompute, tune)
	b := &Batch{}
	b.Add(ids[:5], nil)
	b.Add(ids[5:40], nil)
	check(t, p.Load(b))
	p.Forward(compute.Random{})
	nll := make([]float32, b.Len())
	check(t, m.Dev.Download(nll, p.Loss(true)))
	p.Backward()
	check(t, m.Dev.Sync())
	s := 0.0
	for _, v := range nll {
		s += float64(v)
	}
	return s
}

func newCPU(t *testing.T) compute.Device {
	name := os.Getenv("BOREA_DEVICE") // set by ".ci/full paths"
	d, err := open.Open(cmp.Or(name, "cpu"))
	check(t, err)
	return d
}
