package dataset

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"unicode/utf8"
)

// Reasons of samples dropped by Clean, beside those of unreadable lines.
const (
	Duplicate     Reason = "duplicate"
	TooShort      Reason = "too_short"
	TooLong       Reason = "too_long"
	LowQuality    Reason = "low_quality"
	LowJapanese   Reason = "low_japanese"
	WrongLanguage Reason = "language" // not among CleanOptions.Languages
)

// Score names a quality score.
type Score string

// Scores.
const (
	ScoreNeutral Score = "neutral" // Quality
	ScoreLegacy  Score = "legacy"  // LegacyQuality, and its ratio
)

// Dedup names how exact duplicates are found.
type Dedup string

// Ways to find duplicates.
const (
	DedupNormalised Dedup = "normalised" // 128-bit hash of Normalise(text)
	DedupLegacy     Dedup = "legacy"     // of the raw text, from 50 characters on
	DedupOff        Dedup = "off"
)

// OverLong says what happens to text of more than MaxRunes.
type OverLong string

// What happens to over-long text.
const (
	DropOverLong  OverLong = "drop"
	CutOverLong   OverLong = "cut"   // after the last 。、 or line break within the limit
	SplitOverLong OverLong = "split" // into pieces cut so, each a sample
)

// CleanOptions are the rules of Clean.
type CleanOptions struct {
	// MinRunes and MaxRunes bound the text in characters; default 50 and 5,000.
	MinRunes int `json:"min_runes" yaml:"min_runes"`
	MaxRunes int `json:"max_runes" yaml:"max_runes"`
	// OverLong is "drop" (default), "cut" or "split". A conversation is always dropped.
	OverLong OverLong `json:"over_long" yaml:"over_long"`
	// MinQuality is the least score, 0 to 1; default 0.7.
	MinQuality float64 `json:"min_quality" yaml:"min_quality"`
	// MinJapanese is the least share of kana and kanji, 0 to 1; default 0.3.
	MinJapanese float64 `json:"min_japanese" yaml:"min_japanese"`
	// Score is "neutral" (default) or "legacy".
	Score Score `json:"score" yaml:"score"`
	// Dedup is "normalised" (default), "legacy" or "off".
	Dedup Dedup `json:"dedup" yaml:"dedup"`
	// Languages keeps only texts that Env.Language finds to be one of these codes;
	// empty (default) keeps all.
	Languages []string `json:"languages" yaml:"languages"`
	// MaxRejects is how many drops the report lists one by one, ≥ 0; default 100.
	MaxRejects int `json:"max_rejects" yaml:"max_rejects"`
}

// DefaultCleanOptions returns the documented defaults.
func DefaultCleanOptions() CleanOptions {
	return CleanOptions{
		MinRunes: 50, MaxRunes: 5000, OverLong: DropOverLong,
		MinQuality: 0.7, MinJapanese: 0.3,
		Score: ScoreNeutral, Dedup: DedupNormalised, MaxRejects: 100,
	}
}

// Validate reports the first option out of range as an *OptionError.
func (o CleanOptions) Validate() error {
	switch {
	case o.MinRunes < 0:
		return &OptionError{"min_runes", o.MinRunes, "0 or more"}
	case o.MaxRunes < max(1, o.MinRunes):
		return &OptionError{"max_runes", o.MaxRunes, "at least 1 and min_runes"}
	case !(o.MinQuality >= 0 && o.MinQuality <= 1):
		return &OptionError{"min_quality", o.MinQuality, "0 to 1"}
	case !(o.MinJapanese >= 0 && o.MinJapanese <= 1):
		return &OptionError{"min_japanese", o.MinJapanese, "0 to 1"}
	case !slices.Contains([]OverLong{DropOverLong, CutOverLong, SplitOverLong}, o.OverLong):
		return &OptionError{"over_long", o.OverLong, "drop, cut or split"}
	case o.Score != ScoreNeutral && o.Score != ScoreLegacy:
		return &OptionError{"score", o.Score, "neutral or legacy"}
	case !slices.Contains([]Dedup{DedupNormalised, DedupLegacy, DedupOff}, o.Dedup):
		return &OptionError{"dedup", o.Dedup, "normalised, legacy or off"}
	case o.MaxRejects < 0:
		return &OptionError{"max_rejects", o.MaxRejects, "0 or more"}
	}
	return nil
}

// ErrNoDetector means CleanOptions.Languages without Env.Language.
var ErrNoDetector = errors.New("dataset: languages are asked for, but no detector is given")

