package plot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
)

// Font is a typeface to draw text with. It is safe for concurrent use.
type Font struct {
	name  string
	face  *opentype.Font
	key   font.Font
	cache *font.Cache
}

// GlyphError says that a font lacks characters of a text.
type GlyphError struct {
	// Font is the font's name.
	Font string
	// Missing lists the characters, each once.
	Missing []rune
}

// Error implements error.
func (e *GlyphError) Error() string {
	return fmt.Sprintf("plot: font %s has no glyph for %q; give Style.Font one that has, such as SystemFont finds", e.Font, string(e.Missing))
}

// Name returns the font's family name.
func (f *Font) Name() string { return f.name }

// Missing returns the characters of texts that the font lacks, each once, in order.
func (f *Font) Missing(texts ...string) (missing []rune) {
	var buf sfnt.Buffer
	for _, r := range strings.Join(texts, "") {
		if r == '\n' || slices.Contains(missing, r) {
			continue
		}
		if i, err := f.face.GlyphIndex(&buf, r); err != nil || i == 0 {
			missing = append(missing, r)
		}
	}
	return missing
}

// liberationSans is gonum/plot's default, parsed once.
var liberationSans = sync.OnceValue(func() *Font {
	for _, face := range liberation.Collection() {
		if f := face.Font; f.Variant == "Sans" && f.Style == xfont.StyleNormal && f.Weight == xfont.WeightNormal {
			return newFont("Liberation Sans", face.Face, f)
		}
	}
	panic("plot: gonum/plot carries no Liberation Sans")
})

func newFont(name string, face *opentype.Font, key font.Font) *Font {
	return &Font{name, face, key, font.NewCache(font.Collection{{Font: key, Face: face}})}
}

// ParseFont reads a TrueType or OpenType file, or the first font of a collection.
func ParseFont(data []byte) (*Font, error) {
	face, err := parseFace(data)
	if err != nil {
		return nil, fmt.Errorf("plot: font: %w", err)
	}
	name, err := face.Name(nil, sfnt.NameIDFamily)
	name = cmp.Or(name, "unnamed")
	if err != nil {
		name = "unnamed"
	}
	return newFont(name, face, font.Font{Typeface: font.Typeface(name)}), nil
}

func parseFace(data []byte) (*opentype.Font, error) {
	if !strings.HasPrefix(string(data[:min(4, len(data))]), "ttcf") {
		return opentype.Parse(data)
	}
	c, err := opentype.ParseCollection(data)
	if err != nil {
		return nil, err
	}
	return c.Font(0)
}

// ErrNoFont says that no installed font covers a text.
var ErrNoFont = errors.New("plot: no installed font covers the text")

// preferred are parts of the file names of fonts with Japanese glyphs, best first.
var preferred = []string{"notosanscjk", "notosansjp", "sourcehansans", "ipaexg", "ipag", "vl-gothic", "vlgothic", "takao",
	"hiragino", "ヒラギノ", "meiryo", "yugoth", "msgothic", "wqy", "droidsansfallback"}

// SystemFont returns an installed font that has every character of texts, or
// ErrNoFont. Known Japanese fonts are tried first, then all others by path.
func SystemFont(texts ...string) (*Font, error) {
	if f := liberationSans(); len(f.Missing(texts...)) == 0 {
		return f, nil
	}
	for _, path := range installed(fontDirs()) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if f, err := ParseFont(data); err == nil && len(f.Missing(texts...)) == 0 {
			return f, nil
		}
	}
	return nil, ErrNoFont
}

func fontDirs() []string {
	home, _ := os.UserHomeDir()
	switch runtime.GOOS {
	case "windows":
		return []string{filepath.Join(os.Getenv("SystemRoot"), "Fonts"), filepath.Join(home, `AppData\Local\Microsoft\Windows\Fonts`)}
	case "darwin":
		return []string{"/System/Library/Fonts", "/Library/Fonts", filepath.Join(home, "Library/Fonts")}
	}
	return []string{"/usr/share/fonts", "/usr/local/share/fonts", filepath.Join(home, ".fonts"), filepath.Join(home, ".local/share/fonts")}
}

// installed lists font files, preferred names first.
func installed(dirs []string) (paths []string) {
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch ext := strings.ToLower(filepath.Ext(path)); {
			case err != nil || d.IsDir():
			case ext == ".ttf" || ext == ".otf" || ext == ".ttc" || ext == ".otc":
				paths = append(paths, path)
			}
			return nil // a folder that cannot be read holds no font for us
		})
	}
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return paths
}

func rank(path string) int {
	name := strings.ToLower(filepath.Base(path))
	if i := slices.IndexFunc(preferred, func(p string) bool { return strings.Contains(name, p) }); i >= 0 {
		return i
	}
	return len(preferred)
}
