package plot

import (
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// outlined is a canvas that draws text as filled outlines. A viewer without the font
// would set the text in another, wider one, over what stands next to it, or without
// Japanese glyphs at all.
type outlined struct{ vg.CanvasSizer }

// FillString implements vg.Canvas.
func (c outlined) FillString(f font.Face, pt vg.Point, s string) {
	if path := outline(f, pt, s); path != nil {
		c.Fill(path)
	}
}

// outline sets s in f from pt on, advancing and kerning as font.Face.Width measures.
// Glyphs that cannot be loaded were refused when the figure was made.
func outline(f font.Face, pt vg.Point, s string) (path vg.Path) {
	var buf sfnt.Buffer
	var before sfnt.GlyphIndex
	em := fixed.Int26_6(f.Face.UnitsPerEm())
	scale := f.Font.Size / vg.Length(em)
	for i, r := range s {
		glyph, err := f.Face.GlyphIndex(&buf, r)
		if err != nil {
			continue
		}
		if i > 0 {
			if kern, err := f.Face.Kern(&buf, before, glyph, em, 0); err == nil {
				pt.X += vg.Length(kern) * scale
			}
		}
		if segments, err := f.Face.LoadGlyph(&buf, glyph, em, nil); err == nil {
			path = appendGlyph(path, segments, pt, scale)
		}
		if advance, err := f.Face.GlyphAdvance(&buf, glyph, em, 0); err == nil {
			pt.X += vg.Length(advance) * scale
		}
		before = glyph
	}
	return path
}

// appendGlyph adds contours; font files measure y downwards.
func appendGlyph(path vg.Path, segments sfnt.Segments, origin vg.Point, scale vg.Length) vg.Path {
	at := func(p fixed.Point26_6) vg.Point {
		return vg.Point{X: origin.X + vg.Length(p.X)*scale, Y: origin.Y - vg.Length(p.Y)*scale}
	}
	for i, s := range segments {
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if i > 0 {
				path.Close()
			}
			path.Move(at(s.Args[0]))
		case sfnt.SegmentOpLineTo:
			path.Line(at(s.Args[0]))
		case sfnt.SegmentOpQuadTo:
			path.QuadTo(at(s.Args[0]), at(s.Args[1]))
		case sfnt.SegmentOpCubeTo:
			path.CubeTo(at(s.Args[0]), at(s.Args[1]), at(s.Args[2]))
		}
	}
	if len(segments) > 0 {
		path.Close()
	}
	return path
}
