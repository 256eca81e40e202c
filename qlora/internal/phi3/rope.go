package phi3

import (
	"math"

	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
)

// ropeTable holds cos and sin for positions below size. For longrope it has two
// parts: rows [0, short) with the short factors, then size rows with the long
// ones. A token picks its part by its row number, so that documents of both
// regimes can share a batch.
type ropeTable struct {
	compute.Rope
	short int // rows of the first part
	size  int // positions that fit
}

// rowsFor returns the first table row of a document of n tokens: the long
// factors apply to the whole document when it exceeds the original context
// (transformers modeling_rope_utils, longrope).
func (r ropeTable) base(cfg *hfconfig.Config, n int) int32 {
	if cfg.Rope.Type == "longrope" && n > cfg.OriginalMaxPosition {
		return int32(r.short)
	}
	return 0
}

// Fit makes the rotary table large enough for documents of n tokens. It must not
// be called between Mark and Release of the device.
func (m *Model) Fit(n int) {
	if n <= m.rope.size {
		return
	}
	size := max(n, min(2*m.rope.size, m.Config.MaxPosition))
	m.rope = newRopeTable(m.Dev, m.Config, size)
}

// Positions returns how many positions the rotary table has.
func (m *Model) Positions() int { return m.rope.size }

func newRopeTable(dev compute.Device, cfg *hfconfig.Config, size int) ropeTable {
	t := ropeTable{short: size, size: size}
	var cos, sin []float32
	if cfg.Rope.Type != "longrope" {
		cos, sin = ropeRows(cos, sin, cfg, nil, size)
	} else {
		t.short = min(size, cfg.OriginalMaxPosition)
		cos, sin = ropeRows(cos, sin, cfg, cfg.Rope.Short, t.short)
		if size > cfg.OriginalMaxPosition {
			cos, sin = ropeRows(cos, sin, cfg, cfg.Rope.Long, size)
		}
	}
	t.Cos, t.Sin = upload(dev, cos), upload(dev, sin)
	return t
}

// ropeRows appends rows for positions [0, n): angle = pos / (factor · θ^(2i/D)),
// computed in float32 as the reference does, times the attention factor.
func ropeRows(cos, sin []float32, cfg *hfconfig.Config, factor []float64, n int) (c, s []float32) {
	half := cfg.HeadDim / 2
	inv := make([]float32, half)
	for i := range inv {
		f := 1.0
		if factor != nil {
			f = float64(float32(factor[i]))
		}
		pow := float32(math.Pow(cfg.RopeTheta, float64(2*i)/float64(cfg.HeadDim)))
		inv[i] = 1 / (float32(f) * pow)
	}
	for p := range n {
		for i := range half {
			a := float64(float32(p) * inv[i])
			cos = append(cos, float32(math.Cos(a)*cfg.Rope.AttentionFactor))
			sin = append(sin, float32(math.Sin(a)*cfg.Rope.AttentionFactor))
		}
	}
	return cos, sin
}

func upload(dev compute.Device, v []float32) compute.Buffer {
	b := dev.Alloc(compute.F32, len(v))
	dev.Upload(b, v)
	return b
}
