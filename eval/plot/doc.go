// Package plot draws the pictures of an evaluation with gonum/plot: confusion
// matrices, reliability diagrams, training curves, ROC and precision–recall curves,
// and false-allow against over-refusal. Each picture is a Figure, written as PNG or SVG;
// equal input gives equal bytes.
//
// Text is drawn with Liberation Sans, which comes with gonum/plot and has Latin, Greek
// and Cyrillic. For Japanese give Style a font that has it: SystemFont looks for an
// installed one (Noto Sans CJK, IPA, VL Gothic, Takao, Hiragino, Meiryo, Yu Gothic, MS Gothic
// and any other whose glyphs cover the text), ParseFont takes a file. A character the
// font lacks is an error, *GlyphError, and never an empty box.
//
// No global state of gonum/plot is touched: every Figure has its own font cache.
//
// Files: figure.go output, style.go, font.go, outline.go text as paths, matrix.go,
// reliability.go, curve.go, page.go and inline.go one HTML file with tables and pictures.
//
// What it does not do: it computes no metrics, embeds no font with Japanese glyphs, and
// leaves no searchable text in SVG files, where text is drawn as outlines.
package plot
