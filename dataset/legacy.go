package dataset

import "unicode/utf8"

// LegacyQuality is the score of the pipeline that this one succeeds, for
// comparison: length class + 0.4·ratio + punctuation + variety, at most 1, 0
// below ten characters. Hardly any text over 500 characters reaches 0.7 with it:
// the base falls as texts grow, and the punctuation bonus wants no more than one
// mark in 50 characters, where prose has two.
func LegacyQuality(text string) float64 {
	n := utf8.RuneCountInString(text)
	if n < 10 {
		return 0
	}
	points, distinct := 0, map[rune]struct{}{}
	for _, r := range text {
		distinct[r] = struct{}{}
		if r == '。' || r == '、' {
			points++
		}
	}
	score := legacyLength(n) + 0.4*legacyRatio(text, n)
	if points >= 2 && float64(points) <= float64(n)/50 {
		score += 0.2
	}
	if float64(len(distinct))/float64(n) > 0.3 {
		score += 0.1
	}
	return min(1, score)
}

func legacyLength(n int) float64 {
	switch {
	case n < 50:
		return 0
	case n <= 500:
		return 0.3
	case n <= 1000:
		return 0.2
	}
	return 0.1
}

// legacyRatio divides by all characters, white space and 、。々 included.
func legacyRatio(text string, n int) float64 {
	ja := 0
	for _, r := range text {
		if r >= 0x3040 && r <= 0x30FF || r >= 0x4E00 && r <= 0x9FAF {
			ja++
		}
	}
	return ratio(ja, n)
}

// LegacyCleanOptions returns that pipeline's rules: its score, its ratio, texts
// over the maximum cut at the last of 。、 or a line break, and duplicates sought
// among unnormalised texts of 50 characters and more.
func LegacyCleanOptions() CleanOptions {
	o := DefaultCleanOptions()
	o.Score, o.Dedup, o.OverLong = ScoreLegacy, DedupLegacy, CutOverLong
	return o
}
