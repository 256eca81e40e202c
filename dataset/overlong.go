package dataset

import (
	"strings"
	"unicode/utf8"
)

// Pieces applies the rule for over-long documents: what comes back, one sample or
// more, is judged piece by piece. Conversations are never cut, since half an answer
// teaches to stop halfway.
func (o CleanOptions) Pieces(s Sample) []Sample {
	limit := o.MaxRunes
	if o.OverLong == DropOverLong || len(s.Messages) > 0 || utf8.RuneCountInString(s.Text) <= limit {
		return []Sample{s}
	}
	rest, out := s.Text, []Sample(nil)
	for rest != "" {
		end := len(rest)
		if utf8.RuneCountInString(rest) > limit {
			end = cutAt(rest, limit, o.MinRunes)
		}
		piece := s
		piece.Text = rest[:end]
		piece.ID = piece.ContentID()
		out = append(out, piece)
		if o.OverLong == CutOverLong {
			break
		}
		rest = rest[end:]
	}
	return out
}

// cutAt is where to cut text to at most limit characters: after the last 。、 or
// line break if more than least characters come before it, else at the limit.
func cutAt(text string, limit, least int) int {
	n, end := 0, len(text)
	for i := range text {
		if n == limit {
			end = i
			break
		}
		n++
	}
	best := 0
	for _, m := range []string{"。", "、", "\n"} {
		if i := strings.LastIndex(text[:end], m); i >= 0 {
			best = max(best, i+len(m))
		}
	}
	if utf8.RuneCountInString(text[:best]) > least {
		return best
	}
	return end
}
