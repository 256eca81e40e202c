package langid

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pemistahl/lingua-go"

	"github.com/borea-go/borea/dataset"
)

// Options of a Detector.
type Options struct {
	// Languages are ISO 639-1 codes to choose from, at least two; default ja, en, zh, ko.
	Languages []string `json:"languages" yaml:"languages"`
	// MinKana is the share of kana among letters from which a text is Japanese
	// without further question, 0 to 1; default 0.1.
	MinKana float64 `json:"min_kana" yaml:"min_kana"`
	// MaxRunes is how many characters of a text are looked at, ≥ 1; default 2,000.
	MaxRunes int `json:"max_runes" yaml:"max_runes"`
	// HighAccuracy loads larger models; for Japanese, Chinese and Korean they
	// change nothing. Default false.
	HighAccuracy bool `json:"high_accuracy" yaml:"high_accuracy"`
}

// DefaultOptions returns the documented defaults.
func DefaultOptions() Options {
	return Options{Languages: []string{"ja", "en", "zh", "ko"}, MinKana: 0.1, MaxRunes: 2000}
}

// OptionError names an option that is out of range.
type OptionError struct {
	Option string
	Value  any
	Want   string
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("langid: option %s is %v, want %s", e.Option, e.Value, e.Want)
}

// Validate reports the first option out of range as an *OptionError.
func (o Options) Validate() error {
	_, err := o.languages()
	switch {
	case err != nil:
		return err
	case !(o.MinKana >= 0 && o.MinKana <= 1):
		return &OptionError{"min_kana", o.MinKana, "0 to 1"}
	case o.MaxRunes < 1:
		return &OptionError{"max_runes", o.MaxRunes, "at least 1"}
	}
	return nil
}

// languages finds lingua's names; lingua itself would panic on too few.
func (o Options) languages() ([]lingua.Language, error) {
	var out []lingua.Language
	for _, code := range o.Languages {
		i := slices.IndexFunc(lingua.AllLanguages(), func(l lingua.Language) bool {
			return strings.EqualFold(l.IsoCode639_1().String(), code)
		})
		if i < 0 {
			return nil, &OptionError{"languages", code, "an ISO 639-1 code that lingua knows"}
		}
		if l := lingua.AllLanguages()[i]; !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	if len(out) < 2 {
		return nil, &OptionError{"languages", o.Languages, "at least two"}
	}
	return out, nil
}

// Detector is a dataset.LanguageDetector; it is safe for concurrent use.
type Detector struct {
	opts   Options
	lingua lingua.LanguageDetector
}

var _ dataset.LanguageDetector = (*Detector)(nil)

// New makes a detector; its models load on first need.
func New(o Options) (*Detector, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	languages, err := o.languages()
	if err != nil {
		return nil, err
	}
	o.Languages = slices.Clone(o.Languages)
	for i, code := range o.Languages {
		o.Languages[i] = strings.ToLower(code)
	}
	b := lingua.NewLanguageDetectorBuilder().FromLanguages(languages...)
	if !o.HighAccuracy {
		b = b.WithLowAccuracyMode()
	}
	return &Detector{opts: o, lingua: b.Build()}, nil
}

// Detect returns an ISO 639-1 code and how sure it is, 0 to 1; "" and 0 for a
// text without letters or of none of the languages. By script: kana from MinKana
// on is Japanese, mostly hangul Korean, and Han characters with some that only
// Japan writes, and none that only China does, Japanese with 0.9.
func (d *Detector) Detect(text string) (language string, confidence float64) {
	text = firstRunes(text, d.opts.MaxRunes)
	switch c := count(text); {
	case c.letters() == 0:
		return "", 0
	case d.offers("ja") && c.kana > 0 && float64(c.kana) >= d.opts.MinKana*float64(c.letters()):
		return "ja", 1
	case d.offers("ko") && 2*c.hangul >= c.letters():
		return "ko", 1
	case d.offers("ja") && 2*c.han >= c.letters() && c.japan > 0 && c.china == 0:
		return "ja", 0.9
	}
	values := d.lingua.ComputeLanguageConfidenceValues(text) // surest first
	if len(values) == 0 || values[0].Value() == 0 {
		return "", 0
	}
	return strings.ToLower(values[0].Language().IsoCode639_1().String()), values[0].Value()
}

func (d *Detector) offers(code string) bool { return slices.Contains(d.opts.Languages, code) }

func firstRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}