// LanguageDetector names the language of a text; dataset/langid has one.
type LanguageDetector interface {
	// Detect returns a BCP 47 code ("ja") and how sure it is, 0 to 1; "" and 0
	// when it cannot tell.
	Detect(text string) (language string, confidence float64)
}

// Env holds what is not data. The zero value is silent and detects nothing.
type Env struct {
	// Logger gets one line at the end of a stage; nil is silent.
	Logger *slog.Logger
	// Progress is called with the number of samples read, every 1,000 and at the end.
	Progress func(read int64)
	// Language fills Sample.Language.
	Language LanguageDetector
}

// Clean applies the rules to a stream: duplicate, length, quality, Japanese ratio
// (and language), in this order; what passes gets its scores written anew. The
// report fills as the sequence is consumed and is complete when it ends. Lines
// that could not be read are drops too; other errors, and ctx's, end the sequence.
func Clean(ctx context.Context, in iter.Seq2[Sample, error], opts CleanOptions, env Env) (iter.Seq2[Sample, error], *CleanReport) {
	rep := newCleanReport(opts)
	return func(yield func(Sample, error) bool) {
		err := opts.Validate()
		if err == nil && len(opts.Languages) > 0 && env.Language == nil {
			err = ErrNoDetector
		}
		if err != nil {
			yield(Sample{}, err)
			return
		}
		c := &cleaner{opts: opts, env: env, rep: rep, seen: map[[16]byte]struct{}{}}
		c.run(ctx, in, yield)
	}, rep
}

type cleaner struct {
	opts CleanOptions
	env  Env
	rep  *CleanReport
	seen map[[16]byte]struct{}
}

func (c *cleaner) run(ctx context.Context, in iter.Seq2[Sample, error], yield func(Sample, error) bool) {
	for s, err := range in {
		if err == nil {
			err = ctx.Err()
		}
		var line *LineError
		if err != nil && !errors.As(err, &line) {
			yield(Sample{}, err)
			return
		}
		c.rep.In++
		if c.env.Progress != nil && c.rep.In%1000 == 0 {
			c.env.Progress(c.rep.In)
		}
		if line != nil {
			c.rep.drop(Sample{}, line.Reason, line)
			continue
		}
		if !c.sample(s, yield) {
			return
		}
	}
	c.finish()
}

func (c *cleaner) finish() {
	if c.env.Progress != nil {
		c.env.Progress(c.rep.In)
	}
	if c.env.Logger != nil {
		c.env.Logger.Info("cleaned", "in", c.rep.In, "kept", c.rep.Kept, "dropped", c.rep.Dropped)
	}
}

func (c *cleaner) sample(s Sample, yield func(Sample, error) bool) bool {
	if c.duplicate(s.Content()) {
		c.rep.drop(s, Duplicate, nil)
		return true
	}
	pieces := c.opts.Pieces(s)
	c.rep.Split += int64(len(pieces) - 1)
	if len(pieces) == 1 && len(pieces[0].Text) < len(s.Text) {
		c.rep.Cut++
	}
	for _, p := range pieces {
		reason, japanese := c.opts.Judge(&p, c.env.Language)
		if reason != "" {
			c.rep.drop(p, reason, nil)
			continue
		}
		c.rep.keep(p, japanese)
		if !yield(p, nil) {
			return false
		}
	}
	return true
}

// Judge applies the rules to one sample that Pieces made: length, quality, Japanese
// share, language. It returns why the sample is dropped, or "" when it is kept, and
// then the share. What is judged gets its Quality written anew and, with a detector
// (nil is none), its Language. Clean is Dedup.Key, Pieces and Judge; a pipeline
// that spreads records over machines calls them itself. The options must be valid.
func (o CleanOptions) Judge(s *Sample, d LanguageDetector) (why Reason, japanese float64) {
	text := s.Content()
	n := utf8.RuneCountInString(text)
	switch {
	case n < o.MinRunes:
		return TooShort, 0
	case n > o.MaxRunes:
		return TooLong, 0
	}
	score, japanese := Quality, JapaneseRatio(text)
	if o.Score == ScoreLegacy {
		score, japanese = LegacyQuality, legacyRatio(text, n)
	}
	s.Quality = score(text)
	switch {
	case s.Quality < o.MinQuality:
		return LowQuality, japanese
	case japanese < o.MinJapanese:
		return LowJapanese, japanese
	}
	return o.language(s, text, d), japanese
}

func (o CleanOptions) language(s *Sample, text string, d LanguageDetector) Reason {
	if d == nil {
		return ""
	}
	s.Language, _ = d.Detect(text)
	if len(o.Languages) > 0 && !slices.Contains(o.Languages, s.Language) {
		return WrongLanguage
	}
	return ""
}
