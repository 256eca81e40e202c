package hfconfig

import (
	"fmt"
	"math"
)

// rawRopeKeys are the rope settings in their two spellings: top-level keys and
// rope_scaling, or all of them in rope_parameters (transformers 5).
type rawRopeKeys struct {
	Theta           *float64 `json:"rope_theta"`
	Scaling         *rawRope `json:"rope_scaling"`
	Parameters      *rawRope `json:"rope_parameters"`
	OriginalMaximum *int     `json:"original_max_position_embeddings"`
}

type rawRope struct {
	Type            string    `json:"type"`
	RopeType        string    `json:"rope_type"`
	Theta           *float64  `json:"rope_theta"`
	PartialRotary   *float64  `json:"partial_rotary_factor"`
	OriginalMaximum *int      `json:"original_max_position_embeddings"`
	AttentionFactor *float64  `json:"attention_factor"`
	Factor          *float64  `json:"factor"`
	Short           []float64 `json:"short_factor"`
	Long            []float64 `json:"long_factor"`
	ShortScale      *float64  `json:"short_mscale"`
	LongScale       *float64  `json:"long_mscale"`
}

func (r raw) rope(c *Config) error {
	s := rawRope{Theta: r.Theta}
	if r.Parameters != nil {
		s = *r.Parameters
	} else if r.Scaling != nil {
		s = *r.Scaling
	}
	if s.Theta == nil {
		s.Theta = r.Theta
	}
	if s.OriginalMaximum == nil {
		s.OriginalMaximum = r.OriginalMaximum
	}
	if s.Type == "" {
		s.Type = s.RopeType
	}
	return s.read(c)
}

func (s rawRope) read(c *Config) error {
	c.RopeTheta, c.Rope.AttentionFactor, c.OriginalMaxPosition = 10000, 1, c.MaxPosition
	if s.Theta != nil {
		c.RopeTheta = *s.Theta
	}
	if !(c.RopeTheta > 1) || math.IsInf(c.RopeTheta, 0) {
		return badValue("rope_theta", "= %g must be above 1", c.RopeTheta)
	}
	if s.PartialRotary != nil && *s.PartialRotary != 1 {
		return &UnsupportedError{"partial_rotary_factor", fmt.Sprint(*s.PartialRotary)}
	}
	if s.OriginalMaximum != nil {
		c.OriginalMaxPosition = *s.OriginalMaximum
	}
	if c.OriginalMaxPosition < 1 || c.OriginalMaxPosition > c.MaxPosition {
		return badValue("original_max_position_embeddings", "= %d is out of range, want 1 to %d", c.OriginalMaxPosition, c.MaxPosition)
	}
	switch {
	case s.Type == "longrope":
		return s.longrope(c)
	case s.Type == "default", s.Type == "" && s.Short == nil && s.Long == nil && s.Factor == nil:
		return nil
	}
	return &UnsupportedError{"rope_scaling.type", s.Type}
}

func (s rawRope) longrope(c *Config) error {
	if s.OriginalMaximum == nil || c.OriginalMaxPosition < 2 {
		return badValue("original_max_position_embeddings", "is missing or 1, and longrope needs it")
	}
	if s.ShortScale != nil || s.LongScale != nil {
		return &UnsupportedError{"rope_scaling.short_mscale", "present"}
	}
	for _, f := range []struct {
		key  string
		list []float64
	}{{"rope_scaling.short_factor", s.Short}, {"rope_scaling.long_factor", s.Long}} {
		if len(f.list) != c.HeadDim/2 {
			return badValue(f.key, "has %d values, want %d", len(f.list), c.HeadDim/2)
		}
		for i, v := range f.list {
			if !(v > 0) || math.IsInf(v, 0) {
				return badValue(f.key, "holds %g at %d", v, i)
			}
		}
	}
	c.Rope = Rope{Type: "longrope", Short: s.Short, Long: s.Long}
	return s.attentionFactor(c)
}

func (s rawRope) attentionFactor(c *Config) error {
	if s.AttentionFactor != nil {
		c.Rope.AttentionFactor = *s.AttentionFactor
		if !(c.Rope.AttentionFactor > 0) || math.IsInf(c.Rope.AttentionFactor, 0) {
			return badValue("rope_scaling.attention_factor", "= %g must be positive", c.Rope.AttentionFactor)
		}
		return nil
	}
	c.Rope.AttentionFactor = 1
	if c.MaxPosition > c.OriginalMaxPosition {
		scale := float64(c.MaxPosition) / float64(c.OriginalMaxPosition)
		c.Rope.AttentionFactor = math.Sqrt(1 + math.Log(scale)/math.Log(float64(c.OriginalMaxPosition)))
	}
	return nil
}
