package harness

import (
	"context"
	"math"
)

// RollingOptions says how single texts are cut.
type RollingOptions struct {
	// MaxLength is the most tokens a window predicts, at least 1; default 2,048.
	MaxLength int `json:"max_length" yaml:"max_length"`
	// Context is how many tokens a window after the first sees, at least, before the ones
	// it predicts, 1 to MaxLength; default 1.
	Context int `json:"context" yaml:"context"`
	// Prefix is the token before each text; default 1.
	Prefix int32 `json:"prefix" yaml:"prefix"`
}

// DefaultRollingOptions are 2,048 tokens, one of context, <s>.
func DefaultRollingOptions() RollingOptions {
	return RollingOptions{MaxLength: 2048, Context: 1, Prefix: bos}
}

// Validate reports an option outside its range.
func (o RollingOptions) Validate() error {
	if o.MaxLength < 1 {
		return &OptionError{"max_length", o.MaxLength, "at least 1"}
	}
	if o.Context < 1 || o.Context > o.MaxLength {
		return &OptionError{"context", o.Context, "1 to max_length"}
	}
	return nil
}

// RollingResult is the outcome over texts.
type RollingResult struct {
	// NLL is nats a token, BitsPerByte −ΣLL/(ln 2·Σbytes), BytePPL its power of two: sums
	// over all texts, so long ones weigh more.
	NLL         float64 `json:"nll"`
	BitsPerByte float64 `json:"bits_per_byte"`
	BytePPL     float64 `json:"byte_perplexity"`
	// StdErr is that of BitsPerByte over texts, as a ratio of sums; null below two.
	StdErr *float64 `json:"bits_per_byte_stderr"`
	Tokens int      `json:"tokens"`
	Bytes  int      `json:"bytes"`
	N      int      `json:"n"`
}

// window is a sequence whose tokens from start on are scored.
type window struct {
	tokens []int32
	start  int
	text   int
}

// rollingWindows cuts a text into windows that predict every token once. The first
// predicts up to max tokens after the prefix; later ones predict up to max−context+1
// new tokens and see the tokens before them, max in all.
func rollingWindows(tokens []int32, text int, o RollingOptions) (out []window) {
	first := min(o.MaxLength, len(tokens))
	if first == 0 {
		return nil
	}
	out = append(out, window{append([]int32{o.Prefix}, tokens[:first]...), 1, text})
	for done := first; done < len(tokens); {
		n := min(len(tokens)-done, o.MaxLength-o.Context+1)
		end := done + n
		from := end - o.MaxLength - 1
		out = append(out, window{tokens[from:end], end - from - n, text})
		done = end
	}
	return out
}

// Rolling scores every token of every text, each on its own.
func Rolling(ctx context.Context, s Scorer, texts []string, o RollingOptions) (RollingResult, error) {
	if err := o.Validate(); err != nil {
		return RollingResult{}, err
	}
	r := RollingResult{N: len(texts)}
	var windows []window
	var seqs [][]int32
	for i, text := range texts {
		ids := s.Encode(text)
		r.Tokens, r.Bytes = r.Tokens+len(ids), r.Bytes+len(text)
		for _, w := range rollingWindows(ids, i, o) {
			windows, seqs = append(windows, w), append(seqs, w.tokens)
		}
	}
	if r.Tokens == 0 {
		return r, ErrTooShort
	}
	bits := make([]float64, len(texts))
	err := score(ctx, s, seqs, func(i int, lp []float64) error {
		for _, v := range lp[windows[i].start:] {
			bits[windows[i].text] -= v / math.Ln2
		}
		return nil
	})
	r.average(bits, texts)
	return r, err
}

func (r *RollingResult) average(bits []float64, texts []string) {
	var sum, rest float64
	for _, b := range bits {
		sum += b
	}
	r.NLL, r.BitsPerByte = sum*math.Ln2/float64(r.Tokens), sum/float64(r.Bytes)
	r.BytePPL = math.Exp2(r.BitsPerByte)
	if n := float64(len(texts)); n >= 2 {
		for i, b := range bits {
			d := b - r.BitsPerByte*float64(len(texts[i]))
			rest += d * d
		}
		se := math.Sqrt(rest*n/(n-1)) / float64(r.Bytes)
		r.StdErr = &se
	}
}
